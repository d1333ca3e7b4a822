// Groups of pointwise launches, with a reduction of what one of them makes, become one launch each,
// at the place of the last pointwise one.
#include <algorithm>
#include <cstring>
#include <optional>

#include "ops/fused_reduce.h"
#include "ops/map_operands.h"
#include "program/passes.h"

namespace dlx {
namespace {

size_t at(int32_t i) { return static_cast<size_t>(i); }

bool is_dense(const RecordedArray& a) {
  int64_t stride = 1;
  for (int i = a.shape.ndim; i-- > 0;) {
    if (a.shape[i] != 1 && a.strides[i] != stride) return false;
    stride *= a.shape[i];
  }
  return true;
}

bool is_map(const RecordedCall& call) { return call.op->kernels[0] == cpu::map; }
const MapShape& map_shape(const RecordedCall& call) {
  return *reinterpret_cast<const MapShape*>(call.shape.data());
}
const CastShape& cast_shape(const RecordedCall& call) {
  return *reinterpret_cast<const CastShape*>(call.shape.data());
}

bool is_reduction(const RecordedCall& call) { return call.op->kernels[0] == cpu::reduce; }
const ReduceShape& reduce_shape(const RecordedCall& call) {
  return *reinterpret_cast<const ReduceShape*>(call.shape.data());
}

FusedStep step_of(const RecordedCall& call) {
  FusedStep step{};
  std::fill_n(step.array, kMaxMapInputs, int8_t{-1});
  std::fill_n(step.step, kMaxMapInputs, int8_t{-1});
  step.stored = -1;
  step.is_cast = !is_map(call);
  if (step.is_cast) {
    step.map.dtype = cast_shape(call).from;
    step.to = cast_shape(call).to;
    step.operands = 1;
  } else {
    step.map = map_shape(call);
    step.to = step.map.output_dtype();
    step.selects = step.map.info().kind == RowKind::select;
    step.operands = static_cast<int8_t>(step.map.info().inputs);
  }
  return step;
}

bool is_number(const FusedStep& step, int k) { return !step.is_cast && step.map.scalars >> k & 1; }
bool lies_dense(const FusedStep& step, int k) {
  return step.is_cast || OperandLayout(step.map, k).dense;
}

// Whether x is all of what was made there, in its order.
bool is_all_of(const RecordedArray& x, const RecordedArray& made) {
  return x.offset == made.offset && x.dtype == made.dtype && is_dense(x);
}

using Group = std::vector<int32_t>;  // pointwise launches, in order

int8_t number_in(const Group& group, int32_t launch) {
  return static_cast<int8_t>(std::find(group.begin(), group.end(), launch) - group.begin());
}

class Fusion {
 public:
  Fusion(Record& record, const std::vector<bool>& kept)
      : record_(record), kept_(kept), uses_(uses_of(record)), group_of_(record.calls.size(), -1) {}

  void run() {
    const auto count = static_cast<int32_t>(record_.calls.size());
    for (int32_t i = 0; i < count; ++i)
      if (is_fusable(i)) join(i);
    for (int32_t i = 0; i < count; ++i)
      if (is_reduction(call(i)) && is_new(i)) join_reduction(i);
    std::vector<RecordedCall> calls;
    for (int32_t i = 0; i < count; ++i) {
      const int32_t g = group_of_[at(i)];
      if (g < 0 || (groups_[at(g)].size() == 1 && reduction_of_[at(g)] < 0)) {
        calls.push_back(std::move(record_.calls[at(i)]));
      } else if (groups_[at(g)].back() == i) {
        calls.push_back(fused_call(groups_[at(g)], reduction_of_[at(g)]));
      }
    }
    record_.calls = std::move(calls);
  }

 private:
  const RecordedCall& call(int32_t i) const { return record_.calls[at(i)]; }
  const RecordedArray& output(int32_t i) const { return call(i).arrays[call(i).inputs]; }
  const MemoryUses& uses(const RecordedArray& a) const { return uses_[at(a.memory)]; }

  bool is_fusable(int32_t i) const {
    const RecordedCall& c = call(i);
    return (is_map(c) || c.op == &ops::cast) && is_new(i) && output(i).shape.product() > 0;
  }

  // Its result is new memory that nobody else writes.
  bool is_new(int32_t i) const {
    const RecordedMemory& m = record_.memories[at(output(i).memory)];
    return !m.older && !m.from_host && uses(output(i)).writers.size() == 1;
  }

  // The launch among `group` that makes this array; -1: none.
  int32_t maker_in(const Group& group, const RecordedArray& a) const {
    for (int32_t i : group)
      if (output(i).memory == a.memory) return i;
    return -1;
  }

  // The group of launch i: those of what it reads, if it may join them, else one of its own.
  void join(int32_t i) {
    std::vector<int32_t> makers;
    for (size_t k = 0; k < call(i).inputs; ++k) {
      const MemoryUses& use = uses(call(i).arrays[k]);
      const int32_t g = use.writers.size() == 1 ? group_of_[at(use.writers[0])] : -1;
      if (g >= 0 && use.writers[0] < i &&
          std::find(makers.begin(), makers.end(), g) == makers.end())
        makers.push_back(g);
    }
    Group joined{i};
    std::vector<int32_t> taken;
    for (const int32_t g : makers) {
      Group larger = joined;
      larger.insert(larger.end(), groups_[at(g)].begin(), groups_[at(g)].end());
      std::sort(larger.begin(), larger.end());
      if (!may_run_at_its_end(larger) || !fused_shape(larger, -1, nullptr)) continue;
      joined = std::move(larger);
      taken.push_back(g);
    }
    const auto here = static_cast<int32_t>(groups_.size());
    for (const int32_t g : taken) groups_[at(g)].clear();
    for (const int32_t member : joined) group_of_[at(member)] = here;
    groups_.push_back(std::move(joined));
    reduction_of_.push_back(-1);
  }

  // A reduction joins the group that makes what it reads, which may run before it: x is all that it
  // reads. After it only where nobody in between needs its result.
  void join_reduction(int32_t i) {
    const MemoryUses& use = uses(call(i).arrays[0]);
    const int32_t g = use.writers.size() == 1 ? group_of_[at(use.writers[0])] : -1;
    if (g < 0 || use.writers[0] > i || reduction_of_[at(g)] >= 0) return;
    const Group& group = groups_[at(g)];
    for (int32_t between = i + 1; between < group.back(); ++between)
      if (depends(between, i)) return;
    if (!reduced_shape(group, i, nullptr)) return;
    group_of_[at(i)] = g;
    reduction_of_[at(g)] = i;
  }

  // Whether no launch in between needs what a member writes, or writes what a member uses.
  bool may_run_at_its_end(const Group& group) const {
    size_t next = 0;
    for (int32_t i = group.front(); i < group.back(); ++i) {
      if (group[next] == i) {
        ++next;
        continue;
      }
      for (size_t m = 0; m < next; ++m)
        if (depends(i, group[m])) return false;
    }
    return true;
  }

  bool depends(int32_t later, int32_t earlier) const {
    const RecordedCall &a = call(earlier), &b = call(later);
    // What is seen after a step is seen after one that ends there, too.
    if (b.op->can_fail && kept_[at(output(earlier).memory)]) return true;
    for (size_t k = 0; k < b.arrays.size(); ++k) {
      if (b.arrays[k].memory == output(earlier).memory) return true;
      if (k < b.inputs) continue;
      for (size_t j = 0; j < a.inputs; ++j)
        if (b.arrays[k].memory == a.arrays[j].memory) return true;
    }
    return false;
  }

  // Somebody else than the group and its reduction sees it.
  bool is_stored(const Group& group, int32_t reduction, int32_t i) const {
    if (kept_[at(output(i).memory)]) return true;
    const auto& readers = uses(output(i)).readers;
    return std::any_of(readers.begin(), readers.end(), [&](int32_t reader) {
      return reader != reduction && std::find(group.begin(), group.end(), reader) == group.end();
    });
  }

  // The group as one launch with these arrays (inputs, then outputs), if it can be one. reduction:
  // the launch that goes with it; -1: none.
  std::optional<FusedShape> fused_shape(const Group& group, int32_t reduction,
                                        std::vector<RecordedArray>* arrays) const;
  std::optional<FusedReduceShape> reduced_shape(const Group& group, int32_t reduction,
                                                std::vector<RecordedArray>* arrays) const;
  RecordedCall fused_call(const Group& group, int32_t reduction);

  Record& record_;
  const std::vector<bool>& kept_;
  std::vector<MemoryUses> uses_;
  std::vector<int32_t> group_of_;
  std::vector<Group> groups_;
  std::vector<int32_t> reduction_of_;  // groups; -1: none
};

// Gives each step a block for its result, free again after its last reader.
void assign_blocks(FusedShape& s) {
  int last[kMaxFusedSteps];
  for (int i = 0; i < s.steps; ++i) {
    last[i] = i;
    for (int k = 0; k < s.step[i].operands; ++k)
      if (s.step[i].step[k] >= 0) last[s.step[i].step[k]] = i;
  }
  for (int i = 0; i < s.steps; ++i) {
    int block = 0;
    const auto taken = [&] {
      for (int j = 0; j < i; ++j)
        if (last[j] >= i && s.step[j].block == block) return true;
      return false;
    };
    while (taken()) ++block;
    s.step[i].block = static_cast<int8_t>(block);
    s.blocks = std::max(s.blocks, block + 1);
  }
}

std::optional<FusedShape> Fusion::fused_shape(const Group& group, int32_t reduction,
                                              std::vector<RecordedArray>* arrays) const {
  if (group.size() > kMaxFusedSteps) return {};
  const int32_t last = group.back();
  FusedShape s{};
  s.n = output(last).shape.product();
  const bool last_is_stored = is_stored(group, reduction, last);
  std::vector<RecordedArray> inputs, outputs;
  if (last_is_stored) outputs.push_back(output(last));
  for (const int32_t i : group) {
    if (call(i).device != call(last).device || output(i).shape.product() != s.n) return {};
    FusedStep step = step_of(call(i));
    for (int k = 0; k < step.operands; ++k) {
      const RecordedArray& x = call(i).arrays[at(k)];
      if (is_number(step, k)) continue;
      if (const int32_t maker = maker_in(group, x); maker >= 0) {
        if (!is_all_of(x, output(maker)) || !lies_dense(step, k)) return {};
        step.step[k] = number_in(group, maker);
        continue;
      }
      const auto known = std::find(inputs.begin(), inputs.end(), x);
      step.array[k] = static_cast<int8_t>(known - inputs.begin());
      if (known == inputs.end()) inputs.push_back(x);
      if (inputs.size() > kMaxFusedArrays) return {};
    }
    if (i == last && last_is_stored) {
      step.stored = 0;
    } else if (is_stored(group, reduction, i)) {
      step.stored = static_cast<int8_t>(outputs.size());
      outputs.push_back(output(i));
    }
    s.step[s.steps++] = step;
  }
  s.inputs = static_cast<int32_t>(inputs.size());
  s.outputs = static_cast<int32_t>(outputs.size());
  assign_blocks(s);
  if (inputs.size() + outputs.size() > kMaxFusedArrays || s.scratch() > kFusedScratch) return {};
  if (arrays) {
    *arrays = std::move(inputs);
    arrays->insert(arrays->end(), outputs.begin(), outputs.end());
  }
  return s;
}

std::optional<FusedReduceShape> Fusion::reduced_shape(const Group& group, int32_t reduction,
                                                      std::vector<RecordedArray>* arrays) const {
  const RecordedCall& reduce = call(reduction);
  const RecordedArray& x = reduce.arrays[0];
  const int32_t maker = maker_in(group, x);
  const auto fused = fused_shape(group, reduction, arrays);
  if (!fused || reduce.device != call(maker).device || x.shape.product() != fused->n ||
      !is_all_of(x, output(maker)))
    return {};
  const FusedReduceShape s{*fused, reduce_shape(reduce), number_in(group, maker)};
  if (!s.is_worth_it()) return {};
  if (arrays) arrays->push_back(output(reduction));
  return s;
}

template <class Shape>
void set_shape(RecordedCall& call, const Op& op, const Shape& s) {
  const auto* bytes = reinterpret_cast<const char*>(&s);
  call.op = &op;
  call.shape.assign(bytes, bytes + sizeof s);
  call.same = same_shape<Shape>;
}

RecordedCall Fusion::fused_call(const Group& group, int32_t reduction) {
  const RecordedCall& last = call(group.back());
  RecordedCall fused{};
  FusedShape s;
  if (reduction < 0) {
    s = *fused_shape(group, -1, &fused.arrays);
    set_shape(fused, ops::fused, s);
  } else {
    const FusedReduceShape reduced = *reduced_shape(group, reduction, &fused.arrays);
    s = reduced.fused;
    set_shape(fused, ops::fused_reduce, reduced);
  }
  fused.device = last.device;
  fused.inputs = at(s.inputs);
  fused.line = last.line;
  fused.layer = last.layer;
  fused.number = call(group.front()).number;
  // An input that all steps read dense, one element at the time that the last step writes there.
  for (int i = 0; i < s.inputs && s.step[s.steps - 1].stored == 0; ++i) {
    bool may = size_of(fused.arrays[at(i)].dtype) == size_of(output(group.back()).dtype);
    for (int j = 0; j < s.steps; ++j)
      for (int k = 0; k < s.step[j].operands; ++k)
        if (s.step[j].array[k] == i) may = may && lies_dense(s.step[j], k);
    if (may) fused.may_alias |= uint64_t{1} << i;
  }
  for (const int32_t i : group) fused.parts.push_back(std::move(record_.calls[at(i)]));
  if (reduction >= 0) fused.parts.push_back(std::move(record_.calls[at(reduction)]));
  return fused;
}

}  // namespace

void fuse_pointwise(Record& record, const std::vector<bool>& kept) { Fusion(record, kept).run(); }

}  // namespace dlx

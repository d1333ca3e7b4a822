// Memory is saved by running a launch again, before a late use of its result, instead of keeping
// the result until then (T. Chen et al., "Training deep nets with sublinear memory cost", 2016).
#include <algorithm>

#include "program/passes.h"

namespace dlx {
namespace {

size_t at(int32_t i) { return static_cast<size_t>(i); }

// Launches to run again, and what more has to be kept for them.
struct Plan {
  std::vector<int32_t> launches;
  int64_t kept = 0;    // bytes, over the fullest moment
  double seconds = 0;  // about
};

// A result that waits, unused, between two uses.
struct Gap {
  int32_t memory, before, after;
  Plan plan;
};

class Recompute {
 public:
  Recompute(Record& record, const std::vector<bool>& kept, bool all)
      : record_(record), kept_(kept), all_(all) {}

  // One result less at the fullest moment; false where that is not possible.
  bool step() {
    uses_ = uses_of(record_);
    find_lives();
    Gap gap = best_gap(fullest());
    if (gap.memory < 0) return false;
    insert(gap);
    // A result that was first read after the gap is only made there now.
    std::vector<bool> kept = kept_;
    kept.resize(record_.memories.size());
    drop_dead_launches(record_, kept);
    return true;
  }

 private:
  const RecordedCall& call(int32_t i) const { return record_.calls[at(i)]; }
  int64_t bytes(int32_t memory) const { return record_.memories[at(memory)].bytes; }
  // In the arena, made inside.
  bool is_inner(int32_t memory) const {
    const RecordedMemory& m = record_.memories[at(memory)];
    return !(at(memory) < kept_.size() && kept_[at(memory)]) && !m.older && !m.from_host;
  }

  void find_lives() {
    first_.assign(record_.memories.size(), -1);
    last_.assign(record_.memories.size(), -1);
    for (size_t i = 0; i < record_.calls.size(); ++i)
      for (const RecordedArray& a : record_.calls[i].arrays) {
        if (first_[at(a.memory)] < 0) first_[at(a.memory)] = static_cast<int32_t>(i);
        last_[at(a.memory)] = static_cast<int32_t>(i);
      }
  }

  int32_t fullest() const {
    std::vector<int64_t> change(record_.calls.size() + 1);
    for (size_t m = 0; m < first_.size(); ++m) {
      if (first_[m] < 0 || !is_inner(static_cast<int32_t>(m))) continue;
      change[at(first_[m])] += record_.memories[m].bytes;
      change[at(last_[m]) + 1] -= record_.memories[m].bytes;
    }
    int64_t now = 0, most = -1;
    int32_t where = 0;
    for (size_t i = 0; i < record_.calls.size(); ++i)
      if ((now += change[i]) > most) most = now, where = static_cast<int32_t>(i);
    return where;
  }

  // The only launch that writes all of it; -1 where there is none that may run again.
  int32_t maker(int32_t memory) const {
    const auto& writers = uses_[at(memory)].writers;
    if (!is_inner(memory) || writers.size() != 1) return -1;
    const RecordedCall& c = call(writers[0]);
    const Op& op = *c.op;
    if (op.random || op.can_fail || op.crosses || op.updates) return -1;
    const bool cheap = op.again ? op.again->cheap : op.cheap;
    const bool made = !op.again || c.arrays[c.inputs].memory == memory;
    for (size_t k = c.inputs; k < c.arrays.size(); ++k)
      if (uses_[at(c.arrays[k].memory)].writers.size() != 1) return -1;
    return made && (cheap || all_) ? writers[0] : -1;
  }

  // Nobody writes it in between.
  bool unchanged(int32_t memory, int32_t from, int32_t to) const {
    for (const int32_t writer : uses_[at(memory)].writers)
      if (writer > from && writer < to) return false;
    return true;
  }

  // Adds to the plan what makes `memory` before launch `when`; false where that is not possible.
  bool plan_for(int32_t memory, int32_t when, int32_t full, Plan* plan) const {
    const int32_t made = maker(memory);
    if (made < 0 || plan->launches.size() >= (all_ ? 8u : 1u)) return false;
    const RecordedCall& c = call(made);
    plan->launches.push_back(made);
    if (c.op->cost) {
      const Cost cost = c.op->cost(c.shape.data());
      plan->seconds += static_cast<double>(cost.flops) / 50e9;
      plan->seconds += static_cast<double>(cost.bytes) / 10e9;
    }
    for (size_t k = 0; k < c.arrays.size(); ++k) {
      const int32_t source = c.arrays[k].memory;
      if (source == memory || (k >= c.inputs && !c.op->again)) continue;
      if (!unchanged(source, made, when)) return false;
      if (!is_inner(source) || last_[at(source)] >= when) continue;
      if (std::find(plan->launches.begin(), plan->launches.end(), made_by(source)) !=
          plan->launches.end())
        continue;
      Plan further = *plan;
      if (last_[at(source)] < full && plan_for(source, when, full, &further)) {
        *plan = std::move(further);
      } else if (last_[at(source)] < full) {
        plan->kept += bytes(source);
      }
    }
    return true;
  }
  int32_t made_by(int32_t memory) const {
    const auto& writers = uses_[at(memory)].writers;
    return writers.empty() ? -1 : writers[0];
  }

  // The most bytes for the time among what waits at launch `full`.
  Gap best_gap(int32_t full) const {
    Gap best{-1, 0, 0, {}};
    double most = 0;
    for (int32_t m = 0; m < static_cast<int32_t>(first_.size()); ++m) {
      if (first_[at(m)] < 0 || first_[at(m)] >= full || last_[at(m)] <= full || !is_inner(m))
        continue;
      Gap gap{m, first_[at(m)], last_[at(m)], {}};
      for (const int32_t i : uses_[at(m)].readers)
        (i <= full ? gap.before : gap.after) =
            i <= full ? std::max(gap.before, i) : std::min(gap.after, i);
      if (gap.before >= full || !plan_for(m, gap.after, full, &gap.plan)) continue;
      const int64_t saved = bytes(m) - gap.plan.kept;
      const double worth = static_cast<double>(saved) / (gap.plan.seconds + 1e-6);
      if (saved <= 0 || worth <= most) continue;
      most = worth;
      best = std::move(gap);
    }
    return best;
  }

  template <class NewName>
  static void rename(RecordedCall& c, const NewName& new_name) {
    for (RecordedArray& a : c.arrays) a.memory = new_name(a.memory);
    for (RecordedCall& part : c.parts) rename(part, new_name);
  }

  void insert(Gap& gap) {
    std::sort(gap.plan.launches.begin(), gap.plan.launches.end());
    std::vector<RecordedCall> again;
    std::vector<std::pair<int32_t, int32_t>> renamed;  // memory, its new self
    const auto new_name = [&](int32_t memory) {
      for (const auto& [old, now] : renamed)
        if (old == memory) return now;
      return memory;
    };
    for (const int32_t i : gap.plan.launches) {
      RecordedCall c = call(i);
      if (c.op->again) {  // from all but output 0, which comes last
        const auto y = c.arrays.begin() + static_cast<std::ptrdiff_t>(c.inputs);
        std::rotate(y, y + 1, c.arrays.end());
        c.inputs = c.arrays.size() - 1;
        c.op = c.op->again;
        c.may_alias = 0;
      }
      for (size_t k = c.inputs; k < c.arrays.size(); ++k) {
        const int32_t memory = c.arrays[k].memory;
        renamed.emplace_back(memory, static_cast<int32_t>(record_.memories.size()));
        record_.memories.push_back(record_.memories[at(memory)]);
      }
      rename(c, new_name);
      again.push_back(std::move(c));
    }
    const int32_t now = new_name(gap.memory);
    for (size_t i = at(gap.after); i < record_.calls.size(); ++i)
      rename(record_.calls[i], [&](int32_t memory) { return memory == gap.memory ? now : memory; });
    record_.calls.insert(record_.calls.begin() + gap.after, again.begin(), again.end());
  }

  Record& record_;
  const std::vector<bool>& kept_;
  const bool all_;
  std::vector<MemoryUses> uses_;
  std::vector<int32_t> first_, last_;
};

}  // namespace

bool recompute_one(Record& record, const std::vector<bool>& kept) {
  return Recompute(record, kept, true).step();
}

void recompute_passes(Record& record, const std::vector<bool>& kept) {
  Recompute passes(record, kept, false);
  for (size_t i = record.calls.size(); i > 0 && passes.step(); --i) {
  }
}

}  // namespace dlx

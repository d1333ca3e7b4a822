#include "program/step_program.h"

#include <algorithm>
#include <cstring>
#include <deque>

#include "core/cached_memory.h"
#include "core/check.h"
#include "program/arena.h"
#include "program/passes.h"
#include "program/run_call.h"

namespace dlx {
namespace {

size_t at(int32_t i) { return static_cast<size_t>(i); }

void require(bool holds, const auto&... parts) {
  DLX_CHECK_AS(std::runtime_error, holds, parts...);
}

}  // namespace

StepProgram::StepProgram(Record record, std::vector<StepSlot> slots,
                         std::vector<RecordedArray> outputs, StepOptions options)
    : record_(std::move(record)), slots_(std::move(slots)), outputs_(std::move(outputs)) {
  memories_.resize(record_.memories.size());
  for (size_t k = 0; k < slots_.size(); ++k)
    if (slots_[k].given && slots_[k].before.memory >= 0) {
      Memory& m = memories_[at(slots_[k].before.memory)];
      m.kind = Kind::slot;
      m.slot = static_cast<int32_t>(k);
    }
  for (size_t i = 0; i < memories_.size(); ++i) {
    const RecordedMemory& m = record_.memories[i];
    require(!m.older || memories_[i].kind == Kind::slot, "memory from before is in no slot");
  }
  const auto is_result = [&](const RecordedArray& a) {
    if (a.memory >= 0 && memories_[at(a.memory)].kind == Kind::arena)
      memories_[at(a.memory)].kind = Kind::result;
  };
  for (const RecordedArray& a : outputs_) is_result(a);
  for (const StepSlot& slot : slots_)
    if (slot.moves) is_result(slot.after);

  std::vector<bool> kept;
  for (const Memory& m : memories_) kept.push_back(m.kind != Kind::arena);
  dead_ = drop_dead_launches(record_, kept);
  if (options.fuse) {
    absorb_epilogues(record_, kept);
    fuse_pointwise(record_, kept);
    recompute_passes(record_, kept);
  }
  plan_memory();
  if (options.memory_limit) shrink(kept, options.memory_limit - result_bytes_);
  for (const RecordedCall& call : record_.calls)
    if (call.op->cost) {
      const Cost c = call.op->cost(call.shape.data());
      cost_.flops += c.flops, cost_.bytes += c.bytes;
    }
  if (options.graph) make_graph();
}

void StepProgram::make_graph() {
  if (std::all_of(record_.memories.begin(), record_.memories.end(),
                  [](const auto& m) { return m.device.kind == DeviceKind::cpu; }))
    return;
  std::vector<GraphedMemory> memories;
  for (const Memory& m : memories_) {
    const bool slot = m.kind == Kind::slot, result = m.kind == Kind::result;
    memories.push_back({.may_move = slot || result,
                        .varies = slot ? slots_[at(m.slot)].varies : result && m.recycled < 0,
                        .is_read = slot,
                        .written = m.written});
  }
  graph_ = std::make_unique<StepGraph>(record_, std::move(memories));
}

void StepProgram::shrink(const std::vector<bool>& kept, int64_t limit) {
  constexpr int kPatience = 32;  // steps: one at the fullest moment may need others elsewhere
  int64_t least = arena_bytes_;
  for (int vain = 0; arena_bytes_ > limit; ++vain) {
    require(vain < kPatience && recompute_one(record_, kept),
            "memory_limit=", limit + result_bytes_, " bytes: its results take ", result_bytes_,
            ", and all else ", least, " at least");
    plan_memory();
    if (arena_bytes_ < least) least = arena_bytes_, vain = -1;
  }
}

void StepProgram::plan_memory() {
  memories_.resize(record_.memories.size());
  for (Memory& m : memories_) {
    Memory fresh;
    fresh.kind = m.kind == Kind::constant ? Kind::arena : m.kind;
    fresh.slot = m.slot;
    m = std::move(fresh);
  }
  arenas_.clear();
  arena_bytes_ = result_bytes_ = unplanned_bytes_ = 0;
  find_lifetimes();
  make_constants();
  share_in_place();
  place_in_arenas();
}

void StepProgram::find_lifetimes() {
  for (size_t i = 0; i < record_.calls.size(); ++i) {
    const RecordedCall& call = record_.calls[i];
    const auto now = static_cast<int32_t>(i);
    for (size_t k = 0; k < call.arrays.size(); ++k) {
      Memory& m = memories_[at(call.arrays[k].memory)];
      if (m.first < 0) m.first = now;
      m.last = now;
      if (k >= call.inputs) m.written = true;
    }
  }
  for (size_t i = 0; i < memories_.size(); ++i)
    if (record_.memories[i].from_host && memories_[i].first >= 0) memories_[i].first = 0;
  // A slot whose value nobody reads and that gets a new one of the same size: its memory takes it.
  for (size_t k = 0; k < slots_.size(); ++k) {
    const StepSlot& slot = slots_[k];
    if (!slot.moves || !slot.given || slot.before.memory >= 0 || slot.after.memory < 0) continue;
    Memory& m = memories_[at(slot.after.memory)];
    // After an error it is there as long as it is after an eager one.
    const bool in_time =
        slot.leaves >= 0 && m.first >= 0 && slot.leaves <= record_.calls[at(m.first)].number;
    if (m.kind == Kind::result && m.recycled < 0 && in_time) m.recycled = static_cast<int32_t>(k);
  }
}

// Numbers that Python made and that no launch changes.
void StepProgram::make_constants() {
  for (size_t i = 0; i < memories_.size(); ++i) {
    const RecordedMemory& m = record_.memories[i];
    if (!m.from_host || m.older || memories_[i].written || memories_[i].kind != Kind::arena)
      continue;
    memories_[i].kind = Kind::constant;
    const Array own = empty({m.bytes}, DType::uint8, m.device);
    if (m.bytes) std::memcpy(own.data(), m.contents.data(), m.contents.size());
    memories_[i].own = own.storage;
  }
}

// Output 0 takes over the place of an input that dies there, where the op allows it.
void StepProgram::share_in_place() {
  for (size_t i = 0; i < record_.calls.size(); ++i) {
    const RecordedCall& call = record_.calls[i];
    const RecordedArray& y = call.arrays[call.inputs];
    Memory& out = memories_[at(y.memory)];
    const int64_t bytes = record_.memories[at(y.memory)].bytes;
    if (out.kind != Kind::arena || out.first != static_cast<int32_t>(i) || y.offset) continue;
    for (size_t k = 0; k < call.inputs && k < 64; ++k) {
      const RecordedArray& x = call.arrays[k];
      const Memory& in = memories_[at(x.memory)];
      const auto uses = std::count_if(call.arrays.begin(), call.arrays.end(),
                                      [&](const RecordedArray& a) { return a.memory == x.memory; });
      if (!(call.may_alias >> k & 1) || x.memory == y.memory || uses != 1 || x.offset ||
          in.kind != Kind::arena || in.last != static_cast<int32_t>(i) ||
          record_.memories[at(x.memory)].bytes != bytes)
        continue;
      out.shares = x.memory;
      break;
    }
  }
}

void StepProgram::place_in_arenas() {
  std::vector<int32_t> order;  // by first use: what takes over a place comes after what had it
  for (size_t i = 0; i < memories_.size(); ++i) {
    const Memory& m = memories_[i];
    if (m.kind == Kind::result) result_bytes_ += record_.memories[i].bytes;
    if (m.kind == Kind::arena && m.first >= 0) order.push_back(static_cast<int32_t>(i));
  }
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return memories_[at(a)].first < memories_[at(b)].first;
  });
  std::deque<ArenaBlock> blocks;
  std::vector<ArenaBlock*> block_of(memories_.size());
  for (const int32_t i : order) {
    const Memory& m = memories_[at(i)];
    const int64_t bytes = record_.memories[at(i)].bytes;
    unplanned_bytes_ += bytes;
    if (m.shares >= 0) {
      block_of[at(i)] = block_of[at(m.shares)];
      block_of[at(i)]->last = std::max(block_of[at(i)]->last, m.last);
    } else {
      block_of[at(i)] = &blocks.emplace_back(ArenaBlock{bytes, m.first, m.last});
    }
  }
  for (const int32_t i : order) {
    const Device device = record_.memories[at(i)].device;
    const auto known = std::find_if(arenas_.begin(), arenas_.end(),
                                    [&](const Arena& a) { return a.device == device; });
    memories_[at(i)].arena = static_cast<int32_t>(known - arenas_.begin());
    if (known == arenas_.end()) arenas_.push_back({device, 0, {}});
  }
  for (size_t k = 0; k < arenas_.size(); ++k) {
    std::vector<ArenaBlock*> here;
    for (const int32_t i : order)
      if (memories_[at(i)].arena == static_cast<int32_t>(k) && memories_[at(i)].shares < 0)
        here.push_back(block_of[at(i)]);
    arenas_[k].bytes = place_blocks(here);
    arena_bytes_ += arenas_[k].bytes;
  }
  for (const int32_t i : order) memories_[at(i)].place = block_of[at(i)]->place;
}

std::string StepProgram::misfit(const std::vector<Array*>& slots) const {
  require(slots.size() == slots_.size(), "replay: expected ", slots_.size(), " slots, got ",
          slots.size());
  for (size_t k = 0; k < slots.size(); ++k) {
    const StepSlot& slot = slots_[k];
    if (slot.before.memory < 0 || !slot.given) continue;
    const Array* a = slots[k];
    if (!a || !a->storage) return "a value is missing";
    const RecordedArray& before = slot.before;
    if (a->dtype != before.dtype || !(a->shape == before.shape) ||
        !(a->strides == before.strides) || a->device() != slot.device)
      return message("a value is ", a->dtype, " of shape ", a->shape, " on ", a->device(),
                     ", recorded was ", before.dtype, " of shape ", before.shape, " on ",
                     slot.device);
  }
  return "";
}

StepProgram::Bound StepProgram::bind(Ctx& ctx, const std::vector<Array*>& slots) {
  Bound now{std::unique_lock(mutex_, std::try_to_lock), {}, {}};
  if (!now.lock) return now;
  for (Arena& a : arenas_)
    if (!a.memory.storage) {
      // It takes the place of what the eager calls used: its pages cost less than new ones.
      if (a.device == Device{}) give_back_cached(a.bytes);
      a.memory = empty({a.bytes}, DType::uint8, a.device);
    }
  now.storages.resize(memories_.size());
  now.data.resize(memories_.size());
  for (size_t i = 0; i < memories_.size(); ++i) {
    const Memory& m = memories_[i];
    const RecordedMemory& r = record_.memories[i];
    StorageRef& storage = now.storages[i];
    switch (m.kind) {
      case Kind::slot: {
        Array& a = *slots[at(m.slot)];
        if (m.written && !a.is_writable()) a = copy_of(ctx, a);
        storage = a.storage;
        now.data[i] = static_cast<char*>(a.data());
        break;
      }
      case Kind::constant:
        storage = m.own;
        break;
      case Kind::arena:
        if (m.first < 0) continue;  // only dead launches used it
        storage = arenas_[at(m.arena)].memory.storage;
        now.data[i] = static_cast<char*>(storage->data) + m.place;
        break;
      case Kind::result: {
        const Array* old = m.recycled >= 0 ? slots[at(m.recycled)] : nullptr;
        const bool recycle = old && old->storage && old->is_writable() && !old->storage->release &&
                             old->storage->bytes == r.bytes && old->device() == r.device;
        storage = recycle ? old->storage : empty({r.bytes}, DType::uint8, r.device).storage;
      }
    }
    if (m.kind == Kind::constant || m.kind == Kind::result)
      now.data[i] = static_cast<char*>(storage->data);
    if (m.kind == Kind::arena || m.kind == Kind::result)
      if (!r.contents.empty()) std::memcpy(now.data[i], r.contents.data(), r.contents.size());
    use_on_current_stream(*storage.get(), m.written);
  }
  return now;
}

Array StepProgram::value(const Bound& now, const RecordedArray& a) const {
  const size_t i = at(a.memory);
  Array array;
  array.storage = now.storages[i];
  array.offset =
      (now.data[i] + a.offset - static_cast<char*>(array.storage->data)) / size_of(a.dtype);
  array.shape = a.shape;
  array.strides = a.strides;
  array.dtype = a.dtype;
  return array;
}

void StepProgram::run(Ctx& ctx, const Bound& now) const {
  if (graph_ && ctx.num_observers == 0 && !launches_block() &&
      graph_->run(ctx, now.data, now.launched))
    return;
  std::vector<void*> buffers;
  for (now.launched = 0; now.launched < record_.calls.size(); ++now.launched) {
    const RecordedCall& call = record_.calls[now.launched];
    buffers.clear();
    for (const RecordedArray& a : call.arrays) buffers.push_back(now.data[at(a.memory)] + a.offset);
    if (ctx.num_observers > 0) [[unlikely]] {
      run_observed(ctx, now, call);
      continue;
    }
    run_call(ctx, record_, call, buffers.data());
  }
}

std::vector<Array> StepProgram::outputs(const Bound& now) const {
  std::vector<Array> arrays;
  for (const RecordedArray& a : outputs_) arrays.push_back(value(now, a));
  return arrays;
}

int32_t StepProgram::failed(const Bound& now) const {
  return now.launched < record_.calls.size() ? record_.calls[now.launched].number : -1;
}

Array StepProgram::value_left(const Bound& now, const RecordedArray& a) const {
  if (a.memory < 0) return {};
  const Memory& m = memories_[at(a.memory)];
  const RecordedMemory& r = record_.memories[at(a.memory)];
  const auto failed = static_cast<int32_t>(now.launched);
  const bool made = r.from_host || (m.first >= 0 && m.first < failed);
  if (m.kind == Kind::slot || (m.kind == Kind::result && made)) return value(now, a);
  const bool there = m.kind == Kind::constant || (made && m.last >= failed);
  if (!there || r.device != Device{}) return {};
  Array left = value(now, a);  // the arena is the program's own
  const int64_t before = (left.offset * size_of(a.dtype)) - a.offset;
  const char* from = static_cast<const char*>(left.storage->data) + before;
  left.storage = empty({r.bytes}, DType::uint8, r.device).storage;
  left.offset = a.offset / size_of(a.dtype);
  std::memcpy(left.storage->data, from, static_cast<size_t>(r.bytes));
  return left;
}

void StepProgram::move_slots(const Bound& now, const std::vector<Array*>& slots) const {
  for (size_t k = 0; k < slots_.size(); ++k)
    if (slots_[k].moves && slots_[k].after.memory >= 0) *slots[k] = value(now, slots_[k].after);
}

}  // namespace dlx

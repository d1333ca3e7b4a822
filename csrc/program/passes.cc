#include "program/passes.h"

#include <algorithm>

namespace dlx {

std::vector<MemoryUses> uses_of(const Record& record) {
  std::vector<MemoryUses> uses(record.memories.size());
  for (size_t i = 0; i < record.calls.size(); ++i) {
    const RecordedCall& call = record.calls[i];
    for (size_t k = 0; k < call.arrays.size(); ++k) {
      MemoryUses& use = uses[static_cast<size_t>(call.arrays[k].memory)];
      const bool writes = k >= call.inputs;
      if (writes) use.writers.push_back(static_cast<int32_t>(i));
      if (!writes || call.updates(k - call.inputs)) use.readers.push_back(static_cast<int32_t>(i));
    }
  }
  return uses;
}

int64_t drop_dead_launches(Record& record, const std::vector<bool>& kept) {
  std::vector<bool> needed = kept;
  std::vector<RecordedCall> live_calls;
  for (size_t i = record.calls.size(); i-- > 0;) {
    RecordedCall& call = record.calls[i];
    bool live = call.op->can_fail || call.op->random;
    for (size_t k = call.inputs; k < call.arrays.size(); ++k)
      live = live || needed[static_cast<size_t>(call.arrays[k].memory)];
    if (!live) continue;
    for (const RecordedArray& a : call.arrays) needed[static_cast<size_t>(a.memory)] = true;
    live_calls.push_back(std::move(call));
  }
  const auto dead = static_cast<int64_t>(record.calls.size() - live_calls.size());
  std::reverse(live_calls.begin(), live_calls.end());
  record.calls = std::move(live_calls);
  return dead;
}

}  // namespace dlx

// Rewrites of a record before its memory is planned. Each keeps every number that is seen after the
// step, in all bits.
#pragma once
#include "program/record.h"

namespace dlx {

// kept[m]: memory m is seen after the step, or by other steps: arguments, state, results.

// A launch is dead when nobody reads what it writes. Those that can fail or draw random numbers
// stay: so do what they read. Returns how many went.
int64_t drop_dead_launches(Record&, const std::vector<bool>& kept);

// Chains and trees of pointwise launches become launches of ops::fused.
void fuse_pointwise(Record&, const std::vector<bool>& kept);

// A launch that follows another one becomes part of it, where Op::absorb allows that.
void absorb_epilogues(Record&, const std::vector<bool>& kept);

// Of the results that wait, unused, where memory is fullest, runs the launch of one again just
// before its next use: the one that saves the most bytes for its time. False where there is none.
bool recompute_one(Record&, const std::vector<bool>& kept);

// The same, as long as the fullest moment takes less by it, of launches that take one pass over
// their arrays.
void recompute_passes(Record&, const std::vector<bool>& kept);

// Who uses a memory: numbers of launches, in order.
struct MemoryUses {
  std::vector<int32_t> writers, readers;
};
std::vector<MemoryUses> uses_of(const Record&);

}  // namespace dlx

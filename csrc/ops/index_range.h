// Indices count from the end where negative. Kernels of both devices use what is constexpr.
#pragma once
#include <atomic>

#include "core/check.h"
#include "core/launch.h"
#include "core/parallel.h"

namespace dlx {

constexpr int64_t wrap(int64_t index, int64_t extent) { return index < 0 ? index + extent : index; }

constexpr bool in_range(int64_t index, int64_t extent) {
  return index >= -extent && index < extent;
}

// True when low <= index < limit for all indices; else the first one that is not fills the error
// slot, whoever found it.
inline bool check_between(ErrorSlot& error, const int64_t* indices, int64_t n, int64_t low,
                          int64_t limit) {
  std::atomic<bool> bad{false};
  parallel_for(n, effective_grain(65536), [&](int64_t begin, int64_t end) {
    bool all = true;
    for (int64_t i = begin; i < end; ++i) all &= indices[i] >= low && indices[i] < limit;
    if (!all) bad.store(true, std::memory_order_relaxed);
  });
  if (!bad) return true;
  int64_t first = 0;
  while (indices[first] >= low && indices[first] < limit) ++first;
  error.report(first, indices[first], limit);
  return false;
}

inline bool check_indices(ErrorSlot& error, const int64_t* indices, int64_t n, int64_t extent) {
  return check_between(error, indices, n, -extent, extent);
}

inline std::string explain_index(const char* op, const ErrorSlot& error, int axis) {
  return message(op, ": index ", error.value, " at position ", error.row,
                 " of the indices is out of range for axis ", axis, " with extent ", error.limit);
}

}  // namespace dlx

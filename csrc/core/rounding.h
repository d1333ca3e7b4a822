// Sizes in pieces, for code compiled once; kernel files have their own in their namespaces.
#pragma once
#include <algorithm>
#include <cstdint>

namespace dlx {

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
inline int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }
// The size of equal pieces of n > 0, each at most `most`, in multiples of `unit`.
inline int64_t even_split(int64_t n, int64_t most, int64_t unit) {
  return round_up(ceil_div(n, ceil_div(n, std::max(most, unit))), unit);
}

}  // namespace dlx

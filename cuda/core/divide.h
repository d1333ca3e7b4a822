// Division of indices: a GPU has none in hardware, and one of 32 bits takes a fraction of the
// instructions of one of 64.
#pragma once
#include <cstdint>

namespace dlx::cuda {

struct Division {
  int64_t quotient, rest;
};

// n >= 0, d > 0
constexpr Division divide(int64_t n, int64_t d) {
  if ((n | d) >> 32 == 0) {
    const auto small_n = static_cast<uint32_t>(n), small_d = static_cast<uint32_t>(d);
    const uint32_t quotient = small_n / small_d;
    return {quotient, small_n - quotient * small_d};
  }
  const int64_t quotient = n / d;
  return {quotient, n - quotient * d};
}

}  // namespace dlx::cuda

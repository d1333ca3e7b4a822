// What every rung shares: vectors as wide as the machine's, and its main, which times the rung and
// checks it. A rung is one file with one idea more than the file before.
#pragma once
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#if defined(__AVX512F__)
constexpr int kWidth = 16;  // floats
#else
constexpr int kWidth = 8;
#endif
typedef float Vec __attribute__((vector_size(4 * kWidth), aligned(4)));

inline Vec splat(float x) { return x - Vec{}; }
inline const Vec& at(const float* p) { return *reinterpret_cast<const Vec*>(p); }
inline Vec& at(float* p) { return *reinterpret_cast<Vec*>(p); }

using Floats = std::vector<float>;

inline Floats noise(int64_t n) {
  Floats x(n);
  uint32_t state = 1;
  for (float& v : x)
    v = static_cast<float>((state = state * 1664525 + 1013904223) >> 8) * 0x1p-23f - 1;
  return x;
}

// The fastest call within half a second.
template <class F>
double seconds(const F& call) {
  using Clock = std::chrono::steady_clock;
  double best = 1e9, total = 0;
  while (total < 0.5) {
    const auto start = Clock::now();
    call();
    const double time = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::fmin(best, time), total += time;
  }
  return best;
}

inline void check(double value, double expected, double terms) {
  if (std::fabs(value - expected) <= 1e-5 * terms) return;
  std::printf("wrong: %g, not %g\n", value, expected);
  std::exit(1);
}

// Rows of few elements, several to a vector, and what joins them. As many rows as a vector has
// lanes are joined together: shuffles of two vectors lay the lower halves of their segments side by
// side, and the upper ones. For kernel files only.
#pragma once
#include "ops/lanes.h"

namespace dlx::DLX_ISA {

template <class T>
using Raw = typename Vec<T>::Raw;
template <class T>
using Index = decltype(Raw<T>{} == Raw<T>{});  // integers as wide as T

inline int64_t at_most(int64_t n, int64_t most) { return n < most ? n : most; }

// The lower or upper halves of segments of 2 kHalf lanes, a's before b's. Lanes: Raw<T> or
// Index<T>.
template <class T, int kHalf, bool kUpper, class Lanes>
[[gnu::always_inline]] inline Lanes halves(Lanes a, Lanes b) {
  constexpr int V = Vec<T>::kWidth;
  Index<T> lane;
#pragma GCC unroll 16
  for (int i = 0; i < V; ++i) {
    const int k = i % (V / 2);
    lane[i] = k / kHalf * 2 * kHalf + k % kHalf + kUpper * kHalf + i / (V / 2) * V;
  }
  return __builtin_shuffle(a, b, lane);
}

// part[0] = the kLanes vectors' segments of kLanes lanes, each joined to one lane, in order.
template <int kLanes, class Part>
[[gnu::always_inline]] inline void join_segments(Part* part) {
  if constexpr (kLanes > 1) {
#pragma GCC unroll 8
    for (int k = 0; k < kLanes / 2; ++k)
      part[k] = Part::template joined<kLanes / 2>(part[2 * k], part[2 * k + 1]);
    join_segments<kLanes / 2>(part);
  }
}

// Rows of n <= kSegment elements, dense, as segments of that length, a vector of them at a time.
template <class T, int kSegment>
struct Spread {
  static constexpr int V = Vec<T>::kWidth, kRows = V / kSegment;
  int64_t n;
  Raw<T> rest;  // behind a row
  Index<T> lane;

  Spread(int64_t n_, T rest_) : n(n_), rest(Vec<T>::broadcast(rest_).raw) {
    for (int i = 0; i < V; ++i) lane[i] = i % kSegment < n ? i / kSegment * n + i % kSegment : V;
  }
  [[gnu::always_inline]] Raw<T> load(const T* x) const {
    if (n == kSegment) return Vec<T>::load(x).raw;
    return __builtin_shuffle(Vec<T>::load(x, static_cast<int>(kRows * n)).raw, rest, lane);
  }
};

// body(dense rows, r, count): kRows rows from r on, of which `count` are there.
template <int kRows, class T, class Body>
[[gnu::always_inline]] inline void over_dense(const T* x, int64_t x_step, int64_t rows, int64_t n,
                                              const Body& body) {
  T copy[kRows * kRows];
  for (int64_t r = 0; r < rows; r += kRows) {
    const int64_t count = at_most(kRows, rows - r);
    const T* from = x + r * x_step;
    if (count < kRows || x_step != n) {
      memset(copy, 0, sizeof copy);
      for (int64_t k = 0; k < count; ++k)
        for (int64_t i = 0; i < n; ++i) copy[k * n + i] = from[k * x_step + i];
      from = copy;
    }
    body(from, r, count);
  }
}

template <class T>
bool any_nan(Raw<T> v) {
  T lanes[Vec<T>::kWidth];
  memcpy(lanes, &v, sizeof v);
  bool any = false;
  for (T x : lanes) any |= x != x;
  return any;
}

}  // namespace dlx::DLX_ISA

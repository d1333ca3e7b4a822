// 3x3 kernels, each channel by itself, row by row: every row of x is read once, where it lies, and
// meets the sums of the three rows of the result that see it. For kernel files only.
#pragma once
#include "gemm/epilogue.h"
#include "ops/conv_depthwise_table.h"
#include "ops/lane_range.h"

namespace dlx::DLX_ISA {

constexpr int64_t kMostVectors = 4;  // of a row at a time: 12 sums, 9 taps, 3 of x = 24 registers

// Puts v into a register: the compiler would rather load it anew for every use.
template <class T>
[[gnu::always_inline]] inline void hold(Vec<T>& v) {
#if defined(__SSE2__)
  asm("" : "+v"(v.raw));
#else
  asm("" : "+w"(v.raw));
#endif
}

// Rows in vectors: sums enough to hide the latency of an fma, and registers for them. Between the
// first vector of a row and the last one none may see beyond x.
template <class T>
bool streams_rows(const DepthwiseShape& s) {
  constexpr int64_t W = Vec<T>::kWidth;
  const int64_t vectors = (s.Q + W - 1) / W;
  return kVecBytes == 64 && s.R == 3 && s.S == 3 && s.dil_h == 1 && s.dil_w == 1 && vectors > 2 &&
         s.first_col <= 0 && s.first_col + W >= 0 && s.first_col + (vectors - 1) * W + 1 < s.W;
}

// A row's first vector and its last one by taps: the lanes inside of x.
template <class T>
struct RowEnds {
  LaneRange<T> first[3], last[3];
  int count;  // of the last vector of the result
};

// Columns of V vectors of rows [p0, p0 + rows) of the result, from x, y: (H,W) and (P,Q) planes at
// the first column that the first tap sees, and at the first of the result.
template <class T, int V, bool RELU>
void stream_columns(const DepthwiseShape& s, const RowEnds<T>& at, int64_t p0, int64_t rows,
                    const T* x, const T* taps, T bias, T* y) {
  constexpr int W = Vec<T>::kWidth;
  Vec<T> w[9], sums[3][V];  // of rows of the result that lack one row of x, two and three
#pragma GCC unroll 9
  for (int i = 0; i < 9; ++i) w[i] = Vec<T>::broadcast(taps[i]);
#pragma GCC unroll 3
  for (int r = 0; r < 3; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) sums[r][v] = Vec<T>::zero();
  const RowEnds<T> ends = at;
  const Vec<T> start = Vec<T>::broadcast(bias);
  const int64_t width = s.W, columns = s.Q, top = s.first_row + p0;
  const T* from = x + top * width;
  T* to = y + (p0 - 2) * columns;
  const auto add = [&](Vec<T>* last, Vec<T>* middle, Vec<T>* first) __attribute__((always_inline)) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v)
#pragma GCC unroll 3
      for (int t = 0; t < 3; ++t) {
        const T* place = from + v * W + t;
        Vec<T> a = v == 0       ? ends.first[t].load(place)
                   : v == V - 1 ? ends.last[t].load(place)
                                : Vec<T>::load(place);
        hold(a);
        last[v] = fma(w[6 + t], a, last[v]);
        middle[v] = fma(w[3 + t], a, middle[v]);
        first[v] = fma(w[t], a, first[v]);
      }
  };
  const auto put = [&](Vec<T>* sum) __attribute__((always_inline)) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const Vec<T> total = relu_if(RELU, start + sum[v]);
      if (v < V - 1)
        total.store(to + v * W);
      else
        store_first(to + v * W, total.raw, ends.count);
      sum[v] = Vec<T>::zero();
    }
  };
  const auto clamp = [](int64_t n, int64_t low, int64_t high) {
    return n < low ? low : n < high ? n : high;
  };
  const int64_t all = rows + 2, inside = clamp(-top, 0, all), outside = clamp(s.H - top, 0, all);
  for (int64_t i = 0; i < all;) {
    for (; i >= inside && i >= 2 && i + 3 <= outside; i += 3) {
      add(sums[0], sums[1], sums[2]), put(sums[0]), from += width, to += columns;
      add(sums[1], sums[2], sums[0]), put(sums[1]), from += width, to += columns;
      add(sums[2], sums[0], sums[1]), put(sums[2]), from += width, to += columns;
    }
    if (i == all) break;
    if (i >= inside && i < outside) add(sums[0], sums[1], sums[2]);
    if (i >= 2) put(sums[0]);
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v)
      sums[0][v] = sums[1][v], sums[1][v] = sums[2][v], sums[2][v] = Vec<T>::zero();
    ++i, from += width, to += columns;
  }
}

template <class T, bool RELU>
auto stream_columns_of(int64_t vectors) {
  return vectors == 4   ? stream_columns<T, 4, RELU>
         : vectors == 3 ? stream_columns<T, 3, RELU>
                        : stream_columns<T, 2, RELU>;
}

// Rows [p0, p0 + rows) of a plane.
template <class T>
void stream_rows(const DepthwiseShape& s, int64_t p0, int64_t rows, const T* x, const T* taps,
                 T bias, T* y) {
  constexpr int64_t W = Vec<T>::kWidth;
  const auto clamp = [](int64_t n) { return n < 0 ? 0 : n < W ? n : W; };
  const int64_t vectors = (s.Q + W - 1) / W, groups = (vectors + kMostVectors - 1) / kMostVectors;
  for (int64_t g = 0, v = 0; g < groups; ++g) {
    const int64_t count = (vectors - v + groups - g - 1) / (groups - g), last = v + count - 1;
    RowEnds<T> ends;
    for (int64_t t = 0; t < 3; ++t) {
      const int64_t col = s.first_col + t;
      ends.first[t] = LaneRange<T>(clamp(-col - v * W), W);
      ends.last[t] = LaneRange<T>(0, clamp(s.W - col - last * W));
    }
    ends.count = static_cast<int>(clamp(s.Q - last * W));
    (s.relu ? stream_columns_of<T, true>(count) : stream_columns_of<T, false>(count))(
        s, ends, p0, rows, x + s.first_col + v * W, taps, bias, y + v * W);
    v += count;
  }
}

}  // namespace dlx::DLX_ISA

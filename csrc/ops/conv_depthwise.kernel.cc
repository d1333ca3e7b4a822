// Convolution of each channel by itself: a vector of a row, loaded once for each column of the
// kernel, meets all the rows of the result that see it.
#include "gemm/epilogue.h"
#include "ops/conv_depthwise_rows.h"
#include "ops/conv_depthwise_table.h"
#include "ops/conv_kernels.h"

namespace dlx::DLX_ISA {

namespace {

constexpr int kRows = 4;  // of a tile: 3 + kRows - 1 rows of x serve 3 kRows taps

int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
int64_t max(int64_t a, int64_t b) { return a > b ? a : b; }
int64_t clamp(int64_t x, int64_t low, int64_t high) { return max(low, min(x, high)); }

// y (count) = zeros
template <class T>
void clear(int64_t count, T* y) {
  constexpr int W = Vec<T>::kWidth;
  for (int64_t i = 0; i < count; i += W)
    Vec<T>::zero().store(y + i, static_cast<int>(min(W, count - i)));
}

// The rows of x that rows of the result from p0 on read, `rows` of them, to a copy whose columns
// beyond the image are zeros already.
template <class T>
void copy_rows(const DepthwiseShape& s, const T* plane, int64_t p0, int64_t rows, T* copy) {
  constexpr int W = Vec<T>::kWidth;
  const int64_t begin = clamp(-s.first_col, 0, s.pitch);
  const int64_t end = clamp(s.W - s.first_col, begin, s.pitch);
  for (int64_t i = 0; i < rows; ++i, copy += s.pitch) {
    const int64_t h = s.first_row + p0 + i;
    if (h < 0 || h >= s.H) {
      clear(s.pitch, copy);
      continue;
    }
    const T* from = plane + h * s.W + s.first_col;
    int64_t j = begin;
    for (; j + W <= end; j += W) Vec<T>::load(from + j).store(copy + j);
    if (j < end) {
      const int rest = static_cast<int>(end - j);
      store_first(copy + j, load_first(from + j, rest), rest);
    }
  }
}

// Where a tile finds its rows: distances of neighbours. COL: x_col if it is known, else 0.
struct Steps {
  int64_t x_row, x_col, y_row;
};
template <int COL>
int64_t col_step(const Steps& step) {
  return COL ? COL : step.x_col;
}

// ROWS rows of Q pixels.
template <class T, int K, int COL, int ROWS>
void multiply_rows(int64_t Q, const Steps& step, const T* x, const T* taps, T bias, bool relu,
                   T* y) {
  constexpr int W = Vec<T>::kWidth;
  Vec<T> w[K * K];
#pragma GCC unroll 25
  for (int i = 0; i < K * K; ++i) w[i] = Vec<T>::broadcast(taps[i]);
  const Vec<T> start = Vec<T>::broadcast(bias);
  for (int64_t q = 0; q < Q; q += W) {
    Vec<T> sum[ROWS];
#pragma GCC unroll 4
    for (int p = 0; p < ROWS; ++p) sum[p] = Vec<T>::zero();
    const T* from = x + q;
#pragma GCC unroll 8
    for (int i = 0; i < ROWS + K - 1; ++i, from += step.x_row)
#pragma GCC unroll 5
      for (int t = 0; t < K; ++t) {
        Vec<T> v = Vec<T>::load(from + t * col_step<COL>(step));
        hold(v);
#pragma GCC unroll 4
        for (int p = 0; p < ROWS; ++p)
          if (p <= i && i - p < K) sum[p] = fma(w[(i - p) * K + t], v, sum[p]);
      }
    const int count = static_cast<int>(min(W, Q - q));
#pragma GCC unroll 4
    for (int p = 0; p < ROWS; ++p)
      relu_if(relu, start + sum[p]).store(y + q + p * step.y_row, count);
  }
}

// sums[r, t] += the products of ROWS rows of Q pixels of dy with x, by lanes. The lanes beyond a
// row are zeros of both: elsewhere x may be infinite.
template <class T, int K, int COL, int ROWS>
void weight_rows(int64_t Q, const Steps& step, const T* x, const T* dy, Vec<T>* sums) {
  constexpr int W = Vec<T>::kWidth;
  Vec<T> sum[K * K];
#pragma GCC unroll 25
  for (int i = 0; i < K * K; ++i) sum[i] = sums[i];
  const auto add = [&](int64_t q, auto load) __attribute__((always_inline)) {
    Vec<T> d[ROWS];
#pragma GCC unroll 4
    for (int p = 0; p < ROWS; ++p) d[p] = load(dy + q + p * step.y_row);
    const T* from = x + q;
#pragma GCC unroll 8
    for (int i = 0; i < ROWS + K - 1; ++i, from += step.x_row)
#pragma GCC unroll 5
      for (int t = 0; t < K; ++t) {
        Vec<T> v = load(from + t * col_step<COL>(step));
        hold(v);
#pragma GCC unroll 4
        for (int p = 0; p < ROWS; ++p)
          if (p <= i && i - p < K) sum[(i - p) * K + t] = fma(d[p], v, sum[(i - p) * K + t]);
      }
  };
  int64_t q = 0;
  for (; q + W <= Q; q += W) add(q, [](const T* p) { return Vec<T>::load(p); });
  const int rest = static_cast<int>(Q - q);
  if (rest) add(q, [rest](const T* p) { return Vec<T>{load_first(p, rest)}; });
#pragma GCC unroll 25
  for (int i = 0; i < K * K; ++i) sums[i] = sum[i];
}

template <int ROWS>
struct Height {
  static constexpr int value = ROWS;
};

// body(first row, Height) for each tile: its rows are `dil` apart, so that they share rows of x.
template <class F>
void each_tile(int64_t rows, int64_t dil, const F& body) {
  for (int64_t phase = 0; phase < min(dil, rows); ++phase) {
    int64_t p = phase;
    for (; p + (kRows - 1) * dil < rows; p += kRows * dil) body(p, Height<kRows>());
    if (p + dil < rows) body(p, Height<2>()), p += 2 * dil;
    if (p < rows) body(p, Height<1>());
  }
}

// body(task, plane, p0, rows) for each task, once its rows of x are copied.
template <class T, class F>
void each_task(const DepthwiseShape& s, int64_t begin, int64_t end, const T* x, T* copy,
               const F& body) {
  clear(s.copied(), copy);
  for (int64_t task = begin; task < end; ++task) {
    const int64_t plane = task / s.blocks, p0 = task % s.blocks * s.block;
    const int64_t rows = min(s.block, s.P - p0);
    copy_rows(s, x + plane * s.H * s.W, p0, rows + (s.R - 1) * s.dil_h, copy);
    body(task, plane, p0, rows);
  }
}

// To be read, or to be written: `bytes` from p on.
template <int WRITE>
void prefetch(const void* p, int64_t bytes) {
  for (int64_t i = 0; i < bytes; i += 64)
    __builtin_prefetch(static_cast<const char*>(p) + i, WRITE);
}

template <class T, int K, int COL>
void multiply_taps(const DepthwiseShape& s, int64_t begin, int64_t end, const T* x, const T* w,
                   const T* bias, T* copy, T* y) {
  const Steps step = {s.dil_h * s.pitch, s.dil_w, s.dil_h * s.Q};
  each_task(s, begin, end, x, copy, [&](int64_t, int64_t plane, int64_t p0, int64_t rows) {
    const int64_t c = plane % s.C;
    T taps[K * K];
    for (int i = 0; i < K * K; ++i) taps[i] = w[c * K * K + (s.flipped ? K * K - 1 - i : i)];
    T* out = y + (plane * s.P + p0) * s.Q;
    const T* next = x + (plane * s.H + p0 + rows + s.first_row) * s.W;
    each_tile(rows, s.dil_h, [&](int64_t p, auto height) {
      // While a tile is computed: the rows that the next task copies, and a later tile's results.
      constexpr int64_t kTileRow = decltype(height)::value * static_cast<int64_t>(sizeof(T));
      prefetch<0>(next + p * s.W, kTileRow * s.W);
      prefetch<1>(out + (p + 2 * kRows) * s.Q, kTileRow * s.Q);
      multiply_rows<T, K, COL, decltype(height)::value>(
          s.Q, step, copy + p * s.pitch, taps, bias ? bias[c] : T(0), s.relu, out + p * s.Q);
    });
  });
}

template <class T>
void stream(const DepthwiseShape& s, int64_t begin, int64_t end, const T* x, const T* w,
            const T* bias, T* y) {
  for (int64_t task = begin; task < end; ++task) {
    const int64_t plane = task / s.blocks, p0 = task % s.blocks * s.block, c = plane % s.C;
    T taps[9];
    for (int i = 0; i < 9; ++i) taps[i] = w[c * 9 + (s.flipped ? 8 - i : i)];
    stream_rows(s, p0, min(s.block, s.P - p0), x + plane * s.H * s.W, taps, bias ? bias[c] : T(0),
                y + plane * s.P * s.Q);
  }
}

template <class T>
void multiply(const DepthwiseShape& s, int64_t begin, int64_t end, const void* x, const void* w,
              const void* bias, void* scratch, void* y) {
  if (streams_rows<T>(s))
    return stream(s, begin, end, static_cast<const T*>(x), static_cast<const T*>(w),
                  static_cast<const T*>(bias), static_cast<T*>(y));
  const auto dense = s.R == 3 ? multiply_taps<T, 3, 1> : multiply_taps<T, 5, 1>;
  const auto dilated = s.R == 3 ? multiply_taps<T, 3, 0> : multiply_taps<T, 5, 0>;
  (s.dil_w == 1 ? dense : dilated)(s, begin, end, static_cast<const T*>(x),
                                   static_cast<const T*>(w), static_cast<const T*>(bias),
                                   static_cast<T*>(scratch), static_cast<T*>(y));
}

template <class T, int K, int COL>
void weight_taps(const DepthwiseShape& s, int64_t begin, int64_t end, const T* x, const T* dy,
                 T* copy, T* parts) {
  constexpr int W = Vec<T>::kWidth;
  const Steps step = {s.dil_h * s.pitch, s.dil_w, s.dil_h * s.Q};
  each_task(s, begin, end, x, copy, [&](int64_t task, int64_t plane, int64_t p0, int64_t rows) {
    Vec<T> sums[K * K];
    for (Vec<T>& sum : sums) sum = Vec<T>::zero();
    const T* from = dy + (plane * s.P + p0) * s.Q;
    const T* next = x + (plane * s.H + p0 + rows + s.first_row) * s.W;
    each_tile(rows, s.dil_h, [&](int64_t p, auto height) {
      // Meanwhile the rows that the next task copies, and those of dy of a later tile.
      constexpr int64_t kTileRow = decltype(height)::value * static_cast<int64_t>(sizeof(T));
      prefetch<0>(next + p * s.W, kTileRow * s.W);
      prefetch<0>(from + (p + 2 * kRows) * s.Q, kTileRow * s.Q);
      weight_rows<T, K, COL, decltype(height)::value>(s.Q, step, copy + p * s.pitch, from + p * s.Q,
                                                      sums);
    });
    for (int i = 0; i < K * K; ++i) {
      T lanes[W];
      sums[i].store(lanes);
      for (int n = W / 2; n > 0; n /= 2)
        for (int j = 0; j < n; ++j) lanes[j] += lanes[j + n];
      parts[task * K * K + i] = lanes[0];
    }
  });
}

template <class T>
void weight(const DepthwiseShape& s, int64_t begin, int64_t end, const void* x, const void* dy,
            void* scratch, void* parts) {
  const auto dense = s.R == 3 ? weight_taps<T, 3, 1> : weight_taps<T, 5, 1>;
  const auto dilated = s.R == 3 ? weight_taps<T, 3, 0> : weight_taps<T, 5, 0>;
  (s.dil_w == 1 ? dense : dilated)(s, begin, end, static_cast<const T*>(x),
                                   static_cast<const T*>(dy), static_cast<T*>(scratch),
                                   static_cast<T*>(parts));
}

}  // namespace

extern const DepthwiseTable depthwise_table;
const DepthwiseTable depthwise_table = {{Vec<float>::kWidth, Vec<double>::kWidth},
                                        {multiply<float>, multiply<double>},
                                        {weight<float>, weight<double>}};

}  // namespace dlx::DLX_ISA

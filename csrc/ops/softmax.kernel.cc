// Softmax and its relatives along dense rows and across dense columns, for one instruction set.
#include "ops/lanes.h"
#include "ops/loss_table.h"
#include "ops/vector_math.h"

namespace dlx::DLX_ISA {

#include "ops/math_functions.h"

namespace {

#include "ops/exp_rows.h"

// ----------------------------------------------------------------------------------------------
// rows

template <class Raw>
[[gnu::always_inline]] inline Raw larger(Raw a, Raw b) {
  return a > b ? a : b;
}
#if defined(__AVX512F__)
[[gnu::always_inline]] inline FloatVec larger(FloatVec a, FloatVec b) {
  return _mm512_maskz_max_ps(0xffff, a, b);  // g++ makes two instructions of the other
}
#endif

// Where there is a NaN any number, or NaN: the sum of the row becomes NaN anyway.
template <class T>
T maximum_of(const T* x, int64_t n) {
  constexpr int V = Vec<T>::kWidth, kVectors = 4;
  if (n == 0) return neutral<true, T>();
  T best = x[0];
  if (n < V) {
    for (int64_t c = 1; c < n; ++c) best = x[c] > best ? x[c] : best;
    return best;
  }
  const auto at = [&](int64_t i) { return Vec<T>::load(x + i).raw; };
  typename Vec<T>::Raw top[kVectors];
  for (auto& v : top) v = at(n - V);
  int64_t i = 0;
  for (; i + kVectors * V <= n; i += kVectors * V)
#pragma GCC unroll 4
    for (int k = 0; k < kVectors; ++k) top[k] = larger(top[k], at(i + k * V));
  for (; i + V <= n; i += V) top[0] = larger(top[0], at(i));
  T lanes[V];
  Vec<T>{larger(larger(top[0], top[1]), larger(top[2], top[3]))}.store(lanes);
  for (T v : lanes) best = v > best ? v : best;
  return best;
}

// y = e^(x - shift) and the sum of it; y null: the sum only. The row behind this one is fetched
// meanwhile: exp leaves the memory idle.
template <class T>
double exp_row(const T* x, T shift, T* y, int64_t n) {
  constexpr int64_t kLine = 64 / sizeof(T);
  constexpr int V = Vec<T>::kWidth;
  SumLanes<T> sum;
  int64_t i = 0;
  for (; i + kSumBlock <= n; i += kSumBlock) {
    for (int64_t c = i; c < i + kSumBlock; c += kLine) {
      __builtin_prefetch(x + n + c);
      if (y) __builtin_prefetch(y + n + c, 1);
    }
    exp_block(x + i, shift, y ? y + i : nullptr, sum);
  }
  if (i < n) {
    alignas(64) T e[kSumBlock];
    for (int c = 0; c < kSumBlock; c += V) Vec<T>::zero().store(e + c);
    scaled_exp(x + i, shift, T{}, T{1}, e, n - i);
    for (int64_t c = 0; y && c < n - i; c += V)
      Vec<T>::load(e + c).store(y + i + c, static_cast<int>(n - i - c < V ? n - i - c : V));
    sum.add_block([&](int at) { return load_as<T>(e + at); });
  }
  return rounded(sum.join());
}

template <class T>
void softmax_row(const T* x, T* y, int64_t n) {
  const T scale = static_cast<T>(1 / exp_row(x, maximum_of(x, n), y, n));
#pragma GCC ivdep
  for (int64_t c = 0; c < n; ++c) y[c] *= scale;
}

template <class T>
void log_softmax_row(const T* x, T* y, int64_t n) {
  const T top = maximum_of(x, n);
  const T log_sum = static_cast<T>(__builtin_log(exp_row<T>(x, top, nullptr, n)));
#pragma GCC ivdep
  for (int64_t c = 0; c < n; ++c) y[c] = (x[c] - top) - log_sum;
}

template <class T>
void softmax_backward_row(const T* dy, const T* y, T* dx, int64_t n) {
  const T dot = static_cast<T>(dot_of(dy, y, n));
#pragma GCC ivdep
  for (int64_t c = 0; c < n; ++c) dx[c] = y[c] * (dy[c] - dot);
}

template <class T>
void log_softmax_backward_row(const T* dy, const T* y, T* dx, int64_t n) {
  const T total = static_cast<T>(total_of(dy, n));
#pragma GCC ivdep
  for (int64_t c = 0; c < n; ++c) dx[c] = dy[c] - math::exp(y[c]) * total;
}

template <class T>
void log_sum_exp_row(const T* x, int64_t n, double& maximum, double& log_sum) {
  const T top = maximum_of(x, n);
  maximum = static_cast<double>(top);
  log_sum = __builtin_log(exp_row<T>(x, top, nullptr, n));
}

// ----------------------------------------------------------------------------------------------
// columns

// One sum per column, in float64.
template <class T>
struct Sums {
  alignas(64) double sum[kLossTile] = {}, error[kLossTile] = {};
  void add(int64_t j, T x) { add_term<kIsDouble<T>>(sum[j], error[j], static_cast<double>(x)); }
  double operator[](int64_t j) const { return rounded({sum[j], error[j]}); }
};

template <class T>
void column_maxima(const Vectors& v, const T* x, T* top) {
  memcpy(top, x, static_cast<size_t>(v.count) * sizeof(T));
  for (int64_t c = 1; c < v.n; ++c) {
    const T* row = x + c * v.step;
    for (int64_t j = 0; j < v.count; ++j) top[j] = row[j] > top[j] ? row[j] : top[j];
  }
}

// y = e^(x - maximum) and its sums.
template <class T>
void exp_columns(const Vectors& v, const T* x, const T* top, T* y, int64_t y_step, Sums<T>& sums) {
  for (int64_t c = 0; c < v.n; ++c) {
    const T* row = x + c * v.step;
    T* e = y + c * y_step;
#pragma GCC ivdep
    for (int64_t j = 0; j < v.count; ++j) e[j] = math::exp(row[j] - top[j]);
    for (int64_t j = 0; j < v.count; ++j) sums.add(j, e[j]);
  }
}

template <class T>
void softmax_columns(const Vectors& v, const T* x, T* y) {
  alignas(64) T top[kLossTile];
  Sums<T> sums;
  column_maxima(v, x, top);
  exp_columns(v, x, top, y, v.step, sums);
  for (int64_t j = 0; j < v.count; ++j) top[j] = static_cast<T>(1 / sums[j]);
  for (int64_t c = 0; c < v.n; ++c) {
    T* row = y + c * v.step;
    for (int64_t j = 0; j < v.count; ++j) row[j] *= top[j];
  }
}

template <class T>
void log_softmax_columns(const Vectors& v, const T* x, T* y) {
  alignas(64) T top[kLossTile], log_sum[kLossTile], e[kLossTile];
  Sums<T> sums;
  column_maxima(v, x, top);
  exp_columns(v, x, top, e, 0, sums);
  for (int64_t j = 0; j < v.count; ++j) log_sum[j] = static_cast<T>(__builtin_log(sums[j]));
  for (int64_t c = 0; c < v.n; ++c) {
    const T* from = x + c * v.step;
    T* to = y + c * v.step;
#pragma GCC ivdep
    for (int64_t j = 0; j < v.count; ++j) to[j] = (from[j] - top[j]) - log_sum[j];
  }
}

template <class T>
void softmax_backward_columns(const Vectors& v, const T* dy, const T* y, T* dx) {
  alignas(64) T dot[kLossTile];
  Sums<double> sums;
  for (int64_t c = 0; c < v.n; ++c)
    for (int64_t j = 0; j < v.count; ++j)
      sums.add(j, static_cast<double>(dy[c * v.step + j]) * static_cast<double>(y[c * v.step + j]));
  for (int64_t j = 0; j < v.count; ++j) dot[j] = static_cast<T>(sums[j]);
  for (int64_t c = 0; c < v.n; ++c) {
    const T *g = dy + c * v.step, *p = y + c * v.step;
    T* to = dx + c * v.step;
#pragma GCC ivdep
    for (int64_t j = 0; j < v.count; ++j) to[j] = p[j] * (g[j] - dot[j]);
  }
}

template <class T>
void log_softmax_backward_columns(const Vectors& v, const T* dy, const T* y, T* dx) {
  alignas(64) T total[kLossTile];
  Sums<T> sums;
  for (int64_t c = 0; c < v.n; ++c)
    for (int64_t j = 0; j < v.count; ++j) sums.add(j, dy[c * v.step + j]);
  for (int64_t j = 0; j < v.count; ++j) total[j] = static_cast<T>(sums[j]);
  for (int64_t c = 0; c < v.n; ++c) {
    const T *g = dy + c * v.step, *log_p = y + c * v.step;
    T* to = dx + c * v.step;
#pragma GCC ivdep
    for (int64_t j = 0; j < v.count; ++j) to[j] = g[j] - math::exp(log_p[j]) * total[j];
  }
}

// ----------------------------------------------------------------------------------------------
// both

template <class T>
void softmax(const Vectors& v, const void* x, void* y) {
  const T* from = static_cast<const T*>(x);
  T* to = static_cast<T*>(y);
  if (v.step != 1) return softmax_columns(v, from, to);
  for (int64_t r = 0; r < v.count * v.n; r += v.n) softmax_row(from + r, to + r, v.n);
}

template <class T>
void log_softmax(const Vectors& v, const void* x, void* y) {
  const T* from = static_cast<const T*>(x);
  T* to = static_cast<T*>(y);
  if (v.step != 1) return log_softmax_columns(v, from, to);
  for (int64_t r = 0; r < v.count * v.n; r += v.n) log_softmax_row(from + r, to + r, v.n);
}

template <class T>
void softmax_backward(const Vectors& v, const void* dy, const void* y, void* dx) {
  const T *g = static_cast<const T*>(dy), *p = static_cast<const T*>(y);
  T* to = static_cast<T*>(dx);
  if (v.step != 1) return softmax_backward_columns(v, g, p, to);
  for (int64_t r = 0; r < v.count * v.n; r += v.n) softmax_backward_row(g + r, p + r, to + r, v.n);
}

template <class T>
void log_softmax_backward(const Vectors& v, const void* dy, const void* y, void* dx) {
  const T *g = static_cast<const T*>(dy), *log_p = static_cast<const T*>(y);
  T* to = static_cast<T*>(dx);
  if (v.step != 1) return log_softmax_backward_columns(v, g, log_p, to);
  for (int64_t r = 0; r < v.count * v.n; r += v.n)
    log_softmax_backward_row(g + r, log_p + r, to + r, v.n);
}

template <class T>
void log_sum_exp(const Vectors& v, const void* x, double* maximum, double* log_sum) {
  const T* from = static_cast<const T*>(x);
  if (v.step == 1) {
    for (int64_t r = 0; r < v.count; ++r)
      log_sum_exp_row(from + r * v.n, v.n, maximum[r], log_sum[r]);
    return;
  }
  alignas(64) T top[kLossTile], e[kLossTile];
  Sums<T> sums;
  column_maxima(v, from, top);
  exp_columns(v, from, top, e, 0, sums);
  for (int64_t j = 0; j < v.count; ++j) {
    maximum[j] = static_cast<double>(top[j]);
    log_sum[j] = __builtin_log(sums[j]);
  }
}

}  // namespace

extern const SoftmaxTable softmax_table;
const SoftmaxTable softmax_table = {
    {softmax<float>, softmax<double>},
    {log_softmax<float>, log_softmax<double>},
    {softmax_backward<float>, softmax_backward<double>},
    {log_softmax_backward<float>, log_softmax_backward<double>},
    {log_sum_exp<float>, log_sum_exp<double>},
};

}  // namespace dlx::DLX_ISA

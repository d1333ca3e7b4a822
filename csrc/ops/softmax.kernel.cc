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

// The largest element of a row of n. Where there is a NaN any number, or NaN: the sum of the row
// becomes NaN anyway.
template <class T>
class Maximum {
 public:
  // The block of sums from element i on: the row's last one reaches back.
  [[gnu::always_inline]] void add(const T* row, int64_t i, int64_t n) {
    if (n < kSumBlock) return add_short(row, n);
    const T* x = row + (i + kSumBlock <= n ? i : n - kSumBlock);
    const auto at = [&](int k) { return Vec<T>::load(x + k * V).raw; };
    Raw top[4] = {at(0), at(1), at(2), at(3)};
#pragma GCC unroll 64
    for (int k = 4; k < kSumBlock / V; ++k) top[k % 4] = larger(top[k % 4], at(k));
    top_ = larger(top_, larger(larger(top[0], top[1]), larger(top[2], top[3])));
  }
  T join() const {
    T lanes[V], best = neutral<true, T>();
    Vec<T>{top_}.store(lanes);
    for (T v : lanes) best = v > best ? v : best;
    return best;
  }

 private:
  using Raw = typename Vec<T>::Raw;
  static constexpr int V = Vec<T>::kWidth;

  void add_short(const T* row, int64_t n) {
    if (n < V) {
      for (int64_t i = 0; i < n; ++i) top_ = larger(top_, Vec<T>::broadcast(row[i]).raw);
      return;
    }
    for (int64_t i = 0; i + V <= n; i += V) top_ = larger(top_, Vec<T>::load(row + i).raw);
    top_ = larger(top_, Vec<T>::load(row + n - V).raw);
  }

  Raw top_ = Vec<T>::broadcast(neutral<true, T>()).raw;
};

constexpr int64_t kAhead = 4096;  // bytes: the hardware alone asks too late for what no cache holds
constexpr int64_t kKept = 8192;   // bytes of a row, two of whose exponentials stay in L1
constexpr int64_t kLong = 32768;  // bytes of a row: longer ones go one by one

// Rows in three steps, a row apart: the maximum, the exponentials and their sum, then step.write().
// The steps go block by block together, so that no row waits for the end of its maximum or sum, and
// reading, computing and writing are always under way together. Of a step:
//   write(r, i, some, e)     `some` elements of row r from i on; e: their exponentials, if kKeeps
//   known(r, maximum, sum)   before row r is written, after row r - 1 was
//   keep(r, i, some, e)      optional: the exponentials as soon as they are computed
template <class T, class Step>
void some_rows(int64_t begin, int64_t end, int64_t n, const T* x, Step& step) {
  alignas(64) T e[2][Step::kKeeps ? kKept / sizeof(T) : kSumBlock];
  T top{};
  for (int64_t r = begin; r < end + 2; ++r) {
    const bool reading = r < end, computing = begin < r && r <= end, writing = r >= begin + 2;
    Maximum<T> next_top;
    SumLanes<T> sum;
    for (int64_t i = 0; i < n; i += kSumBlock) {
      const int64_t some = n - i < kSumBlock ? n - i : kSumBlock;
      if (reading) {
        ask_for_block(x + r * n + i, kAhead);
        next_top.add(x + r * n, i, n);
      }
      if (computing) {
        T* to = e[r % 2] + (Step::kKeeps ? i : 0);
        exp_block(x + (r - 1) * n + i, top, to, some);
        sum.add_block([&](int at) { return load_as<T>(to + at); });
        if constexpr (requires { step.keep(r, i, some, to); }) step.keep(r - 1, i, some, to);
      }
      if (writing) step.write(r - 2, i, some, e[r % 2 ^ 1] + (Step::kKeeps ? i : 0));
    }
    if (computing) step.known(r - 1, top, rounded(sum.join()));
    if (reading) top = next_top.join();
  }
}

// Of long rows one after the other, for a cache keeps what is read again.
template <class T, class Step>
void over_rows(int64_t rows, int64_t n, const T* x, Step step) {
  const int64_t together = n * static_cast<int64_t>(sizeof(T)) > kLong ? 1 : rows;
  for (int64_t r = 0; r < rows; r += together) some_rows(r, r + together, n, x, step);
}

// The exponentials of a long row wait in the result.
template <class T, bool kIsLong>
struct Softmax {
  static constexpr bool kKeeps = !kIsLong;
  int64_t n;
  T *y, scale{};

  [[gnu::always_inline]] void keep(int64_t r, int64_t i, int64_t some, const T* e) const
    requires kIsLong
  {
    T* to = y + r * n + i;
    ask_for_block<true>(to, kAhead);
    each_vector<T>(some, [&](int64_t j, int count) { Vec<T>::load(e + j).store(to + j, count); });
  }
  void known(int64_t, T, double sum) { scale = static_cast<T>(1 / sum); }
  [[gnu::always_inline]] void write(int64_t r, int64_t i, int64_t some, const T* e) const {
    T* to = y + r * n + i;
    if (!kIsLong) ask_for_block<true>(to, kAhead);
    each_vector<T>(some, [=, scale = scale](int64_t j, int count) {
      const auto v = kIsLong ? Vec<T>::load(to + j, count) : Vec<T>::load(e + j);
      Vec<T>{v.raw * scale}.store(to + j, count);
    });
  }
};

template <class T>
struct LogSoftmax {
  static constexpr bool kKeeps = false;
  int64_t n;
  const T* x;
  T *y, top{}, log_sum{};

  void known(int64_t, T maximum, double sum) {
    top = maximum, log_sum = static_cast<T>(__builtin_log(sum));
  }
  [[gnu::always_inline]] void write(int64_t r, int64_t i, int64_t some, const T*) const {
    const T* from = x + r * n + i;
    T* to = y + r * n + i;
    ask_for_block<true>(to, kAhead);
    each_vector<T>(some, [=, top = top, log_sum = log_sum](int64_t j, int count) {
      Vec<T>{(Vec<T>::load(from + j, count).raw - top) - log_sum}.store(to + j, count);
    });
  }
};

template <class T>
struct LogSumExp {
  static constexpr bool kKeeps = false;
  double *maximum, *log_sum;

  void known(int64_t r, T top, double sum) {
    maximum[r] = static_cast<double>(top), log_sum[r] = __builtin_log(sum);
  }
  [[gnu::always_inline]] void write(int64_t, int64_t, int64_t, const T*) const {}
};

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
  if (v.n <= kKept / static_cast<int64_t>(sizeof(T)))
    return over_rows(v.count, v.n, from, Softmax<T, false>{v.n, to});
  over_rows(v.count, v.n, from, Softmax<T, true>{v.n, to});
}

template <class T>
void log_softmax(const Vectors& v, const void* x, void* y) {
  const T* from = static_cast<const T*>(x);
  T* to = static_cast<T*>(y);
  if (v.step != 1) return log_softmax_columns(v, from, to);
  over_rows(v.count, v.n, from, LogSoftmax<T>{v.n, from, to});
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
  if (v.step == 1) return over_rows(v.count, v.n, from, LogSumExp<T>{maximum, log_sum});
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

// Sums and extremes of dense rows, at once to the results, for one instruction set. The order
// within a row is that of lanes.h.
#include "ops/reduce_table.h"
#include "ops/segments.h"

namespace dlx::DLX_ISA {

namespace {

// ----------------------------------------------------------------------------------------- sums

template <bool kExact>
struct Total {
  DoubleVec sum, error;  // error: of float64 only

  template <int kHalf>
  [[gnu::always_inline]] static Total joined(const Total& a, const Total& b) {
    Total t{halves<double, kHalf, false>(a.sum, b.sum), {}};
    const DoubleVec upper = halves<double, kHalf, true>(a.sum, b.sum);
    if constexpr (kExact) t.error = halves<double, kHalf, false>(a.error, b.error);
    add_term<kExact>(t.sum, t.error, upper);
    if constexpr (kExact) t.error += halves<double, kHalf, true>(a.error, b.error);
    return t;
  }

  // The first n lanes, divided.
  template <class T>
  [[gnu::always_inline]] void store(double divisor, T* y, int64_t n) const {
    constexpr int V = Vec<double>::kWidth;
    DoubleVec value = sum;
    if constexpr (kExact) value = sum - sum == 0.0 ? sum + error : sum;  // inf has no error
    if (divisor != 1) value /= divisor;
    typedef T Narrow __attribute__((vector_size(V * sizeof(T))));
    const Narrow narrow = __builtin_convertvector(value, Narrow);
    if (n == V) {
      memcpy(y, &narrow, sizeof narrow);
    } else {
      for (int64_t i = 0; i < n; ++i) y[i] = narrow[i];
    }
  }
};

template <class T>
using TotalOf = Total<kIsDouble<T>>;

// The lanes' sums, those of more than a vector joined. kTerms: of a lane in what is left behind
// whole blocks.
template <int kTerms, class T>
[[gnu::always_inline]] inline TotalOf<T> lanes_of_row(const T* x, int64_t n) {
  constexpr int V = Vec<T>::kWidth, kLast = (kTerms - 1) * kSumLanes;
  SumLanes<T> lanes;
  for (; n >= kSumBlock; n -= kSumBlock, x += kSumBlock)
    lanes.add_block([&](int at) { return Vec<T>::load(x + at).raw; });
  if constexpr (kTerms > 0)
    lanes.template add_block<kTerms>([&](int at) {
      const int64_t left = n - at;
      if (at < kLast || left >= V) return Vec<T>::load(x + at).raw;
      return Vec<T>::load(x + at, static_cast<int>(left > 0 ? left : 0)).raw;
    });
#pragma GCC unroll 4
  for (int half = SumLanes<T>::kRegisters / 2; half; half /= 2)
#pragma GCC unroll 4
    for (int r = 0; r < half; ++r) {
      add_term<kIsDouble<T>>(lanes.sum[r], lanes.error[r], lanes.sum[r + half]);
      if (kIsDouble<T>) lanes.error[r] += lanes.error[r + half];
    }
  return {lanes.sum[0], lanes.error[0]};
}

template <class T, int kTerms = 0>
void sum_long_rows(const T* x, int64_t x_step, int64_t rows, int64_t n, double divisor, T* y) {
  constexpr int V = Vec<double>::kWidth;
  if constexpr (kTerms < kSumGroup) {
    if ((n % kSumBlock + kSumLanes - 1) / kSumLanes > kTerms)
      return sum_long_rows<T, kTerms + 1>(x, x_step, rows, n, divisor, y);
  }
  for (int64_t r = 0; r < rows; r += V) {
    const int64_t count = at_most(V, rows - r);
    TotalOf<T> part[V];
    for (int64_t k = 0; k < V; ++k)
      part[k] = lanes_of_row<kTerms>(x + (r + at_most(k, count - 1)) * x_step, n);
    join_segments<V>(part);
    part[0].store(divisor, y + r, count);
  }
}

template <int kSegment, class T>
void sum_short_rows(const T* x, int64_t x_step, int64_t rows, int64_t n, double divisor, T* y) {
  constexpr int V = Vec<T>::kWidth, W = Vec<double>::kWidth;
  if constexpr (kSegment > W) {
    return sum_long_rows(x, x_step, rows, n, divisor, y);
  } else {
    if (n > kSegment) return sum_short_rows<2 * kSegment>(x, x_step, rows, n, divisor, y);
    const Spread<T, kSegment> spread(n, T{});
    over_dense<W>(x, x_step, rows, n, [&](const T* from, int64_t r, int64_t count) {
      TotalOf<T> part[kSegment];
#pragma GCC unroll 8
      for (int k = 0; k < kSegment; k += V / W) {
        const Raw<T> v = spread.load(from + k * (W / kSegment) * n);
        alignas(64) T lanes[V];
        memcpy(lanes, &v, sizeof v);
#pragma GCC unroll 2
        for (int i = 0; i < V / W; ++i)  // 0 + x as in a long row: no sum is -0
          part[k + i] = TotalOf<T>{DoubleVec{} + load_as<double>(lanes + i * W), {}};
      }
      join_segments<kSegment>(part);
      part[0].store(divisor, y + r, count);
    });
  }
}

template <class T>
void sum_rows(const void* x, int64_t x_step, int64_t rows, int64_t n, double divisor, void* y) {
  sum_short_rows<2>(static_cast<const T*>(x), x_step, rows, n, divisor, static_cast<T*>(y));
}

// ------------------------------------------------------------------------------------- extremes

// Of numbers; a NaN is not chosen.
template <bool kMax, class T>
struct Best {
  Raw<T> value;

  [[gnu::always_inline]] static Raw<T> of(Raw<T> best, Raw<T> x) {
    return kMax ? (x > best ? x : best) : (x < best ? x : best);
  }
  template <int kHalf>
  [[gnu::always_inline]] static Best joined(const Best& a, const Best& b) {
    return {
        of(halves<T, kHalf, false>(a.value, b.value), halves<T, kHalf, true>(a.value, b.value))};
  }
};

template <bool kMax, class T>
[[gnu::always_inline]] inline Best<kMax, T> best_of_row(const T* x, int64_t n, Raw<T>& nan) {
  constexpr int V = Vec<T>::kWidth, R = kExtremeLanes / V;
  const Raw<T> none = Vec<T>::broadcast(neutral<kMax, T>()).raw;
  Raw<T> best[R];
  for (Raw<T>& b : best) b = none;
  int64_t i = 0;
  const auto take = [&](int r, Raw<T> v) {
    best[r] = Best<kMax, T>::of(best[r], v);
    nan = v != v ? v : nan;
  };
  for (; i + kExtremeLanes <= n; i += kExtremeLanes) {
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) take(r, Vec<T>::load(x + i + r * V).raw);
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
    const int64_t left = n - i - r * V;
    if (left <= 0) break;
    if (left >= V) {
      take(r, Vec<T>::load(x + i + r * V).raw);
    } else {
      Index<T> lane;
#pragma GCC unroll 16
      for (int k = 0; k < V; ++k) lane[k] = k;
      const Raw<T> v = Vec<T>::load(x + i + r * V, static_cast<int>(left)).raw;
      take(r, lane < static_cast<int>(left) - Index<T>{} ? v : none);
    }
  }
#pragma GCC unroll 4
  for (int half = R / 2; half; half /= 2)
#pragma GCC unroll 8
    for (int r = 0; r < half; ++r) best[r] = Best<kMax, T>::of(best[r], best[r + half]);
  return {best[0]};
}

// Row by row where there is a NaN.
template <bool kMax, class T>
[[gnu::noinline]] void extremes_with_nan(const T* x, int64_t x_step, int64_t rows, int64_t n,
                                         T* y) {
  for (int64_t r = 0; r < rows; ++r) y[r] = extreme_of<kMax>(x + r * x_step, n);
}

template <int kSegment, bool kMax, class T>
void extremes_of_rows(const T* x, int64_t x_step, int64_t rows, int64_t n, T* y) {
  constexpr int V = Vec<T>::kWidth;
  const auto finish = [&](const Best<kMax, T>& best, Raw<T> nan, int64_t r, int64_t count) {
    if (any_nan<T>(nan)) {
      extremes_with_nan<kMax>(x + r * x_step, x_step, count, n, y + r);
    } else {
      Vec<T>{best.value}.store(y + r, static_cast<int>(count));
    }
  };
  if constexpr (kSegment > V) {
    for (int64_t r = 0; r < rows; r += V) {
      const int64_t count = at_most(V, rows - r);
      Best<kMax, T> part[V];
      Raw<T> nan = {};
      for (int64_t k = 0; k < V; ++k)
        part[k] = best_of_row<kMax>(x + (r + at_most(k, count - 1)) * x_step, n, nan);
      join_segments<V>(part);
      finish(part[0], nan, r, count);
    }
  } else {
    if (n > kSegment) return extremes_of_rows<2 * kSegment, kMax>(x, x_step, rows, n, y);
    const Spread<T, kSegment> spread(n, neutral<kMax, T>());
    over_dense<V>(x, x_step, rows, n, [&](const T* from, int64_t r, int64_t count) {
      Best<kMax, T> part[kSegment];
      Raw<T> nan = {};
#pragma GCC unroll 16
      for (int k = 0; k < kSegment; ++k) {
        const Raw<T> v = spread.load(from + k * (V / kSegment) * n);
        nan = v != v ? v : nan;
        part[k].value = v;
      }
      join_segments<kSegment>(part);
      finish(part[0], nan, r, count);
    });
  }
}

template <bool kMax, class T>
void extreme_rows(const void* x, int64_t x_step, int64_t rows, int64_t n, double, void* y) {
  extremes_of_rows<2, kMax>(static_cast<const T*>(x), x_step, rows, n, static_cast<T*>(y));
}

}  // namespace

extern const ReduceRowsTable reduce_rows_table;
const ReduceRowsTable reduce_rows_table = {
    {sum_rows<float>, sum_rows<double>},
    {extreme_rows<true, float>, extreme_rows<true, double>},
    {extreme_rows<false, float>, extreme_rows<false, double>},
};

}  // namespace dlx::DLX_ISA

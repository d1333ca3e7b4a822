// The losses' loops over elements, for one instruction set.
#include "ops/lanes.h"
#include "ops/loss_table.h"
#include "ops/vector_math.h"

namespace dlx::DLX_ISA {

#include "ops/math_functions.h"

namespace {

#include "ops/exp_rows.h"

template <class T>
void weighted_sum(const Vectors& v, const void* x0, const void* weight0, double* sum) {
  const T *x = static_cast<const T*>(x0), *weight = static_cast<const T*>(weight0);
  if (v.step == 1) {
    for (int64_t r = 0; r < v.count; ++r, x += v.n)
      sum[r] = weight ? dot_of(weight, x, v.n) : total_of(x, v.n);
    return;
  }
  alignas(64) double error[kLossTile] = {};
  for (int64_t j = 0; j < v.count; ++j) sum[j] = 0;
  for (int64_t c = 0; c < v.n; ++c) {
    const double w = weight ? static_cast<double>(weight[c]) : 1;
    for (int64_t j = 0; j < v.count; ++j)
      add_term<kIsDouble<T>>(sum[j], error[j], w * static_cast<double>(x[c * v.step + j]));
  }
  for (int64_t j = 0; j < v.count; ++j) sum[j] = rounded({sum[j], error[j]});
}

// The smoothed labels are another loop, so that the usual one stays short.
template <class T>
void cross_entropy_backward(const Vectors& v, const void* x0, const void* weight0, const void* top0,
                            const void* log_sum0, const double* a, const double* b, void* dx0) {
  const T *x = static_cast<const T*>(x0), *weight = static_cast<const T*>(weight0);
  const T *top = static_cast<const T*>(top0), *log_sum = static_cast<const T*>(log_sum0);
  T* dx = static_cast<T*>(dx0);
  if (v.step == 1) {
    constexpr int64_t kBlock = 128, kLine = 64 / sizeof(T);
    for (int64_t r = 0; r < v.count; ++r, x += v.n, dx += v.n) {
      const T high = top[r], low = log_sum[r], scale = static_cast<T>(a[r]);
      for (int64_t c = 0, some; c < v.n; c += some) {
        some = v.n - c < kBlock ? v.n - c : kBlock;
        for (int64_t ahead = c; ahead < c + some; ahead += kLine) {
          __builtin_prefetch(x + v.n + ahead);
          __builtin_prefetch(dx + v.n + ahead, 1);
        }
        scaled_exp(x + c, high, low, scale, dx + c, some);
      }
      if (!b) continue;
      const T smooth = static_cast<T>(b[r]);
#pragma GCC ivdep
      for (int64_t c = 0; c < v.n; ++c) dx[c] -= smooth * (weight ? weight[c] : T{1});
    }
    return;
  }
  alignas(64) T scale[kLossTile], smooth[kLossTile];
  for (int64_t j = 0; j < v.count; ++j) {
    scale[j] = static_cast<T>(a[j]);
    smooth[j] = b ? static_cast<T>(b[j]) : T{};
  }
  for (int64_t c = 0; c < v.n; ++c, x += v.step, dx += v.step) {
    const T w = weight ? weight[c] : T{1};
#pragma GCC ivdep
    for (int64_t j = 0; j < v.count; ++j)
      dx[j] = scale[j] * math::exp((x[j] - top[j]) - log_sum[j]) - smooth[j] * w;
  }
}

struct SquaredDifference {
  template <class V>
  V operator()(V x, V target) const {
    const V d = x - target;
    return d * d;
  }
};

template <class T>
double squared_distance(const void* x, const void* target, int64_t n) {
  return rounded(sum_of<double>(n, SquaredDifference{}, static_cast<const T*>(x),
                                static_cast<const T*>(target)));
}

template <class T>
void squares(const void* x0, const void* target0, int64_t n, void* y0) {
  const T *x = static_cast<const T*>(x0), *target = static_cast<const T*>(target0);
  T* y = static_cast<T*>(y0);
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) y[i] = (x[i] - target[i]) * (x[i] - target[i]);
}

template <class T>
void differences(const void* dy0, const void* x0, const void* target0, double scale0, int64_t n,
                 void* dx0) {
  const T *x = static_cast<const T*>(x0), *target = static_cast<const T*>(target0),
          *dy = static_cast<const T*>(dy0);
  const T scale = static_cast<T>(scale0);
  T* dx = static_cast<T*>(dx0);
  if (dy) {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) dx[i] = scale * dy[i] * (x[i] - target[i]);
  } else {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) dx[i] = scale * (x[i] - target[i]);
  }
}

double total(const double* x, int64_t n) { return total_of(x, n); }

}  // namespace

extern const LossTable loss_table;
const LossTable loss_table = {
    {weighted_sum<float>, weighted_sum<double>},
    {cross_entropy_backward<float>, cross_entropy_backward<double>},
    {squared_distance<float>, squared_distance<double>},
    {squares<float>, squares<double>},
    {differences<float>, differences<double>},
    total,
};

}  // namespace dlx::DLX_ISA

// Layer normalisation, for one instruction set: statistics of rows, parameters of columns.
#include "ops/norm_sums.h"

namespace dlx::DLX_ISA {

namespace {

// Rows of which one step follows the other, so that the processor overlaps the ends of their sums.
constexpr int64_t kRowsAtOnce = 8;

// y = (x - mean) rstd gamma + beta
template <class T>
void normalize_row(int64_t d, const T* x, const Mean<T>& mean, T rstd, const T* gamma,
                   const T* beta, T* y) {
  if (gamma && beta) {
#pragma GCC ivdep
    for (int64_t j = 0; j < d; ++j) y[j] = mean.from(x[j]) * rstd * gamma[j] + beta[j];
    return;
  }
#pragma GCC ivdep
  for (int64_t j = 0; j < d; ++j) y[j] = mean.from(x[j]) * rstd;
  for (int64_t j = 0; gamma && j < d; ++j) y[j] *= gamma[j];
  for (int64_t j = 0; beta && j < d; ++j) y[j] += beta[j];
}

template <class T>
void layer_norm(int64_t rows, int64_t d, double eps, const void* x0, const void* gamma,
                const void* beta, void* y0, double* mean, double* rstd) {
  const T* x = static_cast<const T*>(x0);
  T* y = static_cast<T*>(y0);
  const double n = static_cast<double>(d);
  for (int64_t first = 0; first < rows; first += kRowsAtOnce) {
    const int64_t end = rows - first < kRowsAtOnce ? rows : first + kRowsAtOnce;
    for (int64_t r = first; r < end; ++r) {
      const Moments m = moments_of(x + r * d, d);
      mean[r] = m.sum / n;
      rstd[r] = 1 / __builtin_sqrt(m.square / n + eps);
    }
    for (int64_t r = first; r < end; ++r) {
      normalize_row(d, x + r * d, Mean<T>(mean[r]), static_cast<T>(rstd[r]),
                    static_cast<const T*>(gamma), static_cast<const T*>(beta), y + r * d);
    }
  }
}

// dx = rstd (g - mean(g) - (x - mean) rstd^2 mean(g (x - mean))), g = dy gamma
template <class T>
void layer_norm_backward(int64_t rows, int64_t d, const void* dy0, const void* x0,
                         const double* mean, const double* rstd, const void* gamma0, void* dx0) {
  const T *dy = static_cast<const T*>(dy0), *x = static_cast<const T*>(x0),
          *gamma = static_cast<const T*>(gamma0);
  T* dx = static_cast<T*>(dx0);
  const double n = static_cast<double>(d);
  for (int64_t first = 0; first < rows; first += kRowsAtOnce) {
    const int64_t end = rows - first < kRowsAtOnce ? rows : first + kRowsAtOnce;
    double sum[kRowsAtOnce], product[kRowsAtOnce];
    for (int64_t r = first; r < end; ++r) {
      const T *from = dy + r * d, *of = x + r * d;
      const Mean<T> m(mean[r]);
      const auto term = [m](auto g, auto v) { return g * m.from(v); };
      const auto scaled_term = [m](auto g, auto v, auto w) { return g * w * m.from(v); };
      sum[r - first] = gamma ? dot_of(from, gamma, d) : total_of(from, d);
      product[r - first] = gamma ? rounded(sum_of<T>(d, scaled_term, from, of, gamma))
                                 : rounded(sum_of<T>(d, term, from, of));
    }
    for (int64_t r = first; r < end; ++r) {
      const T *from = dy + r * d, *of = x + r * d;
      T* to = dx + r * d;
      const Mean<T> m(mean[r]);
      const T mean_g = static_cast<T>(sum[r - first] / n), scale = static_cast<T>(rstd[r]),
              slope = static_cast<T>(product[r - first] / n * rstd[r] * rstd[r]);
#pragma GCC ivdep
      for (int64_t j = 0; j < d; ++j) {
        const T g = gamma ? from[j] * gamma[j] : from[j];
        to[j] = ((g - mean_g) - m.from(of[j]) * slope) * scale;
      }
    }
  }
}

template <class T>
void layer_norm_parameters(int64_t rows, int64_t d, const void* dy0, const void* x0,
                           const double* mean, const double* rstd, double* dgamma, double* dbeta) {
  const T *dy = static_cast<const T*>(dy0), *x = static_cast<const T*>(x0);
  for (int64_t first = 0; first < d; first += kNormTile) {
    const int64_t count = d - first < kNormTile ? d - first : kNormTile;
    ColumnSums<T> products, sums;
    products.add(rows, count, [&](int64_t r, int64_t j) {
      const int64_t at = r * d + first + j;
      return dy[at] * (Mean<T>(mean[r]).from(x[at]) * static_cast<T>(rstd[r]));
    });
    sums.add(rows, count, [&](int64_t r, int64_t j) { return dy[r * d + first + j]; });
    products.store(count, dgamma + first);
    sums.store(count, dbeta + first);
  }
}

}  // namespace

extern const LayerNormTable layer_norm_table;
const LayerNormTable layer_norm_table = {
    {layer_norm<float>, layer_norm<double>},
    {layer_norm_backward<float>, layer_norm_backward<double>},
    {layer_norm_parameters<float>, layer_norm_parameters<double>},
};

}  // namespace dlx::DLX_ISA

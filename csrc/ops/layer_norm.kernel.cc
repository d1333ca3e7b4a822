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

// What a row brings to its gradient, g = dy gamma, d = x - mean: its sums in one pass.
template <class T>
void row_sums(int64_t d, const T* dy, const T* x, const T* gamma, const Mean<T>& mean, double* sum,
              double* product) {
  SumLanes<T> sums, products;
  int64_t i = 0;
  for (; i + kSumBlock <= d; i += kSumBlock) {
    const auto g = [&](int at) {
      const auto v = load_as<T>(dy + i + at);
      return gamma ? v * load_as<T>(gamma + i + at) : v;
    };
    sums.add_block(g);
    products.add_block([&](int at) { return g(at) * mean.from(load_as<T>(x + i + at)); });
  }
  if (i < d) {
    alignas(64) T sum_rest[kSumBlock] = {}, product_rest[kSumBlock] = {};
    for (int64_t k = 0; k < d - i; ++k) {
      sum_rest[k] = gamma ? dy[i + k] * gamma[i + k] : dy[i + k];
      product_rest[k] = sum_rest[k] * mean.from(x[i + k]);
    }
    sums.add_block([&](int at) { return load_as<T>(sum_rest + at); });
    products.add_block([&](int at) { return load_as<T>(product_rest + at); });
  }
  *sum = rounded(sums.join()), *product = rounded(products.join());
}

// Of each row: dx = ((g - mean_g) - d slope) rstd.
template <class T>
struct Rows {
  T *hi, *lo, *mean_g, *slope, *rstd;
  Rows(void* work, int64_t rows)
      : hi(static_cast<T*>(work)),
        lo(hi + rows),
        mean_g(lo + rows),
        slope(mean_g + rows),
        rstd(slope + rows) {}
  [[gnu::always_inline]] T centered(T x, int64_t r) const { return (x - hi[r]) - lo[r]; }
};

// Rows first, then columns, while the cache still has them: dx = rstd (g - mean(g) - d rstd^2
// mean(g d)), dgamma = sum of dy d rstd, dbeta = sum of dy.
template <class T>
void layer_norm_backward(int64_t rows, int64_t d, const void* dy0, const void* x0,
                         const double* mean, const double* rstd, const void* gamma0, void* dx0,
                         double* dgamma, double* dbeta, void* work) {
  const T *dy = static_cast<const T*>(dy0), *x = static_cast<const T*>(x0),
          *gamma = static_cast<const T*>(gamma0);
  T* dx = static_cast<T*>(dx0);
  const double n = static_cast<double>(d);
  const Rows<T> row(work, rows);
  for (int64_t r = 0; r < rows; ++r) {
    double sum, product;
    const Mean<T> m(mean[r]);
    row_sums(d, dy + r * d, x + r * d, gamma, m, &sum, &product);
    row.hi[r] = m.hi, row.lo[r] = m.lo;
    row.mean_g[r] = static_cast<T>(sum / n);
    row.slope[r] = static_cast<T>(product / n * rstd[r] * rstd[r]);
    row.rstd[r] = static_cast<T>(rstd[r]);
  }
  for (int64_t first = 0; first < d; first += kNormTile) {
    const int64_t count = d - first < kNormTile ? d - first : kNormTile;
    alignas(64) T scale[kNormTile];
    for (int64_t j = 0; j < count; ++j) scale[j] = gamma ? gamma[first + j] : T{1};
    ColumnSums<T> products, sums;
    products.add(rows, count, [&](int64_t r, int64_t j) {
      const int64_t at = r * d + first + j;
      const T centered = row.centered(x[at], r);
      dx[at] = ((dy[at] * scale[j] - row.mean_g[r]) - centered * row.slope[r]) * row.rstd[r];
      return dy[at] * (centered * row.rstd[r]);
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
};

}  // namespace dlx::DLX_ISA

// What the kernels of the normalisations share: means in two parts, moments of rows, sums of
// columns. For kernel files only.
//
// A mean comes as float64 and is subtracted in two parts, hi + lo: where x is near it x - hi is
// exact (Sterbenz), so nothing is lost when |mean| >> std.
#pragma once
#include "ops/lanes.h"
#include "ops/norm_table.h"

namespace dlx::DLX_ISA {

template <class T>
struct Mean {
  T hi, lo;
  explicit Mean(double mean)
      : hi(static_cast<T>(mean)), lo(static_cast<T>(mean - static_cast<double>(hi))) {}
  template <class V>
  [[gnu::always_inline]] V from(V x) const {
    return (x - hi) - lo;
  }
};

// Two passes over the values, which the first one leaves in the cache: a single pass, E(x^2) -
// E(x)^2, cancels when |mean| >> std. The second pass takes away what rounding left in the mean of
// the first: the corrected two-pass algorithm of Chan, Golub, LeVeque, "Algorithms for computing
// the sample variance" (1983).
struct Moments {
  double sum, square;  // of x, of (x - sum / n)^2
};

template <class T>
Moments moments_about(const T* x, int64_t n, double about) {
  const Mean<T> mean(about);
  SumLanes<T> sums, squares;
  int64_t i = 0;
  for (; i + kSumBlock <= n; i += kSumBlock) {
    const auto d = [&](int at) { return mean.from(load_as<T>(x + i + at)); };
    sums.add_block(d);
    squares.add_block([&](int at) { return d(at) * d(at); });
  }
  if (i < n) {
    alignas(64) T rest[kSumBlock] = {};
    for (int64_t k = 0; k < n - i; ++k) rest[k] = mean.from(x[i + k]);
    const auto d = [&](int at) { return load_as<T>(rest + at); };
    sums.add_block(d);
    squares.add_block([&](int at) { return d(at) * d(at); });
  }
  const double count = static_cast<double>(n), left = rounded(sums.join());
  return {about * count + left, rounded(squares.join()) - left * left / count};
}

// One sum per column, of terms of type T.
template <class T>
struct ColumnSums {
  alignas(64) double sum[kNormTile] = {}, error[kNormTile] = {};

  // term(r, j): row r of column j. Groups of 8 rows add up as a tree, their sums in float64.
  template <class Term>
  [[gnu::always_inline]] void add(int64_t rows, int64_t count, const Term& term) {
    alignas(64) T group[kNormTile];
    int64_t r = 0;
    for (; r + kSumGroup <= rows; r += kSumGroup) {
#pragma GCC ivdep
      for (int64_t j = 0; j < count; ++j)
        group[j] = tree_sum<kSumGroup>([&](int g) { return term(r + g, j); });
      for (int64_t j = 0; j < count; ++j)
        add_term<kIsDouble<T>>(sum[j], error[j], static_cast<double>(group[j]));
    }
    for (; r < rows; ++r)
      for (int64_t j = 0; j < count; ++j)
        add_term<kIsDouble<T>>(sum[j], error[j], static_cast<double>(term(r, j)));
  }
  void store(int64_t count, double* to) const {
    for (int64_t j = 0; j < count; ++j) to[j] = rounded({sum[j], error[j]});
  }
};

}  // namespace dlx::DLX_ISA

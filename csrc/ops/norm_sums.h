// What the kernels of the normalisations share: means in two parts, moments of rows, sums of
// columns. For kernel files only.
#pragma once
#include "ops/lanes.h"
#include "ops/norm_table.h"

namespace dlx::DLX_ISA {

#include "ops/mean.h"

struct Moments {
  double sum, square;  // of x, of (x - sum / n)^2
};

// Asks for a block of sums of what follows on n elements at x, kAhead elements from element i on:
// behind the last of them there are those at `next`.
template <class T>
[[gnu::always_inline]] inline void ask_ahead(const T* x, int64_t n, int64_t i, const T* next) {
  constexpr int64_t kAhead = 4096 / sizeof(T), kLine = 64 / sizeof(T);
  const int64_t at = i + kAhead;
  const T* p = at < n ? x + at : next + (at - n);
  for (int64_t k = 0; k < kSumBlock; k += kLine) __builtin_prefetch(p + k);
}

// The moments about `about`; square is not yet about the mean.
template <class T>
Moments shifted_moments(const T* x, int64_t n, double about, const T* next) {
  const Mean<T> mean(about);
  SumLanes<T> sums, squares;
  int64_t i = 0;
  for (; i + kSumBlock <= n; i += kSumBlock) {
    if (next) ask_ahead(x, n, i, next);
    const auto d = [&](int at) { return mean.from(load_as<T>(x + i + at)); };
    sums.add_block(d);
    squares.add_block([&](int at) { return d(at) * d(at); });
  }
  if (i < n) {
    alignas(64) T rest[kSumBlock];
    fill_rest(
        n - i, rest, [&](int64_t k) { return mean.from(x[i + k]); },
        [&](int at) { return mean.from(load_as<T>(x + i + at)); });
    const auto d = [&](int at) { return load_as<T>(rest + at); };
    sums.add_block(d);
    squares.add_block([&](int at) { return d(at) * d(at); });
  }
  return {rounded(sums.join()), rounded(squares.join())};
}

// E(x^2) - E(x)^2 cancels when |mean| >> std; so the moments are taken about a guess, the mean of
// the first block, and what the guess lacks is taken away (Chan, Golub, LeVeque, "Algorithms for
// computing the sample variance", 1983). One pass where the guess is good; where it makes up half
// of the square, or that is not finite, a second one about the mean that the first one found.
template <class T>
Moments moments_of(const T* x, int64_t n, const T* next = nullptr) {
  const double count = static_cast<double>(n);
  const int64_t few = n < 2 * kSumBlock ? n : kSumBlock;
  double about = total_of(x, few) / static_cast<double>(few);
  for (bool again = false;; again = true) {
    const Moments m = shifted_moments(x, n, about, next);
    const double excess = m.sum * m.sum / count, sum = about * count + m.sum;
    const bool good = excess <= m.square / 2 && m.square - m.square == 0;
    if (good || again) return {sum, m.square - excess};
    about = sum / count;
  }
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

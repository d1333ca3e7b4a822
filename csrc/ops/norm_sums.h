// What the kernels of the normalisations share: means in two parts, moments and gradients' sums of
// rows, sums of columns. For kernel files only.
#pragma once
#include "ops/lanes.h"
#include "ops/norm_table.h"

namespace dlx::DLX_ISA {

#include "ops/mean.h"

struct Moments {
  double sum, square;  // of x, of (x - sum / n)^2
};

struct ShiftedTotals {
  double off, square;  // of x - guess, of (x - guess)^2
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

// E(x^2) - E(x)^2 cancels when |mean| >> std; so the moments are taken about a guess, the mean of
// the first block, and what the guess lacks is taken away (Chan, Golub, LeVeque, "Algorithms for
// computing the sample variance", 1983). One pass where the guess is good; where it makes up half
// of the square, or that is not finite, a second one about the mean that the first one found.
template <class T>
class ShiftedSums {
 public:
  static double guess(const T* x, int64_t n) {
    const int64_t few = n < 2 * kSumBlock ? n : kSumBlock;
    return total_of(x, few) / static_cast<double>(few);
  }

  // The guess is rounded, so that one subtraction takes it away.
  explicit ShiftedSums(double guess) : guess_(static_cast<T>(guess)) {}

  // n elements at x, a whole block but for the last ones: what is not there adds nothing.
  [[gnu::always_inline]] void add(const T* x, int64_t n) {
    const Raw guess = Vec<T>::broadcast(guess_).raw;
    if (n >= kSumBlock)
      return add_offsets<kSumGroup>([=](int at) { return Vec<T>::load(x + at).raw - guess; });
#if defined(__AVX512F__)
    const auto offset = [=](int at) {
      const int64_t left = n - at;
      const int some = static_cast<int>(left < 0 ? 0 : left < V ? left : V);
      return only_first(load_first(x + at, some) - guess, some);
    };
    if (n <= kSumBlock / 2) return add_offsets<kSumGroup / 2>(offset);
    add_offsets<kSumGroup>(offset);
#else
    alignas(64) T rest[kSumBlock];
    for (int at = 0; at < kSumBlock; at += V) {
      const int64_t left = n - at;
      if (left < V) Vec<T>::broadcast(guess_).store(rest + at);
      if (left > 0) {
        const int some = static_cast<int>(left < V ? left : V);
        Vec<T>::load(x + at, some).store(rest + at, some);
      }
    }
    add_offsets<kSumGroup>([&](int at) { return Vec<T>::load(rest + at).raw - guess; });
#endif
  }

  // Of the n elements at x that were added.
  Moments moments(const T* x, int64_t n) const { return moments(totals(), guess_, x, n); }
  ShiftedTotals totals() const { return {rounded(sums_.join()), rounded(squares_.join())}; }
  static Moments moments(const ShiftedTotals& totals, double guess, const T* x, int64_t n) {
    const double count = static_cast<double>(n), off = totals.off, square = totals.square;
    const double excess = off * off / count,
                 sum = static_cast<double>(static_cast<T>(guess)) * count + off;
    if (excess <= square / 2 && square - square == 0) return {sum, square - excess};
    return about_mean(x, n, sum / count);
  }

 private:
  using Raw = typename Vec<T>::Raw;
  static constexpr int V = Vec<T>::kWidth;

  // d(i): the vector of terms i, i + 1, ... of a block.
  template <int kTerms, class Offset>
  [[gnu::always_inline]] void add_offsets(const Offset& d) {
    sums_.template add_block<kTerms>(d);
    squares_.template add_block<kTerms>([&](int at) { return d(at) * d(at); });
  }

  [[gnu::noinline]] static Moments about_mean(const T* x, int64_t n, double mean) {
    ShiftedSums sums(mean);
    for (int64_t i = 0; i < n; i += kSumBlock) sums.add(x + i, n - i);
    const double off = rounded(sums.sums_.join()), square = rounded(sums.squares_.join());
    const double count = static_cast<double>(n);
    return {static_cast<double>(sums.guess_) * count + off, square - off * off / count};
  }

  T guess_;
  SumLanes<T> sums_, squares_;
};

template <class T>
Moments moments_of(const T* x, int64_t n, const T* next = nullptr) {
  ShiftedSums<T> sums(ShiftedSums<T>::guess(x, n));
  for (int64_t i = 0; i < n; i += kSumBlock) {
    if (next) ask_ahead(x, n, i, next);
    sums.add(x + i, n - i);
  }
  return sums.moments(x, n);
}

// The n < kSumBlock terms of a row behind its whole blocks.
template <class T>
[[gnu::always_inline]] inline void add_rest(int64_t n, const T* dy, const T* x, const T* gamma,
                                            const Mean<T>& mean, SumLanes<T>& sums,
                                            SumLanes<T>& products) {
#if defined(__AVX512F__)
  const auto some = [n](int at) {
    const int64_t left = n - at;
    return static_cast<int>(left < 0 ? 0 : left < Vec<T>::kWidth ? left : Vec<T>::kWidth);
  };
  const auto g = [&](int at) {
    const auto v = load_first(dy + at, some(at));
    return gamma ? v * load_first(gamma + at, some(at)) : v;
  };
  const auto product = [&](int at) {
    return only_first(g(at) * mean.from(load_first(x + at, some(at))), some(at));
  };
  const auto add = [&]<int kTerms>() {
    sums.template add_block<kTerms>(g);
    products.template add_block<kTerms>(product);
  };
  n <= kSumBlock / 2 ? add.template operator()<kSumGroup / 2>()
                     : add.template operator()<kSumGroup>();
#else
  alignas(64) T sum_rest[kSumBlock] = {}, product_rest[kSumBlock] = {};
  for (int64_t k = 0; k < n; ++k) {
    sum_rest[k] = gamma ? dy[k] * gamma[k] : dy[k];
    product_rest[k] = sum_rest[k] * mean.from(x[k]);
  }
  sums.add_block([&](int at) { return load_as<T>(sum_rest + at); });
  products.add_block([&](int at) { return load_as<T>(product_rest + at); });
#endif
}

// What n elements bring to a gradient, g = dy gamma, d = x - mean: the sums of g and of g d, in one
// pass. gamma: null for 1. next: of the elements that are asked for meanwhile, how far behind these
// they are; 0 for none.
template <class T>
[[gnu::always_inline]] inline void gradient_sums(int64_t n, const T* dy, const T* x, const T* gamma,
                                                 const Mean<T>& mean, int64_t next, double* sum,
                                                 double* product) {
  SumLanes<T> sums, products;
  int64_t i = 0;
  for (; i + kSumBlock <= n; i += kSumBlock) {
    if (next) ask_ahead(dy, n, i, dy + next), ask_ahead(x, n, i, x + next);
    const auto g = [&](int at) {
      const auto v = load_as<T>(dy + i + at);
      return gamma ? v * load_as<T>(gamma + i + at) : v;
    };
    sums.add_block(g);
    products.add_block([&](int at) { return g(at) * mean.from(load_as<T>(x + i + at)); });
  }
  if (i < n) add_rest(n - i, dy + i, x + i, gamma ? gamma + i : nullptr, mean, sums, products);
  *sum = rounded(sums.join()), *product = rounded(products.join());
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

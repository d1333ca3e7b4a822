// Layer normalisation, for one instruction set: statistics of rows, parameters of columns.
#include "ops/norm_sums.h"

namespace dlx::DLX_ISA {

namespace {

// Of a gradient: rows of which one step follows the other, so that the processor overlaps the ends
// of their sums.
constexpr int64_t kRowsAtOnce = 8;

// y = (x - mean) rstd gamma + beta of a row; gamma and beta may be null. As (x - hi) rstd - lo rstd
// with hi and lo of mean.h: lo is less than a rounding of the mean, so its product may round.
template <class T>
struct Normalization {
  T hi, rstd, minus_lo;

  // n elements, at most a block.
  [[gnu::always_inline]] void apply(const T* x, const T* gamma, const T* beta, T* y,
                                    int64_t n) const {
    using V = Vec<T>;
    const auto each = [&](const auto& with_parameters) {
      each_vector<T>(n, [&](int64_t j, int some) {
        const V centered{V::load(x + j, some).raw - hi};
        const V v = fma(centered, V::broadcast(rstd), V::broadcast(minus_lo));
        with_parameters(v, j, some).store(y + j, some);
      });
    };
    if (gamma && beta) {
      each([&](V v, int64_t j, int some) {
        return fma(v, V::load(gamma + j, some), V::load(beta + j, some));
      });
    } else if (gamma) {
      each([&](V v, int64_t j, int some) { return v * V::load(gamma + j, some); });
    } else if (beta) {
      each([&](V v, int64_t j, int some) { return v + V::load(beta + j, some); });
    } else {
      each([](V v, int64_t, int) { return v; });
    }
  }
};

constexpr int64_t kAhead = 4096;  // bytes: the hardware alone asks too late for what no cache holds

// A row at x is summed up while another at `from` is written to y.
template <bool kSum, bool kWrite, class T>
[[gnu::noinline]] ShiftedTotals layer_norm_row(int64_t d, const T* x, double guess, const T* from,
                                               const Normalization<T>& of, const T* gamma,
                                               const T* beta, T* y) {
  ShiftedSums<T> sums(guess);
  const Normalization<T> written = of;
  const auto block = [&](int64_t i, int64_t n) __attribute__((always_inline)) {
    if constexpr (kSum) {
      ask_for_block(x + i, kAhead);
      sums.add(x + i, n);
    }
    if constexpr (kWrite) {
      ask_for_block<true>(y + i, kAhead);
      written.apply(from + i, gamma ? gamma + i : nullptr, beta ? beta + i : nullptr, y + i, n);
    }
  };
  int64_t i = 0;
  for (; i + kSumBlock <= d; i += kSumBlock) block(i, kSumBlock);
  if (i < d) block(i, d - i);
  return sums.totals();
}

// The rows of one group are written while those of the next are summed up, so that computing,
// reading and writing are always under way together. What is computed of a row between them is a
// chain of quotients and roots, behind which no instruction retires: a group waits for it once.
template <int kRows, class T>
void layer_norm_groups(int64_t rows, int64_t d, double eps, const T* x, const T* gamma,
                       const T* beta, T* y, double* mean, double* rstd) {
  using Sums = ShiftedSums<T>;
  Normalization<T> written[kRows] = {};
  for (int64_t first = 0, to_write = 0; first < rows || to_write; first += kRows) {
    const int64_t left = first < rows ? rows - first : 0, to_sum = left < kRows ? left : kRows;
    const T *of_group = x + first * d, *before = of_group - kRows * d;
    T* to = y + (first - kRows) * d;
    double guess[kRows];
    ShiftedTotals totals[kRows];
    for (int64_t r = 0; r < to_sum; ++r) guess[r] = Sums::guess(of_group + r * d, d);
    for (int64_t r = 0; r < to_sum || r < to_write; ++r) {
      const int64_t at = r * d;
      if (r < to_sum && r < to_write) {
        totals[r] = layer_norm_row<true, true>(d, of_group + at, guess[r], before + at, written[r],
                                               gamma, beta, to + at);
      } else if (r < to_sum) {
        totals[r] = layer_norm_row<true, false, T>(d, of_group + at, guess[r], nullptr, written[r],
                                                   gamma, beta, nullptr);
      } else {
        layer_norm_row<false, true, T>(d, nullptr, 0, before + at, written[r], gamma, beta,
                                       to + at);
      }
    }
    const double n = static_cast<double>(d);
    double means[kRows] = {}, scales[kRows] = {};
    for (int64_t r = 0; r < to_sum; ++r) {
      const Moments m = Sums::moments(totals[r], guess[r], of_group + r * d, d);
      means[r] = m.sum, scales[r] = m.square;
    }
    for (int r = 0; r < kRows; ++r) {
      means[r] /= n;
      scales[r] = 1 / __builtin_sqrt(scales[r] / n + eps);
    }
    for (int64_t r = 0; r < to_sum; ++r) {
      mean[first + r] = means[r], rstd[first + r] = scales[r];
      const Mean<T> m(means[r]);
      const T scale = static_cast<T>(scales[r]);
      written[r] = {m.hi, scale, -m.lo * scale};
    }
    to_write = to_sum;
  }
}

template <class T>
void layer_norm(int64_t rows, int64_t d, double eps, const void* x, const void* gamma,
                const void* beta, void* y, double* mean, double* rstd) {
  // A group's rows are read twice: short ones wait in L1, long ones in L2.
  constexpr int64_t kShort = 1024, kLong = 131072;  // bytes
  const int64_t bytes = d * static_cast<int64_t>(sizeof(T));
  const auto groups = bytes <= kShort  ? layer_norm_groups<8, T>
                      : bytes <= kLong ? layer_norm_groups<2, T>
                                       : layer_norm_groups<1, T>;
  groups(rows, d, eps, static_cast<const T*>(x), static_cast<const T*>(gamma),
         static_cast<const T*>(beta), static_cast<T*>(y), mean, rstd);
}

// What neighbouring rows need: dx = ((g - mean_g) - d slope) rstd.
template <class T>
struct Rows {
  T hi[kRowsAtOnce], lo[kRowsAtOnce], mean_g[kRowsAtOnce], slope[kRowsAtOnce], rstd[kRowsAtOnce];
};

// One sum for each column; error as in lanes.h, for float64.
struct ColumnTotals {
  double *sum, *error;

  template <class T>
  [[gnu::always_inline]] void add(int64_t j, typename Vec<T>::Raw terms, int n) const {
    constexpr int V = Vec<T>::kWidth, W = Vec<double>::kWidth;
    alignas(64) T lanes[V];
    memcpy(lanes, &terms, sizeof lanes);
#pragma GCC unroll 2
    for (int k = 0; k < V; k += W) {
      const int some = n - k < W ? n - k : W;
      if (some <= 0) return;
      DoubleVec total = Vec<double>::load(sum + j + k, some).raw, lost = {};
      if (kIsDouble<T>) lost = Vec<double>::load(error + j + k, some).raw;
      add_term<kIsDouble<T>>(total, lost, load_as<double>(lanes + k));
      Vec<double>{total}.store(sum + j + k, some);
      if (kIsDouble<T>) Vec<double>{lost}.store(error + j + k, some);
    }
  }
};

// dx of kRows rows, and what they add to the parameters' gradients: as a tree, then in float64.
template <int kRows, class T>
void gradient_of_rows(int64_t d, const T* dy, const T* x, const T* gamma, const Rows<T>& row, T* dx,
                      const ColumnTotals& products, const ColumnTotals& sums) {
  using Raw = typename Vec<T>::Raw;
  constexpr int V = Vec<T>::kWidth;
  for (int64_t j = 0; j < d; j += V) {
    const int n = static_cast<int>(d - j < V ? d - j : V);
    const Raw scale = gamma ? Vec<T>::load(gamma + j, n).raw : Vec<T>::broadcast(1).raw;
    Raw g[kRows], product[kRows];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      g[r] = Vec<T>::load(dy + r * d + j, n).raw;
      const Raw centered = (Vec<T>::load(x + r * d + j, n).raw - row.hi[r]) - row.lo[r];
      const Raw result = ((g[r] * scale - row.mean_g[r]) - centered * row.slope[r]) * row.rstd[r];
      Vec<T>{result}.store(dx + r * d + j, n);
      product[r] = g[r] * (centered * row.rstd[r]);
    }
    products.add<T>(j, tree_sum<kRows>([&](int r) { return product[r]; }), n);
    sums.add<T>(j, tree_sum<kRows>([&](int r) { return g[r]; }), n);
  }
}

// dx = rstd (g - mean(g) - d rstd^2 mean(g d)), dgamma = sum of dy d rstd, dbeta = sum of dy.
template <class T>
void layer_norm_backward(int64_t rows, int64_t d, const void* dy0, const void* x0,
                         const double* mean, const double* rstd, const void* gamma0, void* dx0,
                         double* dgamma, double* dbeta, double* errors) {
  const T *dy = static_cast<const T*>(dy0), *x = static_cast<const T*>(x0),
          *gamma = static_cast<const T*>(gamma0);
  T* dx = static_cast<T*>(dx0);
  const double n = static_cast<double>(d);
  const ColumnTotals products{dgamma, errors}, sums{dbeta, errors + d};
  for (int64_t j = 0; j < d; ++j) dgamma[j] = dbeta[j] = 0;
  for (int64_t j = 0; kIsDouble<T> && j < 2 * d; ++j) errors[j] = 0;
  for (int64_t first = 0; first < rows; first += kRowsAtOnce) {
    const int64_t count = rows - first < kRowsAtOnce ? rows - first : kRowsAtOnce;
    const T *dy_rows = dy + first * d, *x_rows = x + first * d;
    Rows<T> row;
    for (int64_t r = 0; r < count; ++r) {
      double sum, product;
      const Mean<T> m(mean[first + r]);
      gradient_sums(d, dy_rows + r * d, x_rows + r * d, gamma, m, 0, &sum, &product);
      const double s = rstd[first + r];
      row.hi[r] = m.hi, row.lo[r] = m.lo;
      row.mean_g[r] = static_cast<T>(sum / n);
      row.slope[r] = static_cast<T>(product / n * s * s);
      row.rstd[r] = static_cast<T>(s);
    }
    if (count == kRowsAtOnce) {
      gradient_of_rows<kRowsAtOnce>(d, dy_rows, x_rows, gamma, row, dx + first * d, products, sums);
      continue;
    }
    for (int64_t r = 0; r < count; ++r) {
      const Rows<T> one{{row.hi[r]}, {row.lo[r]}, {row.mean_g[r]}, {row.slope[r]}, {row.rstd[r]}};
      gradient_of_rows<1>(d, dy_rows + r * d, x_rows + r * d, gamma, one, dx + (first + r) * d,
                          products, sums);
    }
  }
  for (int64_t j = 0; kIsDouble<T> && j < d; ++j) {
    dgamma[j] = rounded({dgamma[j], errors[j]});
    dbeta[j] = rounded({dbeta[j], errors[d + j]});
  }
}

}  // namespace

extern const LayerNormTable layer_norm_table;
const LayerNormTable layer_norm_table = {
    {layer_norm<float>, layer_norm<double>},
    {layer_norm_backward<float>, layer_norm_backward<double>},
};

}  // namespace dlx::DLX_ISA

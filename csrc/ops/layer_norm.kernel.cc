// Layer normalisation, for one instruction set: statistics of rows, parameters of columns.
#include "ops/norm_sums.h"

namespace dlx::DLX_ISA {

namespace {

// Of a gradient: rows of which one step follows the other, so that the processor overlaps the ends
// of their sums.
constexpr int64_t kRowsAtOnce = 8;

// y = (x - mean) rstd gamma + beta of some rows; gamma and beta may be null.
template <class T>
struct Normalization {
  Mean<T> mean;
  T rstd;

  // n elements, at most a block.
  [[gnu::always_inline]] void apply(const T* x, const T* gamma, const T* beta, T* y,
                                    int64_t n) const {
    each_vector<T>(n, [&](int64_t j, int some) {
      auto v = mean.from(Vec<T>::load(x + j, some).raw) * rstd;
      if (gamma) v *= Vec<T>::load(gamma + j, some).raw;
      if (beta) v += Vec<T>::load(beta + j, some).raw;
      Vec<T>{v}.store(y + j, some);
    });
  }
};

constexpr int64_t kAhead = 4096;  // bytes: the hardware alone asks too late for what no cache holds

// One row is written while the next but one is summed up, so that computing, reading and writing
// are always under way together, and the end of a sum has a row's time.
template <class T>
void layer_norm(int64_t rows, int64_t d, double eps, const void* x0, const void* gamma0,
                const void* beta0, void* y0, double* mean, double* rstd) {
  const T *x = static_cast<const T*>(x0), *gamma = static_cast<const T*>(gamma0),
          *beta = static_cast<const T*>(beta0);
  T* y = static_cast<T*>(y0);
  const double n = static_cast<double>(d);
  using Sums = ShiftedSums<T>;
  double guess = Sums::guess(x, d);
  Sums summed(0);
  Normalization<T> written{Mean<T>(0), 0}, next = written;
  for (int64_t r = 0; r < rows + 2; ++r) {
    Sums sums(guess);
    if (r + 1 < rows) guess = Sums::guess(x + (r + 1) * d, d);
    if (0 < r && r <= rows) {
      const Moments m = summed.moments(x + (r - 1) * d, d);
      mean[r - 1] = m.sum / n;
      rstd[r - 1] = 1 / __builtin_sqrt(m.square / n + eps);
      next = {Mean<T>(mean[r - 1]), static_cast<T>(rstd[r - 1])};
    }
    const T *summing = x + r * d, *writing = summing - 2 * d;
    T* to = y + (r - 2) * d;
    const auto pass = [&]<bool kSum, bool kWrite>() {
      for (int64_t i = 0; i < d; i += kSumBlock) {
        if constexpr (kSum) {
          ask_for_block(summing + i, kAhead);
          sums.add(summing + i, d - i);
        }
        if constexpr (kWrite) {
          ask_for_block<true>(to + i, kAhead);
          written.apply(writing + i, gamma ? gamma + i : nullptr, beta ? beta + i : nullptr, to + i,
                        d - i);
        }
      }
    };
    if (r >= rows) {
      if (r >= 2) pass.template operator()<false, true>();
    } else if (r < 2) {
      pass.template operator()<true, false>();
    } else {
      pass.template operator()<true, true>();
    }
    summed = sums, written = next;
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
      row_sums(d, dy_rows + r * d, x_rows + r * d, gamma, m, &sum, &product);
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

// What batch_norm.kernel.cc, for group norm too, and layer_norm.kernel.cc give for each
// instruction set.
#pragma once
#include <cstdint>

namespace dlx {

constexpr int64_t kNormTile = 64;      // columns at a time
constexpr int64_t kNormGather = 1024;  // elements of short planes brought together for one sum

// Values of one channel: `planes` vectors of `length` elements, `stride` apart. With several of
// them planes * length <= kNormGather. next: 0, or the memory is beyond the caches of a core, and
// the next block, so many elements on, is asked for before its time.
struct NormBlock {
  int64_t planes, length, stride, next;
};

// Planes first, first + step, ... of x (N, C, length) as units: unit u is piece u % pieces of the
// (u / pieces)-th of them, of `piece` elements but for the last of its plane. streams: the result
// goes past the caches.
struct NormPlanes {
  int64_t channels, length, piece, pieces, first, step;
  bool streams;
};

// Part of a matrix: `rows` rows, `stride` apart, of `count` <= kNormTile columns. Column j belongs
// to channel (first + j) / length.
struct NormColumns {
  int64_t rows, count, stride, first, length;
};

// Per channel: y = (x - mean) scale + shift, then + r where there is one, like x, then relu.
struct NormAffine {
  const double *mean, *scale, *shift;
  const void* r;
  bool relu;
};

// Per channel: dx = ((dy weight - mean_dy) - (x - mean) slope) scale; slope null: dx = dy scale.
// weight null: 1; of columns it is.
struct NormGradient {
  const double *mean, *mean_dy, *slope, *scale, *weight;
};

// [0]: float32, [1]: float64.
struct BatchNormTable {
  // sum: of x  square: of (x - sum / n)^2, n the number of values
  void (*moments[2])(const NormBlock&, const void* x, double* sum, double* square);
  void (*moments_columns[2])(const NormColumns&, const void* x, double* sum, double* square);
  // sum: of dy  product: of dy (x - mean)
  void (*products[2])(const NormBlock&, const void* dy, const void* x, double mean, double* sum,
                      double* product);
  void (*products_columns[2])(const NormColumns&, const void* dy, const void* x, const double* mean,
                              double* sum, double* product);
  // units [begin, end)
  void (*affine[2])(const NormPlanes&, int64_t begin, int64_t end, const void* x, const NormAffine&,
                    void* y);
  void (*affine_columns[2])(const NormColumns&, const void* x, const NormAffine&, void* y);
  void (*gradient[2])(const NormPlanes&, int64_t begin, int64_t end, const void* dy, const void* x,
                      const NormGradient&, void* dx);
  void (*gradient_columns[2])(const NormColumns&, const void* dy, const void* x,
                              const NormGradient&, void* dx);
  double (*total)(const double* x, int64_t n);
};

struct LayerNormTable {
  // x, y: (rows, d)  gamma, beta: (d) or null  mean, rstd: (rows)
  void (*layer_norm[2])(int64_t rows, int64_t d, double eps, const void* x, const void* gamma,
                        const void* beta, void* y, double* mean, double* rstd);
  // dx: (rows, d)  dgamma, dbeta: (d), sums over the rows  errors: (2, d), scratch of float64
  void (*layer_norm_backward[2])(int64_t rows, int64_t d, const void* dy, const void* x,
                                 const double* mean, const double* rstd, const void* gamma,
                                 void* dx, double* dgamma, double* dbeta, double* errors);
};

}  // namespace dlx

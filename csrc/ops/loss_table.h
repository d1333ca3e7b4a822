// What softmax.kernel.cc and loss.kernel.cc give for each instruction set.
#pragma once
#include <cstdint>

namespace dlx {

constexpr int64_t kLossTile = 64;  // positions at a time, where they are columns

// Where to find `count` vectors of n elements: with step == 1 they are rows, n apart; else element
// c of vector j stands at c * step + j, count <= kLossTile.
struct Vectors {
  int64_t n, step, count;
};

// [0]: float32, [1]: float64. Arrays are laid out as `Vectors` says.
struct SoftmaxTable {
  void (*softmax[2])(const Vectors&, const void* x, void* y);
  void (*log_softmax[2])(const Vectors&, const void* x, void* y);
  void (*softmax_backward[2])(const Vectors&, const void* dy, const void* y, void* dx);
  void (*log_softmax_backward[2])(const Vectors&, const void* dy, const void* y, void* dx);
  // top: (count), the maxima  log_sum: (count), log of the sum of e^(x - top)
  void (*log_sum_exp[2])(const Vectors&, const void* x, double* top, double* log_sum);
};

struct LossTable {
  // sum[j] = sum over c of weight[c] x[c, j]; weight: (n), or null for ones
  void (*weighted_sum[2])(const Vectors&, const void* x, const void* weight, double* sum);
  // dx[c, j] = a[j] e^(x[c, j] - top[j] - log_sum[j]) - b[j] weight[c]; b null: without the second
  // term
  void (*cross_entropy_backward[2])(const Vectors&, const void* x, const void* weight,
                                    const void* top, const void* log_sum, const double* a,
                                    const double* b, void* dx);
  double (*squared_distance[2])(const void* x, const void* target,
                                int64_t n);  // sum of (x - target)^2
  void (*squares[2])(const void* x, const void* target, int64_t n, void* y);  // y = (x - target)^2
  // dx = scale dy (x - target), dy: (n), or null for ones
  void (*differences[2])(const void* dy, const void* x, const void* target, double scale, int64_t n,
                         void* dx);
  double (*total)(const double* x, int64_t n);
};

}  // namespace dlx

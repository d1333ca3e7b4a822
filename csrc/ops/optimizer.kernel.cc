// One step of SGD or Adam over one run of memory, for one instruction set. The order of operations
// is PyTorch's (torch/optim/sgd.py and adam.py; lerp, addcmul and addcdiv of ATen), so that float64
// agrees with it to the last digits.
#include "ops/optimizer_table.h"

namespace dlx::DLX_ISA {
namespace {

inline float square_root(float x) { return __builtin_sqrtf(x); }
inline double square_root(double x) { return __builtin_sqrt(x); }

// buffer: the momentum, null without. The first step starts it at g, Nesterov's included.
template <class T, Momentum kind, bool nesterov, bool decays>
void sgd_run(const OptimizerNumbers& numbers, T* p, const T* g, T* buffer, int64_t n) {
  const T scale = static_cast<T>(numbers.grad_scale), wd = static_cast<T>(numbers.weight_decay);
  const T lr = static_cast<T>(numbers.lr), undampened = static_cast<T>(numbers.undampened);
  [[maybe_unused]] const T momentum = static_cast<T>(numbers.momentum);
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) {
    T d = g[i] * scale;
    if constexpr (decays) d = d + wd * p[i];
    if constexpr (kind != Momentum::none) {
      const T b = kind == Momentum::first ? d : buffer[i] * momentum + undampened * d;
      buffer[i] = b;
      d = nesterov ? d + momentum * b : b;
    }
    p[i] = p[i] - lr * d;
  }
}

template <class T>
void sgd(const OptimizerNumbers& numbers, void* p, const void* g, void* s1, void*, int64_t n) {
  const auto run = [&]<Momentum kind, bool nesterov>() {
    const auto function = numbers.weight_decay != 0 ? sgd_run<T, kind, nesterov, true>
                                                    : sgd_run<T, kind, nesterov, false>;
    function(numbers, static_cast<T*>(p), static_cast<const T*>(g), static_cast<T*>(s1), n);
  };
  if (numbers.momentum_kind == Momentum::none)
    return run.template operator()<Momentum::none, false>();
  if (numbers.momentum_kind == Momentum::first) {
    return numbers.nesterov ? run.template operator()<Momentum::first, true>()
                            : run.template operator()<Momentum::first, false>();
  }
  return numbers.nesterov ? run.template operator()<Momentum::running, true>()
                          : run.template operator()<Momentum::running, false>();
}

// m, v: the running means of g and g^2. from_m: the side from which lerp interpolates without
// cancellation, that is beta1 > 1/2.
template <class T, bool decays, bool from_m>
void adam_run(const OptimizerNumbers& numbers, T* p, const T* g, T* m, T* v, int64_t n) {
  const T scale = static_cast<T>(numbers.grad_scale), wd = static_cast<T>(numbers.weight_decay);
  const T decay = static_cast<T>(numbers.decay), lr = static_cast<T>(numbers.lr);
  const T to_g = static_cast<T>(1 - numbers.beta1), to_m = static_cast<T>(1 - (1 - numbers.beta1));
  const T beta2 = static_cast<T>(numbers.beta2), new2 = static_cast<T>(1 - numbers.beta2);
  const T eps = static_cast<T>(numbers.eps), root = static_cast<T>(numbers.root_of_correction);
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) {
    T d = g[i] * scale;
    if constexpr (decays) d = d + wd * p[i];
    const T mean = from_m ? m[i] + to_g * (d - m[i]) : d - to_m * (d - m[i]);
    const T square = v[i] * beta2 + new2 * d * d;
    m[i] = mean;
    v[i] = square;
    p[i] = p[i] * decay - lr * mean / (square_root(square) / root + eps);
  }
}

template <class T>
void adam(const OptimizerNumbers& numbers, void* p, const void* g, void* s1, void* s2, int64_t n) {
  const bool decays = numbers.weight_decay != 0, from_m = 1 - numbers.beta1 < 0.5;
  const auto function = decays ? (from_m ? adam_run<T, true, true> : adam_run<T, true, false>)
                               : (from_m ? adam_run<T, false, true> : adam_run<T, false, false>);
  function(numbers, static_cast<T*>(p), static_cast<const T*>(g), static_cast<T*>(s1),
           static_cast<T*>(s2), n);
}

}  // namespace

extern const OptimizerTable optimizer_table;
const OptimizerTable optimizer_table = {{sgd<float>, sgd<double>}, {adam<float>, adam<double>}};

}  // namespace dlx::DLX_ISA

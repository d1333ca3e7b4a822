// One step of an optimizer over one run of memory, for one instruction set. The order of operations
// is PyTorch's (torch/optim/*.py; lerp, addcmul and addcdiv of ATen) but for Adam's corrections, so
// that float64 agrees with it to the last digits.
#include "ops/optimizer_table.h"

namespace dlx::DLX_ISA {
namespace {

inline float square_root(float x) { return __builtin_sqrtf(x); }
inline double square_root(double x) { return __builtin_sqrt(x); }

// f.template operator()<flags...>(): one loop for each setting.
template <bool... known, class F>
void choose(const F& f) {
  f.template operator()<known...>();
}
template <bool... known, class F, class... Rest>
void choose(const F& f, bool flag, Rest... rest) {
  flag ? choose<known..., true>(f, rest...) : choose<known..., false>(f, rest...);
}

// body(i) for 0 <= i < n, in vectors. While it works on one block, the caches are asked for the
// lines of the first `count` arrays kAhead further on: the hardware's prefetchers stay too close
// behind so many streams, and stop at every page.
template <int count, class T, class F>
inline void stream(const T* const* arrays, int64_t n, const F& body) {
  constexpr int kLine = 64, kAhead = 2048;                                 // bytes
  constexpr int64_t kBlock = 4 * kLine / static_cast<int64_t>(sizeof(T));  // elements
  int64_t i = 0;
  for (; i + kBlock <= n; i += kBlock) {
    for (int k = 0; k < count; ++k) {
      const char* const here = reinterpret_cast<const char*>(arrays[k] + i);
      for (int line = 0; line < 4; ++line) __builtin_prefetch(here + kAhead + line * kLine);
    }
#pragma GCC ivdep
    for (int64_t j = i; j < i + kBlock; ++j) body(j);
  }
#pragma GCC ivdep
  for (; i < n; ++i) body(i);
}

// g scaled, with the weight decay.
template <class T, bool decays>
struct Gradient {
  T scale, wd;
  explicit Gradient(const OptimizerNumbers& numbers)
      : scale(static_cast<T>(numbers.grad_scale)), wd(static_cast<T>(numbers.weight_decay)) {}
  T operator()(T g, T p) const { return decays ? g * scale + wd * p : g * scale; }
};

// mean <- beta mean + (1 - beta) d as ATen's lerp: from_mean, that is beta > 1/2, is the side from
// which it interpolates without cancellation.
template <class T, bool from_mean>
struct Mean {
  T to_d, to_mean;
  explicit Mean(double beta)
      : to_d(static_cast<T>(1 - beta)), to_mean(static_cast<T>(1 - (1 - beta))) {}
  T operator()(T mean, T d) const {
    return from_mean ? mean + to_d * (d - mean) : d - to_mean * (d - mean);
  }
};
inline bool from_mean(double beta) { return 1 - beta < 0.5; }

// square <- beta2 square + (1 - beta2) d^2
template <class T>
struct MeanSquare {
  T beta2, rest;
  explicit MeanSquare(const OptimizerNumbers& numbers)
      : beta2(static_cast<T>(numbers.beta2)), rest(static_cast<T>(1 - numbers.beta2)) {}
  T operator()(T square, T d) const { return square * beta2 + rest * d * d; }
};

// The first step starts the momentum b at g, Nesterov's included.
template <class T>
void sgd(const OptimizerNumbers& numbers, void* pv, const void* gv, void* const* states,
         int64_t n) {
  T* const p = static_cast<T*>(pv);
  const T* const g = static_cast<const T*>(gv);
  T* const b = static_cast<T*>(states[0]);
  const T* const arrays[] = {p, g, b};
  const T lr = static_cast<T>(numbers.lr), undampened = static_cast<T>(numbers.undampened);
  const T momentum = static_cast<T>(numbers.momentum);
  const auto run = [&]<bool decays, bool has_momentum, bool first, bool nesterov>() {
    const Gradient<T, decays> gradient(numbers);
    stream<2 + has_momentum>(arrays, n, [=](int64_t i) {
      T d = gradient(g[i], p[i]);
      if constexpr (has_momentum) {
        b[i] = first ? d : b[i] * momentum + undampened * d;
        d = nesterov ? d + momentum * b[i] : b[i];
      }
      p[i] = p[i] - lr * d;
    });
  };
  choose(run, numbers.weight_decay != 0, numbers.momentum_kind != Momentum::none,
         numbers.momentum_kind == Momentum::first, numbers.nesterov);
}

// m, v: the running means of g and g^2; most: the greatest v so far.
template <class T>
void adam(const OptimizerNumbers& numbers, void* pv, const void* gv, void* const* states,
          int64_t n) {
  T* const p = static_cast<T*>(pv);
  const T* const g = static_cast<const T*>(gv);
  T* const m = static_cast<T*>(states[0]);
  T* const v = static_cast<T*>(states[1]);
  T* const most = static_cast<T*>(states[2]);
  const T* const arrays[] = {p, g, m, v, most};
  const T decay = static_cast<T>(numbers.decay), lr = static_cast<T>(numbers.lr);
  const T eps = static_cast<T>(numbers.eps);
  const MeanSquare<T> mean_square(numbers);
  const auto run = [&]<bool decays, bool from_m, bool amsgrad>() {
    const Gradient<T, decays> gradient(numbers);
    const Mean<T, from_m> mean(numbers.beta1);
    stream<4 + amsgrad>(arrays, n, [=](int64_t i) {
      const T d = gradient(g[i], p[i]);
      m[i] = mean(m[i], d);
      v[i] = mean_square(v[i], d);
      T square = v[i];
      if constexpr (amsgrad) most[i] = square = most[i] >= square ? most[i] : square;  // NaN stays
      p[i] = p[i] * decay - lr * m[i] / (square_root(square) + eps);
    });
  };
  choose(run, numbers.weight_decay != 0, from_mean(numbers.beta1), numbers.amsgrad);
}

// square, mean: the running means of g^2 and g; b: the momentum.
template <class T>
void rmsprop(const OptimizerNumbers& numbers, void* pv, const void* gv, void* const* states,
             int64_t n) {
  const bool with_momentum = numbers.momentum_kind != Momentum::none;
  T* const p = static_cast<T*>(pv);
  const T* const g = static_cast<const T*>(gv);
  T* const square = static_cast<T*>(states[0]);
  T* const b = static_cast<T*>(states[1]);
  T* const mean = static_cast<T*>(states[with_momentum ? 2 : 1]);
  const T* const arrays[] = {p, g, square, static_cast<T*>(states[1]), static_cast<T*>(states[2])};
  const T lr = static_cast<T>(numbers.lr), eps = static_cast<T>(numbers.eps);
  const T momentum = static_cast<T>(numbers.momentum);
  const MeanSquare<T> mean_square(numbers);
  const auto run = [&]<bool decays, bool has_momentum, bool centered, bool from_m>() {
    const Gradient<T, decays> gradient(numbers);
    const Mean<T, from_m> mean_of(numbers.beta2);
    stream<3 + has_momentum + centered>(arrays, n, [=](int64_t i) {
      const T d = gradient(g[i], p[i]);
      square[i] = mean_square(square[i], d);
      T spread = square[i];
      if constexpr (centered) {
        mean[i] = mean_of(mean[i], d);
        spread = spread - mean[i] * mean[i];
      }
      const T divisor = square_root(spread) + eps;
      if constexpr (has_momentum) {
        b[i] = b[i] * momentum + d / divisor;
        p[i] = p[i] - lr * b[i];
      } else {
        p[i] = p[i] - lr * d / divisor;
      }
    });
  };
  choose(run, numbers.weight_decay != 0, with_momentum, numbers.centered, from_mean(numbers.beta2));
}

// sum: of g^2 over all steps.
template <class T>
void adagrad(const OptimizerNumbers& numbers, void* pv, const void* gv, void* const* states,
             int64_t n) {
  T* const p = static_cast<T*>(pv);
  const T* const g = static_cast<const T*>(gv);
  T* const sum = static_cast<T*>(states[0]);
  const T* const arrays[] = {p, g, sum};
  const T lr = static_cast<T>(numbers.lr), eps = static_cast<T>(numbers.eps);
  const auto run = [&]<bool decays>() {
    const Gradient<T, decays> gradient(numbers);
    stream<3>(arrays, n, [=](int64_t i) {
      const T d = gradient(g[i], p[i]);
      sum[i] = sum[i] + d * d;
      p[i] = p[i] - lr * d / (square_root(sum[i]) + eps);
    });
  };
  choose(run, numbers.weight_decay != 0);
}

// square, moved: the running means of g^2 and of the squares of the steps at lr = 1.
template <class T>
void adadelta(const OptimizerNumbers& numbers, void* pv, const void* gv, void* const* states,
              int64_t n) {
  T* const p = static_cast<T*>(pv);
  const T* const g = static_cast<const T*>(gv);
  T* const square = static_cast<T*>(states[0]);
  T* const moved = static_cast<T*>(states[1]);
  const T* const arrays[] = {p, g, square, moved};
  const T lr = static_cast<T>(numbers.lr), eps = static_cast<T>(numbers.eps);
  const MeanSquare<T> mean_square(numbers);
  const auto run = [&]<bool decays>() {
    const Gradient<T, decays> gradient(numbers);
    stream<4>(arrays, n, [=](int64_t i) {
      const T d = gradient(g[i], p[i]);
      square[i] = mean_square(square[i], d);
      const T delta = square_root(moved[i] + eps) / square_root(square[i] + eps) * d;
      moved[i] = mean_square(moved[i], delta);
      p[i] = p[i] - lr * delta;
    });
  };
  choose(run, numbers.weight_decay != 0);
}

}  // namespace

extern const OptimizerTable optimizer_table;
const OptimizerTable optimizer_table = {{
    {sgd<float>, sgd<double>},
    {adam<float>, adam<double>},
    {adam<float>, adam<double>},  // AdamW: see OptimizerNumbers::decay
    {rmsprop<float>, rmsprop<double>},
    {adagrad<float>, adagrad<double>},
    {adadelta<float>, adadelta<double>},
}};

}  // namespace dlx::DLX_ISA

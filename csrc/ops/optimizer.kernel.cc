// One step of an optimizer over one run of memory, for one instruction set.
#include "ops/optimizer_table.h"

namespace dlx::DLX_ISA {

#include "ops/optimizer_functions.h"

namespace {

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

template <class T>
void sgd(const OptimizerNumbers& numbers, void* pv, const void* gv, void* const* states,
         int64_t n) {
  T* const p = static_cast<T*>(pv);
  const T* const g = static_cast<const T*>(gv);
  T* const b = static_cast<T*>(states[0]);
  const T* const arrays[] = {p, g, b};
  const StepNumbers<T> x(numbers, 0);
  const auto run = [&]<bool decays, bool has_momentum, bool first, bool nesterov>() {
    constexpr StepFlags is{
        .decays = decays, .has_momentum = has_momentum, .first = first, .nesterov = nesterov};
    stream<2 + has_momentum>(arrays, n, [=](int64_t i) {
      T pi = p[i], bi{};
      if constexpr (has_momentum) bi = b[i];
      sgd_step(x, is, g[i], pi, bi);
      if constexpr (has_momentum) b[i] = bi;
      p[i] = pi;
    });
  };
  choose(run, numbers.weight_decay != 0, numbers.momentum_kind != Momentum::none,
         numbers.momentum_kind == Momentum::first, numbers.nesterov);
}

template <class T>
void adam(const OptimizerNumbers& numbers, void* pv, const void* gv, void* const* states,
          int64_t n) {
  T* const p = static_cast<T*>(pv);
  const T* const g = static_cast<const T*>(gv);
  T* const m = static_cast<T*>(states[0]);
  T* const v = static_cast<T*>(states[1]);
  T* const most = static_cast<T*>(states[2]);
  const T* const arrays[] = {p, g, m, v, most};
  const StepNumbers<T> x(numbers, numbers.beta1);
  const auto run = [&]<bool decays, bool from_mean, bool amsgrad>() {
    constexpr StepFlags is{.decays = decays, .amsgrad = amsgrad, .from_mean = from_mean};
    stream<4 + amsgrad>(arrays, n, [=](int64_t i) {
      T pi = p[i], mi = m[i], vi = v[i], most_i{};
      if constexpr (amsgrad) most_i = most[i];
      adam_step(x, is, g[i], pi, mi, vi, most_i);
      m[i] = mi;
      v[i] = vi;
      if constexpr (amsgrad) most[i] = most_i;
      p[i] = pi;
    });
  };
  choose(run, numbers.weight_decay != 0, is_from_mean(numbers.beta1), numbers.amsgrad);
}

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
  const StepNumbers<T> x(numbers, numbers.beta2);
  const auto run = [&]<bool decays, bool has_momentum, bool centered, bool from_mean>() {
    constexpr StepFlags is{.decays = decays,
                           .has_momentum = has_momentum,
                           .centered = centered,
                           .from_mean = from_mean};
    stream<3 + has_momentum + centered>(arrays, n, [=](int64_t i) {
      T pi = p[i], square_i = square[i], bi{}, mean_i{};
      if constexpr (has_momentum) bi = b[i];
      if constexpr (centered) mean_i = mean[i];
      rmsprop_step(x, is, g[i], pi, square_i, bi, mean_i);
      square[i] = square_i;
      if constexpr (has_momentum) b[i] = bi;
      if constexpr (centered) mean[i] = mean_i;
      p[i] = pi;
    });
  };
  choose(run, numbers.weight_decay != 0, with_momentum, numbers.centered,
         is_from_mean(numbers.beta2));
}

template <class T>
void adagrad(const OptimizerNumbers& numbers, void* pv, const void* gv, void* const* states,
             int64_t n) {
  T* const p = static_cast<T*>(pv);
  const T* const g = static_cast<const T*>(gv);
  T* const sum = static_cast<T*>(states[0]);
  const T* const arrays[] = {p, g, sum};
  const StepNumbers<T> x(numbers, 0);
  const auto run = [&]<bool decays>() {
    constexpr StepFlags is{.decays = decays};
    stream<3>(arrays, n, [=](int64_t i) {
      T pi = p[i], sum_i = sum[i];
      adagrad_step(x, is, g[i], pi, sum_i);
      sum[i] = sum_i;
      p[i] = pi;
    });
  };
  choose(run, numbers.weight_decay != 0);
}

template <class T>
void adadelta(const OptimizerNumbers& numbers, void* pv, const void* gv, void* const* states,
              int64_t n) {
  T* const p = static_cast<T*>(pv);
  const T* const g = static_cast<const T*>(gv);
  T* const square = static_cast<T*>(states[0]);
  T* const moved = static_cast<T*>(states[1]);
  const T* const arrays[] = {p, g, square, moved};
  const StepNumbers<T> x(numbers, 0);
  const auto run = [&]<bool decays>() {
    constexpr StepFlags is{.decays = decays};
    stream<4>(arrays, n, [=](int64_t i) {
      T pi = p[i], square_i = square[i], moved_i = moved[i];
      adadelta_step(x, is, g[i], pi, square_i, moved_i);
      square[i] = square_i;
      moved[i] = moved_i;
      p[i] = pi;
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

// The losses of pairs of numbers and their slopes, for one instruction set.
#include "ops/lanes.h"
#include "ops/pair_loss_table.h"

namespace dlx::DLX_ISA {

#include "ops/math_functions.h"
#include "ops/pair_functions.h"

namespace {

// y[i] = f(x, t, p): one loop for each kind of parameter.
template <class T, class F>
[[gnu::always_inline]] inline void each(const PairRun& run, const F& f, T* y) {
  const T *x = static_cast<const T*>(run.x), *t = static_cast<const T*>(run.target),
          *p = static_cast<const T*>(run.parameters);
  if (p) {
#pragma GCC ivdep
    for (int64_t i = 0; i < run.n; ++i) y[i] = f(x[i], t[i], p[i]);
  } else {
    const T same = static_cast<T>(run.parameter);
#pragma GCC ivdep
    for (int64_t i = 0; i < run.n; ++i) y[i] = f(x[i], t[i], same);
  }
}

template <class T>
void multiply(T* y, const void* factors, int64_t n) {
  const T* f = static_cast<const T*>(factors);
  if (!f) return;
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) y[i] *= f[i];
}

template <class F, class T>
void losses(const PairRun& run, void* y0) {
  T* y = static_cast<T*>(y0);
  each(run, [](T x, T t, T p) { return F::template loss<T>(x, t, p); }, y);
  multiply(y, run.weight, run.n);
}

template <class F, class T>
double sum(const PairRun& run) {
  constexpr int64_t kBlock = 512;
  alignas(64) T y[kBlock];
  double total = 0;
  for (int64_t i = 0; i < run.n; i += kBlock) {
    const auto from = [&](const void* p) { return p ? static_cast<const T*>(p) + i : nullptr; };
    const int64_t n = run.n - i < kBlock ? run.n - i : kBlock;
    losses<F, T>(
        {from(run.x), from(run.target), from(run.weight), from(run.parameters), run.parameter, n},
        y);
    total += total_of(y, n);
  }
  return total;
}

template <class F, class T>
void slopes(const PairRun& run, const void* dy, double scale0, void* dx0) {
  T* dx = static_cast<T*>(dx0);
  const T scale = static_cast<T>(scale0);
  each(run, [scale](T x, T t, T p) { return scale * F::template slope<T>(x, t, p); }, dx);
  multiply(dx, run.weight, run.n);
  multiply(dx, dy, run.n);
}

template <class T>
int64_t first_outside(const void* x0, int64_t n) {
  constexpr int64_t kBlock = 1024;
  const T* x = static_cast<const T*>(x0);
  for (int64_t i = 0; i < n; i += kBlock) {
    const int64_t end = n - i < kBlock ? n : i + kBlock;
    int bad = 0;
    for (int64_t k = i; k < end; ++k) bad |= (x[k] < 0) | (x[k] > 1);
    if (!bad) continue;
    while (!(x[i] < 0) && !(x[i] > 1)) ++i;
    return i;
  }
  return n;
}

double total(const double* x, int64_t n) { return total_of(x, n); }

template <class... F>
constexpr PairLossTable make_table() {
  return {{{losses<F, float>, losses<F, double>}...},
          {{sum<F, float>, sum<F, double>}...},
          {{slopes<F, float>, slopes<F, double>}...},
          {first_outside<float>, first_outside<double>},
          total};
}

}  // namespace

extern const PairLossTable pair_loss_table;
const PairLossTable pair_loss_table =
    make_table<L1, SmoothL1, Huber, BinaryCrossEntropy, WithLogits, KlDiv>();

}  // namespace dlx::DLX_ISA

// Exponentials along a row, by whole vectors where there is a formula for them. Included inside a
// namespace of dlx::<instruction set>, after math_functions.h. For kernel files only.
#pragma once

// y = e^((x - a) - b) scale
template <class T>
[[gnu::always_inline]] inline void scaled_exp(const T* x, T a, T b, T scale, T* y, int64_t n) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) y[i] = math::exp((x[i] - a) - b) * scale;
}

// y = e^(x - a) of the first n elements of a block of sums, and zeros up to its end; x <= a
// unless there is a NaN in the row.
template <class T>
[[gnu::always_inline]] inline void exp_block(const T* x, T a, T* y, int64_t n) {
  if (n >= kSumBlock) {
#pragma GCC ivdep
    for (int i = 0; i < kSumBlock; ++i) y[i] = math::exp(x[i] - a);
    return;
  }
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) y[i] = math::exp(x[i] - a);
  for (int64_t i = n; i < kSumBlock; ++i) y[i] = 0;
}

#if defined(__AVX512F__)
[[gnu::always_inline]] inline void scaled_exp(const float* x, float a, float b, float scale,
                                              float* y, int64_t n) {
  using Four = vectors::Group<4>;
  const auto of = [&](const Four& v) {
    return vectors::exp((v - Four(a)) - Four(b)) * Four(scale);
  };
  int64_t i = 0;
  for (; i + Four::kLanes <= n; i += Four::kLanes) of(Four::load(x + i)).store(y + i);
  if (i < n) of(Four::load_first(x + i, n - i, a)).store_first(y + i, n - i);
}

[[gnu::always_inline]] inline void exp_block(const float* x, float a, float* y, int64_t n) {
  using Four = vectors::Group<4>;
#pragma GCC unroll 2
  for (int i = 0; i < kSumBlock; i += Four::kLanes) {
    if (i + Four::kLanes <= n) {
      vectors::exp(Four::load(x + i) - Four(a)).store(y + i);
    } else if (i < n) {
      const Four v = vectors::exp(Four::load_first(x + i, n - i, a) - Four(a));
      only_first(v, n - i).store(y + i);
    } else {
      Four(0.f).store(y + i);
    }
  }
}
#endif

// Exponentials along a row, by whole vectors where there is a formula for them: the results stay in
// registers for what follows, for lines that a vector straddles are slow to be read again.
// Included inside a namespace of dlx::<instruction set>, after math_functions.h. For kernel files
// only.
#pragma once

// y = e^((x - a) - b) scale
template <class T>
[[gnu::always_inline]] inline void scaled_exp(const T* x, T a, T b, T scale, T* y, int64_t n) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) y[i] = math::exp((x[i] - a) - b) * scale;
}

// y = e^(x - a) of a block of sums, which are added up; y may be null.
template <class T>
[[gnu::always_inline]] inline void exp_block(const T* x, T a, T* y, SumLanes<T>& sum) {
  alignas(64) T e[kSumBlock];
  T* to = y ? y : e;
#pragma GCC ivdep
  for (int i = 0; i < kSumBlock; ++i) to[i] = math::exp(x[i] - a);
  sum.add_block([&](int at) { return load_as<T>(to + at); });
}

#if defined(__AVX512F__)
[[gnu::always_inline]] inline void scaled_exp(const float* x, float a, float b, float scale,
                                              float* y, int64_t n) {
  using Four = vectors::Group<4>;
  using One = vectors::Group<1>;
  int64_t i = 0;
  for (; i + Four::kLanes <= n; i += Four::kLanes)
    (vectors::exp((Four::load(x + i) - Four(a)) - Four(b)) * Four(scale)).store(y + i);
  for (; i < n; i += One::kLanes) {
    const int some = static_cast<int>(n - i < One::kLanes ? n - i : One::kLanes);
    One v;
    v.v[0] = Vec<float>::load(x + i, some).raw;
    v = vectors::exp((v - One(a)) - One(b)) * One(scale);
    Vec<float>{v.v[0]}.store(y + i, some);
  }
}

[[gnu::always_inline]] inline void exp_block(const float* x, float a, float* y,
                                             SumLanes<float>& sum) {
  using Four = vectors::Group<4>;
  constexpr int kGroups = kSumBlock / Four::kLanes, V = Vec<float>::kWidth;
  Four e[kGroups];
#pragma GCC unroll 2
  for (int g = 0; g < kGroups; ++g) {
    e[g] = vectors::exp(Four::load(x + g * Four::kLanes) - Four(a));
    if (y) e[g].store(y + g * Four::kLanes);
  }
  sum.add_block([&](int at) { return e[at / Four::kLanes].v[at % Four::kLanes / V]; });
}
#endif

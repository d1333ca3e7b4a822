// y = e^(x - a - b) along a row, by whole vectors where there is a formula for them.
// Included inside a namespace of dlx::<instruction set>, after math_functions.h. For kernel files
// only.
#pragma once

template <class T>
[[gnu::always_inline]] inline void exp_of_differences(const T* x, T a, T b, T* y, int64_t n) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) y[i] = math::exp((x[i] - a) - b);
}

#if defined(__AVX512F__)
[[gnu::always_inline]] inline void exp_of_differences(const float* x, float a, float b, float* y,
                                                      int64_t n) {
  using Four = vectors::Group<4>;
  using One = vectors::Group<1>;
  int64_t i = 0;
  for (; i + Four::kLanes <= n; i += Four::kLanes)
    vectors::exp((Four::load(x + i) - Four(a)) - Four(b)).store(y + i);
  for (; i < n; i += One::kLanes) {
    const int some = static_cast<int>(n - i < One::kLanes ? n - i : One::kLanes);
    One v;
    v.v[0] = Vec<float>::load(x + i, some).raw;
    Vec<float>{vectors::exp((v - One(a)) - One(b)).v[0]}.store(y + i, some);
  }
}
#endif

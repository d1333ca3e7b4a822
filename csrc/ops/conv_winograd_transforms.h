// The small matrices of Winograd's method for 3 taps, one row of numbers at a time. For kernel
// files only.
//
// For O outputs the polynomials are evaluated at O + 1 points and at infinity. Which points decides
// how exact it is (Barabasz et al. 2018): of 0, +-a, +-b with short binary fractions a = 3/4, b =
// 3/2 lose least, half of what the usual 1, 2 lose; every entry of A and B is exact in float32.
#pragma once
#include "core/simd.h"

namespace dlx::DLX_ISA {

template <class T, int O>
struct Winograd;

template <class T>
struct Winograd<T, 2> {  // points 0, 1, -1, infinity
  using V = Vec<T>;
  static void image(const V* d, V* v) {
    v[0] = d[0] - d[2];
    v[1] = d[2] + d[1];
    v[2] = d[2] - d[1];
    v[3] = d[3] - d[1];
  }
  static void weights(const V* g, V* u) {
    const V half = V::broadcast(T(0.5)), even = half * (g[0] + g[2]);
    u[0] = g[0];
    u[1] = fma(half, g[1], even);
    u[2] = fma(V::zero() - half, g[1], even);
    u[3] = g[2];
  }
  static void result(const V* m, V* y) {
    y[0] = m[0] + (m[1] + m[2]);
    y[1] = (m[1] - m[2]) + m[3];
  }
};

template <class T>
struct Winograd<T, 4> {  // points 0, a, -a, b, -b, infinity
  using V = Vec<T>;
  static constexpr T a = T(0.75), b = T(1.5), aa = a * a, bb = b * b;
  // 1 / the product of a point's distances from the others
  static constexpr T at_0 = 1 / (aa * bb), at_a = 1 / (2 * aa * (aa - bb));
  static constexpr T at_b = 1 / (2 * bb * (bb - aa));

  static void image(const V* d, V* v) {
    const V minus_aa = V::broadcast(-aa), minus_bb = V::broadcast(-bb);
    const V product = V::broadcast(aa * bb), minus_sum = V::broadcast(-aa - bb);
    v[0] = fma(product, d[0], fma(minus_sum, d[2], d[4]));
    const V even_a = fma(minus_bb, d[2], d[4]), odd_a = fma(minus_bb, d[1], d[3]);
    v[1] = fma(V::broadcast(a), odd_a, even_a);
    v[2] = fma(V::broadcast(-a), odd_a, even_a);
    const V even_b = fma(minus_aa, d[2], d[4]), odd_b = fma(minus_aa, d[1], d[3]);
    v[3] = fma(V::broadcast(b), odd_b, even_b);
    v[4] = fma(V::broadcast(-b), odd_b, even_b);
    v[5] = fma(product, d[1], fma(minus_sum, d[3], d[5]));
  }
  static void weights(const V* g, V* u) {
    u[0] = V::broadcast(at_0) * g[0];
    const V even_a = fma(V::broadcast(at_a * aa), g[2], V::broadcast(at_a) * g[0]);
    u[1] = fma(V::broadcast(at_a * a), g[1], even_a);
    u[2] = fma(V::broadcast(-at_a * a), g[1], even_a);
    const V even_b = fma(V::broadcast(at_b * bb), g[2], V::broadcast(at_b) * g[0]);
    u[3] = fma(V::broadcast(at_b * b), g[1], even_b);
    u[4] = fma(V::broadcast(-at_b * b), g[1], even_b);
    u[5] = g[2];
  }
  // The weight gradient correlates with tiles of 4, for 3 results: their transform and its inverse.
  static void tile(const V* d, V* v) {
    const V even_a = fma(V::broadcast(aa), d[2], d[0]), odd_a = fma(V::broadcast(aa), d[3], d[1]);
    const V even_b = fma(V::broadcast(bb), d[2], d[0]), odd_b = fma(V::broadcast(bb), d[3], d[1]);
    v[0] = d[0];
    v[1] = fma(V::broadcast(a), odd_a, even_a);
    v[2] = fma(V::broadcast(-a), odd_a, even_a);
    v[3] = fma(V::broadcast(b), odd_b, even_b);
    v[4] = fma(V::broadcast(-b), odd_b, even_b);
    v[5] = d[3];
  }
  static void gradient(const V* m, V* y) {
    const V sum_a = V::broadcast(at_a) * (m[1] + m[2]), odd_a = V::broadcast(at_a) * (m[1] - m[2]);
    const V sum_b = V::broadcast(at_b) * (m[3] + m[4]), odd_b = V::broadcast(at_b) * (m[3] - m[4]);
    y[0] = fma(V::broadcast(at_0), m[0], sum_a + sum_b);
    y[1] = fma(V::broadcast(b), odd_b, V::broadcast(a) * odd_a);
    y[2] = fma(V::broadcast(bb), sum_b, fma(V::broadcast(aa), sum_a, m[5]));
  }
  static void result(const V* m, V* y) {
    const V sum_a = m[1] + m[2], odd_a = m[1] - m[2], sum_b = m[3] + m[4], odd_b = m[3] - m[4];
    y[0] = m[0] + (sum_a + sum_b);
    y[1] = fma(V::broadcast(b), odd_b, V::broadcast(a) * odd_a);
    y[2] = fma(V::broadcast(bb), sum_b, V::broadcast(aa) * sum_a);
    y[3] = fma(V::broadcast(bb * b), odd_b, fma(V::broadcast(aa * a), odd_a, m[5]));
  }
};

// Shuffles of the concatenation a b: its elements of even and of odd place; and their inverse, a
// and b in turn, the first and the second half of that.
template <class T, int... I>
struct Shuffles {
  using V = Vec<T>;
  static constexpr int W = sizeof...(I);
  static V even(V a, V b) { return {__builtin_shufflevector(a.raw, b.raw, (2 * I)...)}; }
  static V odd(V a, V b) { return {__builtin_shufflevector(a.raw, b.raw, (2 * I + 1)...)}; }
  static V low(V a, V b) { return {__builtin_shufflevector(a.raw, b.raw, (I / 2 + I % 2 * W)...)}; }
  static V high(V a, V b) {
    return {__builtin_shufflevector(a.raw, b.raw, (W / 2 + I / 2 + I % 2 * W)...)};
  }
};
template <class T, int N, int... I>
struct ShufflesOf : ShufflesOf<T, N - 1, N - 1, I...> {};
template <class T, int... I>
struct ShufflesOf<T, 0, I...> : Shuffles<T, I...> {};
template <class T>
using Shuffle = ShufflesOf<T, Vec<T>::kWidth>;

// v[i][j] = the old v[j][i]: each round interleaves the first half of the vectors with the second.
template <class T>
void transpose(Vec<T>* v) {
  constexpr int W = Vec<T>::kWidth;
  for (int round = 1; round < W; round *= 2) {
    Vec<T> u[W];
    for (int i = 0; i < W / 2; ++i) {
      u[2 * i] = Shuffle<T>::low(v[i], v[i + W / 2]);
      u[2 * i + 1] = Shuffle<T>::high(v[i], v[i + W / 2]);
    }
    for (int i = 0; i < W; ++i) v[i] = u[i];
  }
}

}  // namespace dlx::DLX_ISA

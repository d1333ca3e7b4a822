// exp, the logistic function and GELU on whole vectors of AVX-512, as exact as the formulas of
// math_functions.h (GELU to 4 ulp, the others to 2 or 2.5), in fewer instructions: minima that pass
// NaN on, and a scaling by 2^m that is right to both ends of the range. For kernel files only.
#pragma once
#include "core/simd.h"

#if defined(__AVX512F__)

namespace dlx::DLX_ISA::vectors {

constexpr __mmask16 kAllLanes = 0xffff;  // g++ 12 warns of what the forms without a mask leave open

// kVectors at a time, one operation of each after the other: while one waits another computes.
template <int kVectors>
struct Group {
  static constexpr int kLanes = kVectors * Vec<float>::kWidth;
  FloatVec v[kVectors];

  Group() = default;
  [[gnu::always_inline]] Group(float x) {
    *this = each([&](int) { return _mm512_set1_ps(x); });
  }
  template <class F>
  [[gnu::always_inline]] static Group each(const F& f) {
    Group g;
#pragma GCC unroll 8
    for (int k = 0; k < kVectors; ++k) g.v[k] = f(k);
    return g;
  }
  [[gnu::always_inline]] static Group load(const float* x) {
    return each([&](int k) { return _mm512_loadu_ps(x + 16 * k); });
  }
  [[gnu::always_inline]] void store(float* y) const {
#pragma GCC unroll 8
    for (int k = 0; k < kVectors; ++k) _mm512_storeu_ps(y + 16 * k, v[k]);
  }

  [[gnu::always_inline]] friend Group operator-(const Group& a) {
    return each([&](int k) { return -a.v[k]; });
  }
  [[gnu::always_inline]] friend Group operator+(const Group& a, const Group& b) {
    return each([&](int k) { return a.v[k] + b.v[k]; });
  }
  [[gnu::always_inline]] friend Group operator-(const Group& a, const Group& b) {
    return each([&](int k) { return a.v[k] - b.v[k]; });
  }
  [[gnu::always_inline]] friend Group operator*(const Group& a, const Group& b) {
    return each([&](int k) { return a.v[k] * b.v[k]; });
  }
  [[gnu::always_inline]] friend Group operator/(const Group& a, const Group& b) {
    return each([&](int k) { return a.v[k] / b.v[k]; });
  }
  [[gnu::always_inline]] friend Group fma(const Group& a, const Group& b, const Group& c) {
    return each([&](int k) { return _mm512_fmadd_ps(a.v[k], b.v[k], c.v[k]); });
  }
  // NaN where b is NaN, b where both are zero.
  [[gnu::always_inline]] friend Group least(const Group& a, const Group& b) {
    return each([&](int k) { return _mm512_maskz_min_ps(kAllLanes, a.v[k], b.v[k]); });
  }
  [[gnu::always_inline]] friend Group greatest(const Group& a, const Group& b) {
    return each([&](int k) { return _mm512_maskz_max_ps(kAllLanes, a.v[k], b.v[k]); });
  }
  [[gnu::always_inline]] friend Group size_of(const Group& a) {
    return each([&](int k) { return _mm512_abs_ps(a.v[k]); });
  }
  // 2^(k / 16), k the last four bits.
  [[gnu::always_inline]] friend Group root_of_two(const Group& a) {
    const FloatVec roots = {1.f,         1.04427373f, 1.09050775f, 1.13878858f,
                            1.18920708f, 1.24185777f, 1.29683959f, 1.35425556f,
                            1.41421354f, 1.47682619f, 1.54221082f, 1.61049032f,
                            1.68179286f, 1.75625217f, 1.8340081f,  1.91520655f};
    return each([&](int k) {
      return _mm512_maskz_permutexvar_ps(kAllLanes, _mm512_castps_si512(a.v[k]), roots);
    });
  }
  [[gnu::always_inline]] friend Group scaled(const Group& a, const Group& m) {  // a 2^floor(m)
    return each([&](int k) { return _mm512_maskz_scalef_ps(kAllLanes, a.v[k], m.v[k]); });
  }
};

// Adding it rounds to sixteenths, whose number below an integer is then in the last four bits.
constexpr float kSixteenths = 786432.f;  // 1.5 * 2^19

// e^x = 2^floor(m) 2^(m - floor(m)) e^r, m a multiple of 1/16, |r| <= ln2 / 32; a fit to 2e-9
// relative before rounding.
template <class V>
[[gnu::always_inline]] inline V exp(V x) {
  const V bounded = least(89.f, greatest(-104.f, x));
  const V rounded = fma(bounded, 1.44269504f, kSixteenths), m = rounded - kSixteenths;
  V r = fma(m, -0.693145752f, bounded);
  r = fma(m, -1.42860677e-6f, r);
  const V p = fma(fma(r, 0.166667208f, 0.500016153f), r, 1.f) * r, root = root_of_two(rounded);
  return scaled(fma(root, p, root), m);
}

template <class V>
[[gnu::always_inline]] inline V sigmoid(V x) {
  return V(1.f) / (V(1.f) + exp(-x));
}

// max(x, 0) - |x| P(X > |x|) for normal X. P = 2^m 2^f p / q: -x^2 log2(e) / 2 = m + f, whose last
// digits, which count in the tail, are those of |x|^2 in two parts and a factor of p / q; fits to
// 8e-9 and 2e-9. From 14.6 on P is 0.
template <class V>
[[gnu::always_inline]] inline V gelu(V x) {
  const V a = least(14.6f, size_of(x));
  const V z = a * a, lost = fma(a, a, -z);
  const V rounded = fma(z, -0.7213475f, kSixteenths), m = rounded - kSixteenths;
  V f = fma(z, -0.7213475f, -m);
  f = fma(lost, -0.7213475f, f);
  const V root = root_of_two(rounded);
  const V e = fma(fma(fma(f, 0.0555021353f, 0.240234286f), f, 0.693147182f) * f, root, root);
  V p = fma(z, 4.352067519853897e-3f, fma(a, 4.229282148241286e-2f, 1.8828733632039105e-1f));
  p = fma(p, z, fma(a, 4.4535973014258934e-1f, 0.5f));
  V q = fma(a, 1.0909054880782513e-2f, 1.0601450041394064e-1f);
  q = fma(q, z, fma(a, 4.827849920527569e-1f, 1.2238809029043467f));
  q = fma(q, z, fma(a, 1.6886044009185497f, 1.f));
  const V above = scaled(e * (p / q), m);
  return fma(-a, above, greatest(-0.f, x));
}

}  // namespace dlx::DLX_ISA::vectors

#endif

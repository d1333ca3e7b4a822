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
  [[gnu::always_inline]] friend Group scaled(const Group& a, const Group& m) {  // a 2^m
    return each([&](int k) { return _mm512_maskz_scalef_ps(kAllLanes, a.v[k], m.v[k]); });
  }
};

constexpr float kInteger = 12582912.f;  // 1.5 * 2^23: adding it rounds to an integer

// e^x = 2^m e^r, |r| <= ln2 / 2; a minimax fit, 3e-9 relative before rounding.
template <class V>
[[gnu::always_inline]] inline V exp(V x) {
  const V bounded = least(89.f, greatest(-104.f, x));
  const V m = fma(bounded, 1.44269504f, kInteger) - kInteger;
  V r = fma(m, -0.693145752f, bounded);
  r = fma(m, -1.42860677e-6f, r);
  V p = fma(r, 1.38144911e-3f, 8.36876283e-3f);
  p = fma(p, r, 4.16683885e-2f);
  p = fma(p, r, 1.66665204e-1f);
  p = fma(p, r, 4.99999932e-1f);
  p = fma(p, r, 1.f);
  p = fma(p, r, 1.f);
  return scaled(p, m);
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
  const V m = fma(z, -0.7213475f, kInteger) - kInteger;
  V f = fma(z, -0.7213475f, -m);
  f = fma(lost, -0.7213475f, f);
  V e = fma(f, 1.53533413e-4f, 1.33989004e-3f);
  e = fma(e, f, 9.61843761e-3f);
  e = fma(e, f, 5.55033241e-2f);
  e = fma(e, f, 2.40226479e-1f);
  e = fma(e, f, 6.93147203e-1f);
  e = fma(e, f, 1.f);
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

// exp, log, tanh, sigmoid, sin and cos as branch-free formulas that g++ vectorises, without FMA, so
// that every instruction set gives the same bits. float64 calls libm: it is the precision that
// checks, not the one that races. Included inside namespace dlx::<instruction set>.
#pragma once

namespace math {

inline float from_bits(int32_t i) { return __builtin_bit_cast(float, i); }
inline int32_t to_bits(float f) { return __builtin_bit_cast(int32_t, f); }

// e^x = 2^n e^r, |r| <= ln2/2, polynomial of Cephes expf (Moshier); under 2 ulp. 2^n in two
// factors, so that results in the subnormal range and the overflow to infinity come out right.
inline float exp(float x) {
  x = x > 89.f ? 89.f : x;
  x = x < -104.f ? -104.f : x;
  float shifted = x * 1.44269504f + 12582912.f;  // adding 1.5 * 2^23 rounds to the nearest integer
  float n = shifted - 12582912.f;
  float r = x - n * 0.693359375f;
  r = r - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.f;
  int32_t k = to_bits(shifted) - to_bits(12582912.f);
  int32_t half = k >> 1;
  return p * from_bits((half + 127) << 23) * from_bits((k - half + 127) << 23);
}

// log x = e ln2 + log m, m in [sqrt(1/2), sqrt 2), polynomial of Cephes logf (Moshier).
inline float log(float x) {
  bool subnormal = x < 1.17549435e-38f;
  float scaled = subnormal ? x * 8388608.f : x;
  int32_t bits = to_bits(scaled) - 0x3f3504f3;  // so that the mantissa lands in [sqrt(1/2), sqrt 2)
  int32_t exponent = bits >> 23;
  float m = from_bits((bits & 0x007fffff) + 0x3f3504f3) - 1.f;
  float e = static_cast<float>(exponent) - (subnormal ? 23.f : 0.f);
  float z = m * m;
  float p = 7.0376836292e-2f;
  p = p * m + -1.1514610310e-1f;
  p = p * m + 1.1676998740e-1f;
  p = p * m + -1.2420140846e-1f;
  p = p * m + 1.4249322787e-1f;
  p = p * m + -1.6668057665e-1f;
  p = p * m + 2.0000714765e-1f;
  p = p * m + -2.4999993993e-1f;
  p = p * m + 3.3333331174e-1f;
  float y = p * m * z;
  y = y + e * -2.12194440e-4f;
  y = y - 0.5f * z;
  float result = m + y + e * 0.693359375f;
  result = x == __builtin_inff() ? x : result;
  result = x == 0.f ? -__builtin_inff() : result;
  return x >= 0.f ? result : __builtin_nanf("");  // also for a NaN
}

// Cephes tanhf (Moshier): a polynomial near 0, where 1 - 2/(e^2x + 1) would cancel.
inline float tanh(float x) {
  float a = __builtin_fabsf(x);
  float far = 1.f - 2.f / (exp(a + a) + 1.f);
  far = x < 0.f ? -far : far;
  float z = x * x;
  float p = -5.70498872745e-3f;
  p = p * z + 2.06390887954e-2f;
  p = p * z + -5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z + -3.33332819422e-1f;
  float near = p * z * x + x;
  return a < 0.625f ? near : (x == x ? far : x);
}

inline float sigmoid(float x) { return 1.f / (1.f + exp(-x)); }
inline float sqrt(float x) { return __builtin_sqrtf(x); }
inline float pow(float x, float e) { return __builtin_powf(x, e); }

// sin and cos of 2 pi `turns`, 0 <= turns < 1: exact reduction to a quarter turn around 0, then the
// polynomials of Cephes sinf and cosf (Moshier); under 1e-7 absolute.
inline void sincos_turns(float turns, float& sine, float& cosine) {
  float quarters = turns * 4.f;
  int32_t quadrant = static_cast<int32_t>(quarters + 0.5f);
  float a = (quarters - static_cast<float>(quadrant)) * 1.57079633f;
  float z = a * a;
  float s = -1.9515295891e-4f;
  s = s * z + 8.3321608736e-3f;
  s = s * z + -1.6666654611e-1f;
  s = s * z * a + a;
  float c = 2.443315711809948e-5f;
  c = c * z + -1.388731625493765e-3f;
  c = c * z + 4.166664568298827e-2f;
  c = c * (z * z) - 0.5f * z + 1.f;
  float across = quadrant & 1 ? c : s, along = quadrant & 1 ? s : c;
  sine = from_bits(to_bits(across) ^ (quadrant & 2) << 30);
  cosine = from_bits(to_bits(along) ^ ((quadrant + 1) & 2) << 30);
}

inline double exp(double x) { return __builtin_exp(x); }
inline double log(double x) { return __builtin_log(x); }
inline double tanh(double x) { return __builtin_tanh(x); }
inline double sigmoid(double x) { return 1. / (1. + __builtin_exp(-x)); }
inline double sqrt(double x) { return __builtin_sqrt(x); }
inline double pow(double x, double e) { return __builtin_pow(x, e); }

inline void sincos_turns(double turns, double& sine, double& cosine) {
  double quarters = turns * 4.;
  int quadrant = static_cast<int>(quarters + 0.5);
  double a = (quarters - quadrant) * 1.5707963267948966;
  double s = __builtin_sin(a), c = __builtin_cos(a);
  double across = quadrant & 1 ? c : s, along = quadrant & 1 ? s : c;
  sine = quadrant & 2 ? -across : across;
  cosine = (quadrant + 1) & 2 ? -along : along;
}

}  // namespace math

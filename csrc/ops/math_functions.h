// exp, log, tanh, sigmoid, erf and their like as branch-free formulas that g++ vectorises, good to
// 2 ulp (sigmoid 2.5, GELU 4); with FMA where the instruction set has it, so the bits are those of
// an instruction set. float64 calls libm: it is the precision that checks, not the one that races;
// so do sin and cos of large angles, fmod, and pow without FMA or on CUDA. Polynomials without a
// source are minimax fits (Lawson's iteration). Included inside namespace dlx::<instruction set> or
// dlx::cuda: constexpr, for nvcc compiles such functions for both sides.
#pragma once

namespace math {

constexpr float from_bits(int32_t i) { return __builtin_bit_cast(float, i); }
constexpr int32_t to_bits(float f) { return __builtin_bit_cast(int32_t, f); }

// a * b + c, rounded once where there is an instruction for it.
template <bool kFused = true>
constexpr float fma(float a, float b, float c) {
#if defined(__FMA__) || defined(__CUDACC__)
  if constexpr (kFused) return __builtin_fmaf(a, b, c);
#endif
  return a * b + c;
}
constexpr double fma(double a, double b, double c) {
#if defined(__FMA__) || defined(__CUDACC__)
  return __builtin_fma(a, b, c);
#else
  return a * b + c;
#endif
}

// The bits of floats of one sign order as integers, whose minimum is one instruction, while g++
// makes several of a comparison of floats. NaN becomes the bound: whoever calls puts it back.
constexpr float at_most(float x, float bound) {  // bound > 0
  return from_bits(to_bits(x) < to_bits(bound) ? to_bits(x) : to_bits(bound));
}
constexpr float at_least(float x, float bound) {  // bound < 0
  const uint32_t bits = static_cast<uint32_t>(to_bits(x));
  const uint32_t most = static_cast<uint32_t>(to_bits(bound));
  return from_bits(static_cast<int32_t>(bits < most ? bits : most));
}
constexpr float nan_of(float x, float y) { return x == x ? y : x; }

// Adding it rounds to the nearest integer, and the low bits of the sum are that integer plus the
// exponent's bias: shifted up they are its power of two.
constexpr float kRound = 12582912.f + 127.f;  // 1.5 * 2^23 + 127
constexpr float power_of_two(float rounded) { return from_bits(to_bits(rounded) << 23); }

// e^x = 4^m e^r, |r| <= ln2: results in the subnormal range and the overflow to infinity come out
// right, because 2^m alone always is a number. x from -104 to 89.
struct Exponential {
  float p, a;  // e^r - 1, which is small, and 2^m
};
constexpr Exponential split_exp(float x) {
  const float rounded = fma(x, 0.72134752f, kRound);
  const float m = rounded - kRound;
  float r = fma(m, -1.38671875f, x);  // 4^m = e^(m ln4); the first product is exact
  r = fma(m, 4.2438888e-4f, r);
  const float z = r * r;  // the terms in pairs: a short chain of operations
  float p = fma(2.4781075e-5f, z, fma(2.0095776e-4f, r, 1.3890427e-3f));
  p = fma(p, z, fma(8.332629e-3f, r, 4.166662e-2f));
  p = fma(p, z, fma(1.6666672e-1f, r, 0.5f));
  return {fma(p, z, r), power_of_two(rounded)};
}

constexpr float exp(float x) {
  const Exponential e = split_exp(at_least(at_most(x, 89.f), -104.f));
  return nan_of(x, (e.p + 1.f) * e.a * e.a);
}

// e^-|x|; anything for NaN
constexpr float exp_below(float x) {
  const Exponential e = split_exp(at_least(-__builtin_fabsf(x), -104.f));
  return (e.p + 1.f) * e.a * e.a;
}

// e^x - 1 = 4^m (e^r - 1) + (4^m - 1), which cancels nowhere. From 2^30 on the 1 does not count.
constexpr float expm1(float x) {
  const Exponential e = split_exp(at_least(at_most(x, 89.f), -104.f));
  const float power = e.a * e.a;
  const float small = fma(e.p, power, power - 1.f);
  const float result = power > 1073741824.f ? (e.p + 1.f) * e.a * e.a : small;
  return (x == 0.f) | (x != x) ? x : result;  // -0 stays
}

// x / (d + rest) for 1 <= d <= 2 and a rest that d has no digits for. AVX-512 divides 16 numbers in
// 16 cycles; a parabola and Newton's iteration take 4. The last step corrects the quotient by its
// remainder.
constexpr float quotient(float x, float d, float rest) {
#if defined(__AVX512F__)
  float r = fma(fma(0.3232322f, d, -1.4545451f), d, 2.1212119f);
  r = fma(r, fma(-d, r, 1.f), r);
  const float y = x * r;
  return fma(fma(-rest, y, fma(-d, y, x)), r, y);
#else
  const float y = x / d;
  return fma(-rest * y, fma(-0.47058806f, d, 1.41176442f), y);  // 1 / d to 6 %
#endif
}

// x = 2^e m, m in [sqrt(1/2), sqrt 2): e ln2 + log m by the polynomial of Cephes logf (Moshier).
// For normal x > 0.
constexpr bool is_normal(float x) { return x >= 1.17549435e-38f && x < __builtin_inff(); }
template <bool kFused = true>
constexpr float log_normal(float x, float scale = 0.f) {
  const int32_t bits = to_bits(x) - 0x3f3504f3;  // so that the mantissa lands there
  const float m = from_bits((bits & 0x007fffff) + 0x3f3504f3) - 1.f;
  const float e = static_cast<float>(bits >> 23) - scale;
  const float z = m * m;
  float p = 7.0376836292e-2f;
  p = fma<kFused>(p, m, -1.1514610310e-1f);
  p = fma<kFused>(p, m, 1.1676998740e-1f);
  p = fma<kFused>(p, m, -1.2420140846e-1f);
  p = fma<kFused>(p, m, 1.4249322787e-1f);
  p = fma<kFused>(p, m, -1.6668057665e-1f);
  p = fma<kFused>(p, m, 2.0000714765e-1f);
  p = fma<kFused>(p, m, -2.4999993993e-1f);
  p = fma<kFused>(p, m, 3.3333331174e-1f);
  float y = p * m * z;
  y = fma<kFused>(e, -2.12194440e-4f, y);
  y = fma<kFused>(-0.5f, z, y);
  return fma<kFused>(e, 0.693359375f, m + y);
}
template <bool kFused = true>
constexpr float log(float x) {
  const bool subnormal = x < 1.17549435e-38f;
  const float y = log_normal<kFused>(subnormal ? x * 8388608.f : x, subnormal ? 23.f : 0.f);
  float result = x == __builtin_inff() ? x : y;
  result = x == 0.f ? -__builtin_inff() : result;
  return x >= 0.f ? result : __builtin_nanf("");  // also for a NaN
}

// tanh |x| = -u / (2 + u), u = e^(-2|x|) - 1: nothing cancels. From 10 on it is 1.
constexpr float tanh(float x) {
  const Exponential e = split_exp(-2.f * at_most(__builtin_fabsf(x), 10.f));
  const float power = e.a * e.a;
  const float u = fma(e.p, power, power - 1.f), d = 2.f + u;
  return nan_of(x, __builtin_copysignf(quotient(u, d, (2.f - d) + u), x));
}

// w = 1 + x is rounded; what it lost, over w, makes up for it: log is nearly straight so far.
constexpr float log1p(float x) {
  float w = 1.f + x;
  float lost = x - (w - 1.f);
  float y = log(w) + lost / w;
  y = w == 1.f ? x : y;  // -0 stays
  return (w == 0.f) | (w == __builtin_inff()) ? log(w) : y;
}

// e^(a^2) erfc(a) for a >= 0, up to a = 10.3, where e^(-a^2) ends: a rational minimax fit, 6e-9
// relative before rounding.
constexpr float scaled_erfc(float a) {
  a = a > 10.3f ? 10.3f : a;
  float p = 3.2970468e-2f;
  p = fma(p, a, 2.3004643e-1f);
  p = fma(p, a, 7.333391e-1f);
  p = fma(p, a, 1.24006530f);
  p = fma(p, a, 1.f);
  float q = 5.8437962e-2f;
  q = fma(q, a, 4.0777228e-1f);
  q = fma(q, a, 1.32860752f);
  q = fma(q, a, 2.40583352f);
  q = fma(q, a, 2.36844506f);
  q = fma(q, a, 1.f);
  return p / q;
}

// Near 0 an odd polynomial (a fit of the same kind, 1.2e-8), elsewhere 1 - erfc.
constexpr float erf(float x) {
  float a = __builtin_fabsf(x), z = x * x;
  float far = fma(-exp_below(z), scaled_erfc(a), 1.f);  // NaN by scaled_erfc
  far = x < 0.f ? -far : far;
  float p = -6.0903729e-4f;
  p = fma(p, z, 5.0119657e-3f);
  p = fma(p, z, -2.6778911e-2f);
  p = fma(p, z, 1.12821409e-1f);
  p = fma(p, z, -3.76125233e-1f);
  p = fma(p, z, 1.28379154e-1f);
  float near = fma(p, x, x);
  return a < 0.9f ? near : far;
}

// The normal distribution at x: e^(-x^2 / 2), and P(X > |x|), whose digits stay in the tail. From
// 13.28 on, where they leave the normal range, both are 0. NaN counts as that, too.
template <class T>
struct Normal {
  T size, density, above;  // size: |x|, but finite
};
constexpr Normal<float> normal(float x) {
  const float a = at_most(__builtin_fabsf(x), 13.28f);
  // -x^2/2 = (n + f) ln2; what rounding takes from x^2 and from the factor counts in the tail.
  const float z = a * a, lost = fma(a, a, -z);
  const float rounded = fma(z, -0.7213475f, kRound);
  float f = fma(z, -0.7213475f, kRound - rounded);
  f = fma(z, -9.6298150e-9f, fma(lost, -0.7213475f, f));
  const float f2 = f * f;
  float e = fma(fma(1.5353362e-4f, f, 1.3398874e-3f), f2, fma(9.618437e-3f, f, 5.5503324e-2f));
  e = fma(e, f2, fma(2.4022648e-1f, f, 6.931472e-1f));
  const float density = fma(e, f, 1.f) * power_of_two(rounded);
  // e^(x^2 / 2) P(X > |x|), 5e-9 relative before rounding
  float p = fma(4.020221896571191e-3f, z, fma(3.998437725660109e-2f, a, 1.8130735417526860e-1f));
  p = fma(p, z, fma(4.3568710016823020e-1f, a, 0.5f));
  float q = fma(fma(1.0077058663990356e-2f, a, 1.0023335159845620e-1f), z,
                fma(4.6438190742657987e-1f, a, 1.1944866512550008f));
  q = fma(q, z, fma(1.6692591193840176f, a, 1.f));
  return {a, density, density * (p / q)};
}

constexpr float sigmoid(float x) { return 1.f / (1.f + exp(-x)); }
constexpr float sqrt(float x) { return __builtin_sqrtf(x); }
constexpr float sin(float x) { return __builtin_sinf(x); }
constexpr float cos(float x) { return __builtin_cosf(x); }
constexpr float fmod(float x, float d) { return __builtin_fmodf(x, d); }
constexpr float floor(float x) { return __builtin_floorf(x); }
constexpr float ceil(float x) { return __builtin_ceilf(x); }
constexpr float trunc(float x) { return __builtin_truncf(x); }
constexpr float round(float x) { return __builtin_rintf(x); }  // halves to even
constexpr float copysign(float x, float s) { return __builtin_copysignf(x, s); }

// sin and cos of x = q pi/2 + r: by pi/2 in parts (Cody and Waite 1980); FMA makes every product
// exact, else the reduction is in float64, where q times the first part is exact while |q| < 2^20.
constexpr float kNearAngle = 1e6f;
constexpr float sin_near(float x, int32_t quadrants = 0) {
#if defined(__FMA__) || defined(__CUDACC__)
  const float rounded = fma(x, 0.636619772f, 12582912.f), q = rounded - 12582912.f;
  float a = fma(q, -1.57079637f, x);
  a = fma(q, 4.37113883e-8f, a);
  a = fma(q, 1.71512451e-15f, a);
  const int32_t quadrant = to_bits(rounded) + quadrants;
#else
  const double wide = static_cast<double>(x);
  const double q = __builtin_rint(wide * 0.63661977236758134);
  const double exact = (wide - q * 1.5707963267341256) - q * 6.0771005065061922e-11;
  const float a = static_cast<float>(exact);
  const int32_t quadrant = static_cast<int32_t>(q) + quadrants;
#endif
  const float z = a * a;
  float s = -1.9515295891e-4f;
  s = fma(s, z, 8.3321608736e-3f);
  s = fma(s, z, -1.6666654611e-1f);
  s = fma(s * z, a, a);
  float c = 2.443315711809948e-5f;
  c = fma(c, z, -1.388731625493765e-3f);
  c = fma(c, z, 4.166664568298827e-2f);
  c = fma(c, z * z, fma(-0.5f, z, 1.f));
  const int32_t odd = -(quadrant & 1);
  const int32_t bits = (to_bits(c) & odd) | (to_bits(s) & ~odd);
  return from_bits(bits ^ (quadrant & 2) << 30);
}
constexpr float cos_near(float x) { return sin_near(x, 1); }

// sin and cos of 2 pi `turns`, 0 <= turns < 1: exact reduction to a quarter turn around 0, then the
// polynomials of Cephes sinf and cosf (Moshier); under 1e-7 absolute.
constexpr void sincos_turns(float turns, float& sine, float& cosine) {
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

constexpr double exp(double x) { return __builtin_exp(x); }
constexpr double log(double x) { return __builtin_log(x); }
constexpr double expm1(double x) { return __builtin_expm1(x); }
constexpr double log1p(double x) { return __builtin_log1p(x); }
constexpr double erf(double x) { return __builtin_erf(x); }
constexpr Normal<double> normal(double x) {
  double a = __builtin_fabs(x);
  a = a > 40. ? 40. : a;
  return {a, __builtin_exp(-0.5 * a * a), 0.5 * __builtin_erfc(a * 0.70710678118654752)};
}
constexpr double tanh(double x) { return __builtin_tanh(x); }
constexpr double sigmoid(double x) { return 1. / (1. + __builtin_exp(-x)); }
constexpr double sqrt(double x) { return __builtin_sqrt(x); }
constexpr double pow(double x, double e) { return __builtin_pow(x, e); }

#if defined(__FMA__) && !defined(__CUDACC__)
// |x|^e = 2^(e log2|x|) in float64, to 3e-9 relative before rounding, without a branch: 4 lanes and
// more are faster than libm. |x| = 2^k m, m in [sqrt(1/2), sqrt 2): log2 m = s p(s^2) by
// s = (m - 1) / (m + 1). Subnormal floats are normal there.
constexpr float pow(float x, float e) {
  constexpr double kInfinity = __builtin_inf(), kMost = 1e12;  // even, and (1 - 2^-24)^kMost is 0
  constexpr int64_t kRootHalf = 0x3fe6a09e667f3bcd, kOneBits = int64_t{1} << 52;
  constexpr double kShift = 6755399441055744.;  // 1.5 * 2^52: adding it rounds to integers
  const double wide = static_cast<double>(x), size = __builtin_fabs(wide);
  const int64_t bits = __builtin_bit_cast(int64_t, size) - kRootHalf + 1024 * kOneBits;
  // The exponent k + 1024 becomes the last digits of 2^52: no instruction converts it before
  // AVX-512.
  const uint64_t exponent = static_cast<uint64_t>(bits) >> 52 | 0x4330000000000000;
  const double k = __builtin_bit_cast(double, exponent) - (4503599627370496. + 1024.);
  const double m = __builtin_bit_cast(double, (bits & (kOneBits - 1)) + kRootHalf);
  const double s = (m - 1.) / (m + 1.), z = s * s;
  double p = 0.3407301374655199;
  p = fma(p, z, 0.4116727171973536);
  p = fma(p, z, 0.5770835849991224);
  p = fma(p, z, 0.961796673341578);
  p = fma(p, z, 2.8853900817900877);
  double log2 = fma(s, p, k);
  log2 = size < kInfinity ? log2 : size;  // also NaN
  log2 = size == 0. ? -kInfinity : log2;

  double d = static_cast<double>(e);
  d = d > kMost ? kMost : d;
  d = d < -kMost ? -kMost : d;
  double y = d * log2;
  y = d == 0. ? 0. : y;  // whatever x is
  y = wide == 1. ? 0. : y;
  y = y > 200. ? 200. : y;
  y = y < -200. ? -200. : y;
  const double rounded = y + (kShift + 1023.), f = y - (rounded - (kShift + 1023.));
  double q = 0.0001534581164277936;
  q = fma(q, f, 0.001339993121575133);
  q = fma(q, f, 0.009618488958491789);
  q = fma(q, f, 0.05550328776975929);
  q = fma(q, f, 0.24022646890621177);
  q = fma(q, f, 0.6931472057372619);
  q = fma(q, f, 1.0000000005541696);
  const uint64_t power = __builtin_bit_cast(uint64_t, rounded) << 52;
  double result = q * __builtin_bit_cast(double, power);

  // Negative x: the sign of an odd power; a fraction has none, but of 0 and infinity.
  const double whole = d + kShift;
  const uint64_t odd = __builtin_bit_cast(uint64_t, whole) << 63;
  const uint64_t sign = __builtin_bit_cast(uint64_t, wide) & odd;
  const double of_whole = __builtin_bit_cast(double, __builtin_bit_cast(uint64_t, result) | sign);
  double defined = whole - kShift == d ? of_whole : __builtin_nan("");
  result = whole - kShift == d ? of_whole : result;
  defined = wide > -kInfinity ? defined : result;
  result = wide < 0. ? defined : result;
  return static_cast<float>(result);
}
#else
constexpr float pow(float x, float e) { return __builtin_powf(x, e); }
#endif
constexpr double sin(double x) { return __builtin_sin(x); }
constexpr double cos(double x) { return __builtin_cos(x); }
constexpr double fmod(double x, double d) { return __builtin_fmod(x, d); }
constexpr double floor(double x) { return __builtin_floor(x); }
constexpr double ceil(double x) { return __builtin_ceil(x); }
constexpr double trunc(double x) { return __builtin_trunc(x); }
constexpr double round(double x) { return __builtin_rint(x); }
constexpr double copysign(double x, double s) { return __builtin_copysign(x, s); }

constexpr void sincos_turns(double turns, double& sine, double& cosine) {
  double quarters = turns * 4.;
  int quadrant = static_cast<int>(quarters + 0.5);
  double a = (quarters - quadrant) * 1.5707963267948966;
  double s = __builtin_sin(a), c = __builtin_cos(a);
  double across = quadrant & 1 ? c : s, along = quadrant & 1 ? s : c;
  sine = quadrant & 2 ? -across : across;
  cosine = (quadrant + 1) & 2 ? -along : along;
}

}  // namespace math

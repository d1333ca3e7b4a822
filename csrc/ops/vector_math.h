// exp, the logistic function, tanh and GELU on whole vectors of AVX-512, as exact as the formulas
// of math_functions.h or more (of all floats the worst: exp 0.9 ulp, tanh 1.2, logistic 2.5, GELU
// 2.6), in fewer instructions. For kernel files only.
#pragma once
#include "core/simd.h"

#if defined(__AVX512F__)

namespace dlx::DLX_ISA::vectors {

constexpr __mmask16 kAllLanes = 0xffff;  // g++ 12 warns of what the forms without a mask leave open

struct Sixteen {
  alignas(64) float of[16];
};

// kVectors at a time, one operation of each after the other: while one waits another computes.
template <int kVectors>
struct Group {
  static constexpr int kLanes = kVectors * Vec<float>::kWidth;
  static_assert(kLanes <= 64);
  FloatVec v[kVectors];

  static __mmask16 lanes_of(int64_t n, int k) {
    return static_cast<__mmask16>(((uint64_t{1} << n) - 1) >> 16 * k);
  }

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
  // The first n < kLanes elements; those behind them are `rest`, their memory is left alone.
  [[gnu::always_inline]] static Group load_first(const float* x, int64_t n, float rest) {
    return each([&](int k) {
      return _mm512_mask_loadu_ps(_mm512_set1_ps(rest), lanes_of(n, k), x + 16 * k);
    });
  }
  [[gnu::always_inline]] void store_first(float* y, int64_t n) const {
#pragma GCC unroll 8
    for (int k = 0; k < kVectors; ++k) _mm512_mask_storeu_ps(y + 16 * k, lanes_of(n, k), v[k]);
  }
  // With zeros behind the first n.
  [[gnu::always_inline]] friend Group only_first(const Group& a, int64_t n) {
    return each([&](int k) { return _mm512_maskz_mov_ps(lanes_of(n, k), a.v[k]); });
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
  [[gnu::always_inline]] friend Group with_sign_of(const Group& x, const Group& size) {
    const __m512i sign = _mm512_castps_si512(_mm512_set1_ps(-0.f));
    return each([&](int k) {  // size | (x & sign)
      return _mm512_castsi512_ps(_mm512_ternarylogic_epi32(
          _mm512_castps_si512(size.v[k]), _mm512_castps_si512(x.v[k]), sign, 0xf8));
    });
  }
  // The entry that the last four bits number.
  [[gnu::always_inline]] friend Group chosen(const Group& number, const Sixteen& entries) {
    const FloatVec all = _mm512_load_ps(entries.of);
    return each([&](int k) {
      return _mm512_maskz_permutexvar_ps(kAllLanes, _mm512_castps_si512(number.v[k]), all);
    });
  }
  // The same of two tables: the fifth bit says which.
  [[gnu::always_inline]] friend Group chosen(const Group& number, const Sixteen& first,
                                             const Sixteen& second) {
    return each([&](int k) {
      return _mm512_permutex2var_ps(_mm512_load_ps(first.of), _mm512_castps_si512(number.v[k]),
                                    _mm512_load_ps(second.of));
    });
  }
  // Where a < bound, no NaN among them, then x, else y.
  [[gnu::always_inline]] friend Group where_below(const Group& a, float bound, const Group& x,
                                                  const Group& y) {
    return each([&](int k) {
      const __mmask16 below = _mm512_cmp_ps_mask(a.v[k], _mm512_set1_ps(bound), _CMP_LT_OQ);
      return _mm512_mask_blend_ps(below, y.v[k], x.v[k]);
    });
  }
  // Whether the bits of all are those of base but for the last few.
  [[gnu::always_inline]] friend bool all_near(const Group& a, float base, int bits) {
    const __m512i expected = _mm512_castps_si512(_mm512_set1_ps(base));
    __m512i other = _mm512_xor_si512(_mm512_castps_si512(a.v[0]), expected);
#pragma GCC unroll 8
    for (int k = 1; k < kVectors; ++k)  // other | (a ^ expected)
      other = _mm512_ternarylogic_epi32(other, _mm512_castps_si512(a.v[k]), expected, 0xf6);
    return _mm512_test_epi32_mask(other, _mm512_set1_epi32(-1 << bits)) == 0;
  }
  // The same of numbers that are not less than base: NaN has more bits, too.
  [[gnu::always_inline]] friend bool none_above(const Group& a, float base, int bits) {
    __m512i any = _mm512_castps_si512(a.v[0]);
#pragma GCC unroll 8
    for (int k = 1; k < kVectors; ++k) any = _mm512_or_si512(any, _mm512_castps_si512(a.v[k]));
    const int32_t usual = __builtin_bit_cast(int32_t, base) | ((1 << bits) - 1);
    return _mm512_test_epi32_mask(any, _mm512_set1_epi32(~usual)) == 0;
  }
  // The bits of number, shifted to the left, are added to those of a.
  [[gnu::always_inline]] friend Group plus_shifted(const Group& a, const Group& number, int by) {
    return each([&](int k) {
      const __m512i high = _mm512_maskz_slli_epi32(kAllLanes, _mm512_castps_si512(number.v[k]), by);
      return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a.v[k]), high));
    });
  }
  [[gnu::always_inline]] friend Group scaled(const Group& a, const Group& m) {  // a 2^floor(m)
    return each([&](int k) { return _mm512_maskz_scalef_ps(kAllLanes, a.v[k], m.v[k]); });
  }
};

// 2^(k / 16) times a factor that leaves little to round: 0.27 units of 2^-24 at most; and the same
// less k / 16 and 64 in the place of the exponent.
constexpr Sixteen kRoots = {{0.981839001f, 1.02530873f, 1.07070303f, 1.11810708f, 1.16760993f,
                             1.21930444f, 1.27328765f, 1.32966089f, 1.38853002f, 1.45000553f,
                             1.51420271f, 1.5812422f, 1.65124977f, 1.72435689f, 1.80070066f,
                             1.8804245f}};
constexpr Sixteen roots_of_bits() {
  Sixteen roots = kRoots;
  for (int k = 0; k < 16; ++k)
    roots.of[k] = __builtin_bit_cast(
        float, __builtin_bit_cast(int32_t, roots.of[k]) - (64 << 23) - (k << 19));
  return roots;
}
constexpr Sixteen kRootsOfBits = roots_of_bits();

// Adding it rounds to sixteenths: the number of them in x + 64 is then in the last bits, so that
// from -64 to 64 no other bits change.
constexpr float kSixteenths = 786432.f;  // 1.5 * 2^19
constexpr float kCount = kSixteenths + 64.f;

// e^r times a root without its factor, r = x - m ln2, |r| <= ln2 / 32; a fit to 2e-9 relative
// before rounding.
template <class V>
[[gnu::always_inline]] inline V exp_rest(V x, V m, V root) {
  V r = fma(m, -0.693145752f, x);
  r = fma(m, -1.42860677e-6f, r);
  const V p = fma(fma(fma(r, 0.169755161f, 0.509265304f), r, 1.01849687f), r, 0.0184969213f);
  return fma(root, p, root);
}

// e^x = 2^floor(m) 2^(m - floor(m)) e^r, m a multiple of 1/16. Bits alone make the power where it
// and all results are normal, which gives the same as scaling.
template <class V>
[[gnu::always_inline]] inline V exp(V x) {
  const V rounded = fma(x, 1.44269504f, kCount);
  if (all_near(rounded, kSixteenths, 11)) [[likely]]
    return exp_rest(x, rounded - kCount, plus_shifted(chosen(rounded, kRootsOfBits), rounded, 19));
  const V bounded = least(89.f, greatest(-104.f, x));
  const V number = fma(bounded, 1.44269504f, kSixteenths), m = number - kSixteenths;
  return scaled(exp_rest(bounded, m, chosen(number, kRoots)), m);
}

template <class V>
[[gnu::always_inline]] inline V sigmoid(V x) {
  return V(1.f) / (V(1.f) + exp(-x));
}

template <int kDegree, class V, class F>
[[gnu::always_inline]] inline V polynomial(V t, const F& coefficient) {
  V p = coefficient(kDegree);
#pragma GCC unroll 8
  for (int k = kDegree - 1; k >= 0; --k) p = fma(p, t, coefficient(k));
  return p;
}

// Coefficients of t^0 to t^6 about k / 4 of a P(X > a) for normal X, to 3e-9 relative; and of
// a P(X > a) 2^(0.7213475 a^2) over the roots' factor, about k from 4 on: the digits of
// log2(e) / 2 that the constant lacks count in the tail.
constexpr Sixteen kLost[] = {
    {{0.f, 0.100323416f, 0.154268771f, 0.169970512f, 0.158655256f, 0.132062212f, 0.100210801f,
      0.0701035261f, 0.0455002636f, 0.0275050644f, 0.0155241629f, 0.00819434877f, 0.00404969417f,
      0.00187533139f, 0.000814201776f, 0.000331564806f}},
    {{0.5f, 0.304626644f, 0.13250488f, 0.000774279411f, -0.0833154693f, -0.122661583f,
      -0.127469197f, -0.110926151f, -0.0852318034f, -0.0591897443f, -0.0376110859f, -0.0220275335f,
      -0.0119456472f, -0.00601738086f, -0.00282176025f, -0.0012338165f}},
    {{-0.398942292f, -0.374584734f, -0.308057159f, -0.216442525f, -0.120985366f, -0.0399544872f,
      0.0161896963f, 0.0458348244f, 0.0539909638f, 0.0486013405f, 0.0372476391f, 0.0252914727f,
      0.0155114708f, 0.00868686289f, 0.00447249925f, 0.00212659268f}},
    {{-4.79930797e-08f, 0.0634372756f, 0.110019721f, 0.129394397f, 0.120985098f, 0.0927515849f,
      0.0566642657f, 0.0235918015f, 2.36161767e-07f, -0.0126461824f, -0.0164328106f, -0.0148481615f,
      -0.0110796969f, -0.00721268123f, -0.00419980753f, -0.00221750024f}},
    {{0.066491887f, 0.0574599355f, 0.0339234248f, 0.00475451536f, -0.0201639943f, -0.0342166126f,
      -0.0360890776f, -0.0289693251f, -0.017996747f, -0.00768175768f, -0.000502252777f,
      0.00312718982f, 0.00406235037f, 0.00351934996f, 0.00248391973f, 0.0015178707f}},
    {{-2.03320196e-05f, -0.0138903279f, -0.0223740917f, -0.0227518696f, -0.0160972383f,
      -0.00620286632f, 0.00269132736f, 0.00789301004f, 0.00896813534f, 0.00716541242f,
      0.00427179551f, 0.00167653989f, 9.85395127e-06f, -0.000728791871f, -0.000845047238f,
      -0.000672346039f}},
    {{-0.00986639783f, -0.00801284891f, -0.00306554977f, 0.0024070146f, 0.00602317415f,
      0.00667829439f, 0.00485710567f, 0.00200333074f, -0.00045395497f, -0.00176386873f,
      -0.00194070768f, -0.00144126196f, -0.000768827973f, -0.000238798253f, 5.42252601e-05f,
      0.000154256326f}}};
constexpr Sixteen kScaledLost[] = {
    {{0.f, 0.f, 0.f, 0.f, 0.384627759f, 0.391710311f, 0.395865113f, 0.398491234f, 0.400249124f,
      0.401480168f, 0.402374208f, 0.403043121f, 0.403556257f, 0.403958231f, 0.404278845f,
      0.404538572f}},
    {{0.f, 0.f, 0.f, 0.f, 0.00938214827f, 0.00528650964f, 0.00323975296f, 0.00211656094f,
      0.00145361712f, 0.00103898486f, 0.000767179765f, 0.000581959786f, 0.000451578584f,
      0.000357237528f, 0.000287342118f, 0.00023447939f}},
    {{0.f, 0.f, 0.f, 0.f, -0.00292935921f, -0.00139477081f, -0.000736937975f, -0.000422012934f,
      -0.000257548323f, -0.000165450896f, -0.000110854147f, -7.69227336e-05f, -5.49803626e-05f,
      -4.03032354e-05f, -3.019621e-05f, -2.30973146e-05f}},
    {{0.f, 0.f, 0.f, 0.f, 0.000785292999f, 0.000318631326f, 0.000146015824f, 7.36068978e-05f,
      4.00412646e-05f, 2.31720351e-05f, 1.4112089e-05f, 8.96958591e-06f, 5.91121216e-06f,
      4.01841135e-06f, 2.80603899e-06f, 1.89081413e-06f}},
    {{0.f, 0.f, 0.f, 0.f, -0.000191075291f, -6.65950938e-05f, -2.66095685e-05f, -1.18538637e-05f,
      -5.76439061e-06f, -3.0116214e-06f, -1.66993686e-06f, -9.73489136e-07f, -5.92165293e-07f,
      -3.73625795e-07f, -2.43337212e-07f, -3.53829023e-07f}},
    {{0.f, 0.f, 0.f, 0.f, 4.25347171e-05f, 1.32533951e-05f, 4.62412709e-06f, 1.82246833e-06f,
      7.9297547e-07f, 3.74297457e-07f, 1.89079358e-07f, 1.0114173e-07f, 5.68089114e-08f,
      3.32784325e-08f, 2.02199093e-08f, -1.55998862e-07f}},
    {{0.f, 0.f, 0.f, 0.f, -7.20312391e-06f, -2.48032984e-06f, -7.60926241e-07f, -2.66699203e-07f,
      -1.04234523e-07f, -4.45825812e-08f, -2.05645225e-08f, -1.01121413e-08f, -5.25200328e-09f,
      -2.85978441e-09f, -1.6226499e-09f, -6.30411208e-08f}}};
constexpr float kQuarters = 3145728.f;      // 1.5 * 2^21: adding it rounds to quarters
constexpr float kOnes = 12582912.f + 16.f;  // 1.5 * 2^23, and the second table's bit
constexpr float kEndOfQuarters = 3.875f;    // from there on it is 16 quarters

// 2^(-0.7213475 a^2) y = 2^m 2^f y, |f| <= 1/32, times the roots' factor, where the last digits of
// a^2 count as well.
template <class V>
[[gnu::always_inline]] inline V gaussian(V a, V y) {
  const V z = a * a, lost = fma(a, a, -z);
  const V rounded = fma(z, -0.7213475f, kSixteenths), m = rounded - kSixteenths;
  V f = fma(z, -0.7213475f, -m);
  f = fma(lost, -0.7213475f, f);
  const V root = chosen(rounded, kRoots);
  const V e = fma(fma(fma(f, 0.0555021353f, 0.240234286f), f, 0.693147182f) * f, root, root);
  return scaled(e * y, m);
}

// max(x, 0) - a P(X > a), a = |x|. Other arguments beside it never change a result: both ways take
// the same polynomial up to 3.875. From 14.6 on P is 0.
template <class V>
[[gnu::always_inline]] inline V gelu(V x) {
  const V size = size_of(x), quarter = size + V(kQuarters), passed = greatest(-0.f, x);
  if (none_above(quarter, kQuarters, 4)) [[likely]] {
    const V t = size - (quarter - V(kQuarters));
    return passed - polynomial<6>(t, [&](int k) { return chosen(quarter, kLost[k]); });
  }
  const V a = least(14.6f, size);
  const V unit = where_below(a, kEndOfQuarters, V(kQuarters), V(kOnes)), place = a + unit;
  const V t = a - (place - unit);
  const V p = polynomial<6>(t, [&](int k) { return chosen(place, kLost[k], kScaledLost[k]); });
  return passed - where_below(a, kEndOfQuarters, p, gaussian(a, p));
}

// Coefficients of t^0 to t^7 of tanh about 19/32 k, to 2e-9 relative; from 8.61 on it is 1.
constexpr Sixteen kTanh[] = {
    {{0.f, 0.53258729f, 0.829801917f, 0.944829464f, 0.982845008f, 0.994736671f, 0.998391807f,
      0.999509275f, 0.999850333f, 0.999954343f, 0.999986053f, 0.999995768f, 0.999998689f,
      0.999999583f, 0.999999881f, 1.f}},
    {{1.f, 0.716350794f, 0.311428785f, 0.107297339f, 0.0340156481f, 0.0104989931f, 0.00321375742f,
      0.000981237041f, 0.000299362495f, 9.13099066e-05f, 2.78488315e-05f, 8.49349544e-06f,
      2.59037756e-06f, 7.90021204e-07f, 2.40942938e-07f, 0.f}},
    {{-1.78092179e-07f, -0.381519526f, -0.25842458f, -0.101377547f, -0.0334320962f, -0.0104437349f,
      -0.00320859067f, -0.000980756013f, -0.00029931785f, -9.13057884e-05f, -2.78484586e-05f,
      -8.49346452e-06f, -2.59037552e-06f, -7.90021318e-07f, -2.40943024e-07f, 0.f}},
    {{-0.333324075f, -0.0355943888f, 0.110632613f, 0.0600187182f, 0.0215200093f, 0.00688909926f,
      0.00213217735f, 0.000653195544f, 0.000199485483f, 6.08649607e-05f, 1.85651206e-05f,
      5.66226117e-06f, 1.72691216e-06f, 5.26680367e-07f, 1.60628531e-07f, 0.f}},
    {{-0.000179321491f, 0.146140963f, -0.00564021897f, -0.0229228642f, -0.0100076683f,
      -0.00337147899f, -0.0010591388f, -0.000325927627f, -9.96738454e-05f, -3.04240893e-05f,
      -9.28117606e-06f, -2.83081704e-06f, -8.63370019e-07f, -2.63316565e-07f, -8.03065134e-08f,
      0.f}},
    {{0.134953439f, -0.0499151573f, -0.0253019501f, 0.00403277902f, 0.00341860531f, 0.00129082287f,
      0.000418183394f, 0.000129859647f, 3.98220291e-05f, 1.21652602e-05f, 3.71207716e-06f,
      1.13229362e-06f, 3.45354522e-07f, 1.0532662e-07f, 3.21254312e-08f, 0.f}},
    {{-0.00715873297f, -0.0307967551f, 0.0167376455f, 0.00172164419f, -0.000751184416f,
      -0.000394353119f, -0.000137202456f, -4.34658286e-05f, -1.34084885e-05f, -4.10354914e-06f,
      -1.25282872e-06f, -3.82218246e-07f, -1.16588332e-07f, -3.55443781e-08f, -1.08461e-08f, 0.f}},
    {{-0.0406397618f, 0.0286868867f, -0.00344391656f, -0.00177616533f, 8.56444149e-06f,
      9.03789478e-05f, 3.70228336e-05f, 1.22104766e-05f, 3.810625e-06f, 1.17024558e-06f,
      3.57658706e-07f, 1.09156005e-07f, 3.32419816e-08f, 1.01587618e-08f, 3.07934411e-09f, 0.f}}};

template <class V>
[[gnu::always_inline]] inline V tanh(V x) {
  constexpr float kWhole = 12582912.f;  // 1.5 * 2^23
  const V a = least(9.2f, size_of(x)), place = fma(a, 32.f / 19.f, kWhole);
  const V t = fma(place - V(kWhole), -19.f / 32.f, a);
  return with_sign_of(x, polynomial<7>(t, [&](int k) { return chosen(place, kTanh[k]); }));
}

}  // namespace dlx::DLX_ISA::vectors

#endif

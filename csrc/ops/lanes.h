// Sums, dot products and extremes of dense rows. Terms are taken in blocks of 8 rows of 16 lanes:
// the 8 terms of a lane are added as a tree, in three roundings, the result in float64 to the lane;
// at the end the lanes are joined as a tree. The order of additions depends on the length alone,
// neither on strides nor on the instruction set; the error is below 4 eps sum |terms| for any
// length. For kernel files only.
#pragma once
#include "core/simd.h"

namespace dlx::DLX_ISA {

#include "ops/sums.h"

// widened_half: half of the lanes, as doubles (g++ 12 converts 8 in two steps).
// load_widened: as many floats from p. rotated: lane l is v's lane l + kBy.
#if defined(__AVX512F__)
constexpr __mmask8 kAll = 0xff;  // g++ 12 warns of what the forms without a mask leave open
inline DoubleVec load_widened(const float* p) {
  return _mm512_maskz_cvtps_pd(kAll, _mm256_loadu_ps(p));
}
template <bool kUpper>
[[gnu::always_inline]] inline DoubleVec widened_half(FloatVec v) {
  return _mm512_maskz_cvtps_pd(kAll, _mm512_maskz_extractf32x8_ps(kAll, v, kUpper));
}
template <int kBy>
[[gnu::always_inline]] inline DoubleVec rotated(DoubleVec v) {
  return __builtin_shufflevector(v, v, kBy, kBy + 1, kBy + 2, kBy + 3, kBy + 4, kBy + 5, kBy + 6,
                                 kBy + 7);
}
#elif defined(__AVX2__)
inline DoubleVec load_widened(const float* p) { return _mm256_cvtps_pd(_mm_loadu_ps(p)); }
template <bool kUpper>
[[gnu::always_inline]] inline DoubleVec widened_half(FloatVec v) {
  return _mm256_cvtps_pd(_mm256_extractf128_ps(v, kUpper));
}
template <int kBy>
[[gnu::always_inline]] inline DoubleVec rotated(DoubleVec v) {
  return __builtin_shufflevector(v, v, kBy, kBy + 1, kBy + 2, kBy + 3);
}
#else
inline DoubleVec load_widened(const float* p) {
  return DoubleVec{static_cast<double>(p[0]), static_cast<double>(p[1])};
}
template <bool kUpper>
[[gnu::always_inline]] inline DoubleVec widened_half(FloatVec v) {
  return DoubleVec{static_cast<double>(v[2 * kUpper]), static_cast<double>(v[2 * kUpper + 1])};
}
template <int kBy>
[[gnu::always_inline]] inline DoubleVec rotated(DoubleVec v) {
  return DoubleVec{v[1], v[0]};
}
#endif

constexpr int kSumLanes = 16;
constexpr int kSumGroup = 8;
constexpr int kSumBlock = kSumLanes * kSumGroup;
constexpr int kExtremeLanes =
    64;  // float32: four AVX-512 registers hide the latency of comparisons

// ((t0 + t1) + (t2 + t3)) + ((t4 + t5) + (t6 + t7)) of the first kTerms of them; t(i) is term i.
template <int kTerms, int kFirst = 0, int kCount = kSumGroup, class Terms>
[[gnu::always_inline]] inline auto tree_sum(const Terms& t) {
  constexpr int kMiddle = kFirst + kCount / 2;
  if constexpr (kCount == 1) {
    return t(kFirst);
  } else if constexpr (kMiddle >= kTerms) {
    return tree_sum<kTerms, kFirst, kCount / 2>(t);
  } else {
    return tree_sum<kTerms, kFirst, kCount / 2>(t) + tree_sum<kTerms, kMiddle, kCount / 2>(t);
  }
}

// A vector of W from elements of T: float32 may be widened.
template <class W, class T>
[[gnu::always_inline]] inline typename Vec<W>::Raw load_as(const T* p) {
  if constexpr (sizeof(W) == sizeof(T)) {
    return Vec<W>::load(p).raw;
  } else {
    return load_widened(p);
  }
}

// f(0), f(kStep), ... below kEnd. Arrays that nothing else indexes become registers where a few
// steps make a whole of them; more would not fit.
template <int kEnd, int kStep = 1, int kAt = 0, class F>
[[gnu::always_inline]] inline void unrolled(const F& f) {
  if constexpr (kEnd / kStep > 4) {
#pragma GCC unroll 8
    for (int at = 0; at < kEnd; at += kStep) f(at);
  } else if constexpr (kAt < kEnd) {
    f(kAt);
    unrolled<kEnd, kStep, kAt + kStep>(f);
  }
}

// The running sums of the lanes.
template <class W>
struct SumLanes {
  static constexpr bool kExact = kIsDouble<W>;
  static constexpr int kWidth = Vec<double>::kWidth, kRegisters = kSumLanes / kWidth;
  DoubleVec sum[kRegisters], error[kRegisters];

  SumLanes() {
    unrolled<kRegisters>([&](int r) { sum[r] = error[r] = DoubleVec{}; });
  }

  // terms(i): the vector of terms i, i + 1, ... of a block; of its 8 rows the first kTerms.
  template <int kTerms = kSumGroup, class Terms>
  [[gnu::always_inline]] void add_block(const Terms& terms) {
    constexpr int V = Vec<W>::kWidth;
    unrolled<kSumLanes, V>([&](int i) __attribute__((always_inline)) {
      const auto t = tree_sum<kTerms>([&](int g) { return terms(g * kSumLanes + i); });
      const int r = i / kWidth;
      if constexpr (V == kWidth) {
        add_term<kExact>(sum[r], error[r], t);
      } else {
        add_term<kExact>(sum[r], error[r], widened_half<false>(t));
        add_term<kExact>(sum[r + 1], error[r + 1], widened_half<true>(t));
      }
    });
  }

  Sum join() const {
    DoubleVec s[kRegisters], e[kRegisters];
    unrolled<kRegisters>([&](int r) { s[r] = sum[r], e[r] = error[r]; });
    join_halves<kRegisters / 2>(s, e);
    join_lanes<kWidth / 2>(s[0], e[0]);
    return {s[0][0], kExact ? e[0][0] : 0};
  }

 private:
  template <int kHalf>
  [[gnu::always_inline]] static void join_halves(DoubleVec* s, DoubleVec* e) {
    if constexpr (kHalf > 0) {
      unrolled<kHalf>([&](int r) { take(s[r], e[r], s[r + kHalf], e[r + kHalf]); });
      join_halves<kHalf / 2>(s, e);
    }
  }
  template <int kHalf>
  [[gnu::always_inline]] static void join_lanes(DoubleVec& s, DoubleVec& e) {
    if constexpr (kHalf > 0) {
      take(s, e, rotated<kHalf>(s), kExact ? rotated<kHalf>(e) : e);
      join_lanes<kHalf / 2>(s, e);
    }
  }
  [[gnu::always_inline]] static void take(DoubleVec& s, DoubleVec& e, DoubleVec other,
                                          DoubleVec lost) {
    add_term<kExact>(s, e, other);
    if constexpr (kExact) e += lost;
  }
};

// The n < kSumBlock terms behind the last whole block, then zeros. number(i): term i, terms(i): the
// vector of terms i, i + 1, ...
template <class W, class Number, class Terms>
[[gnu::always_inline]] inline void fill_rest(int64_t n, W* rest, const Number& number,
                                             const Terms& terms) {
  constexpr int V = Vec<W>::kWidth;
  for (int at = 0; at < kSumBlock; at += V) {
    const int64_t left = n - at;
    Vec<W> v = Vec<W>::zero();
    if (left >= V) v = {terms(at)};
    v.store(rest + at);
    for (int k = 0; left < V && k < left; ++k) rest[at + k] = number(at + k);
  }
}

// at(j, count) for the vectors of a block's first n elements: `count` from element j on.
template <class T, class At>
[[gnu::always_inline]] inline void each_vector(int64_t n, const At& at) {
  constexpr int V = Vec<T>::kWidth;
  if (n >= kSumBlock) {
#pragma GCC unroll 4
    for (int64_t j = 0; j < kSumBlock; j += V) at(j, V);
    return;
  }
  for (int64_t j = 0; j < n; j += V) at(j, static_cast<int>(n - j < V ? n - j : V));
}

// Fetches the block that lies `ahead` bytes behind x; kWrite: to be written.
template <bool kWrite = false, class T>
[[gnu::always_inline]] inline void ask_for_block(const T* x, int64_t ahead) {
  constexpr int64_t kLine = 64, kBytes = kSumBlock * static_cast<int64_t>(sizeof(T));
#pragma GCC unroll 16
  for (int64_t at = 0; at < kBytes; at += kLine)
    __builtin_prefetch(reinterpret_cast<const char*>(x) + ahead + at, kWrite);
}

// The sum over i < n of term(x[i]...), computed in W; term works on numbers and on vectors of them.
// kAhead: bytes by which memory is asked for early.
template <class W, int64_t kAhead = 0, class Term, class... T>
Sum sum_of(int64_t n, const Term& term, const T*... x) {
  SumLanes<W> lanes;
  int64_t i = 0;
  for (; i + kSumBlock <= n; i += kSumBlock) {
    if constexpr (kAhead > 0) (ask_for_block(x + i, kAhead), ...);
    lanes.add_block([&](int at) { return term(load_as<W>(x + i + at)...); });
  }
  if (i < n) {
    alignas(64) W rest[kSumBlock];
    fill_rest(
        n - i, rest, [&](int64_t k) { return term(static_cast<W>(x[i + k])...); },
        [&](int at) { return term(load_as<W>(x + i + at)...); });
    lanes.add_block([&](int at) { return load_as<W>(rest + at); });
  }
  return lanes.join();
}

struct Same {
  template <class V>
  V operator()(V x) const {
    return x;
  }
};
struct Product {
  template <class V>
  V operator()(V x, V y) const {
    return x * y;
  }
};

template <class T>
double total_of(const T* x, int64_t n) {
  return rounded(sum_of<T>(n, Same{}, x));
}
template <class T>
double dot_of(const T* x, const T* y, int64_t n) {
  return rounded(sum_of<T>(n, Product{}, x, y));
}

// Element i belongs to lane i mod kExtremeLanes, and so on as for sums: it decides between 0 and
// -0.
template <bool kMax, class T>
T extreme_of(const T* x, int64_t n) {
  if constexpr (!kIsReal<T>) {
    T best = neutral<kMax, T>();
    for (int64_t i = 0; i < n; ++i) best = extreme<kMax>(best, x[i]);
    return best;
  } else {
    constexpr int W = Vec<T>::kWidth, R = kExtremeLanes / W;
    using Raw = typename Vec<T>::Raw;
    Raw best[R], nan = {};  // apart, so that a comparison and a selection are one instruction
    for (Raw& b : best) b = Vec<T>::broadcast(neutral<kMax, T>()).raw;
    int64_t i = 0;
    for (; i + kExtremeLanes <= n; i += kExtremeLanes) {
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const Raw v = Vec<T>::load(x + i + r * W).raw;
        best[r] = kMax ? (v > best[r] ? v : best[r]) : (v < best[r] ? v : best[r]);
        nan = v != v ? v : nan;
      }
    }
    alignas(64) T lanes[kExtremeLanes], nans[W];
    memcpy(lanes, best, sizeof lanes);
    memcpy(nans, &nan, sizeof nans);
    for (int lane = 0; i < n; ++i, ++lane) lanes[lane] = extreme<kMax>(lanes[lane], x[i]);
    for (int half = kExtremeLanes / 2; half; half /= 2)
      for (int l = 0; l < half; ++l) lanes[l] = extreme<kMax>(lanes[l], lanes[l + half]);
    for (T v : nans) lanes[0] = v != v ? v : lanes[0];
    return lanes[0];
  }
}

}  // namespace dlx::DLX_ISA

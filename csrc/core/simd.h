// Vec<T>: one hardware vector of float or double, the widest of the level a kernel file is compiled
// for. Arithmetic is the compiler's on vector types; only what the language cannot say (fma, masks)
// is an intrinsic. For kernel files only.
#pragma once
#include <stdint.h>
#include <string.h>
#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

namespace dlx::DLX_ISA {

#if defined(__AVX512F__)
constexpr int kVecBytes = 64;
#elif defined(__AVX2__)
constexpr int kVecBytes = 32;
#else
constexpr int kVecBytes = 16;  // SSE2 on x86, NEON on ARM; elsewhere the compiler splits it
#endif
typedef float FloatVec __attribute__((vector_size(kVecBytes)));
typedef double DoubleVec __attribute__((vector_size(kVecBytes)));
template <class T>
struct RawVec;
template <>
struct RawVec<float> {
  using type = FloatVec;
};
template <>
struct RawVec<double> {
  using type = DoubleVec;
};

// fma_raw: a * b + c. load_first / store_first: the first n elements, 0 <= n <= width; the others
// read as zero, and their memory is neither read nor written.
#if defined(__AVX512F__)

inline FloatVec fma_raw(FloatVec a, FloatVec b, FloatVec c) { return _mm512_fmadd_ps(a, b, c); }
inline DoubleVec fma_raw(DoubleVec a, DoubleVec b, DoubleVec c) { return _mm512_fmadd_pd(a, b, c); }
inline __mmask16 first(int n) { return static_cast<__mmask16>((1u << n) - 1); }
inline FloatVec load_first(const float* p, int n) { return _mm512_maskz_loadu_ps(first(n), p); }
inline DoubleVec load_first(const double* p, int n) {
  return _mm512_maskz_loadu_pd(static_cast<__mmask8>(first(n)), p);
}
inline void store_first(float* p, FloatVec v, int n) { _mm512_mask_storeu_ps(p, first(n), v); }
inline void store_first(double* p, DoubleVec v, int n) {
  _mm512_mask_storeu_pd(p, static_cast<__mmask8>(first(n)), v);
}
inline FloatVec only_first(FloatVec v, int n) { return _mm512_maskz_mov_ps(first(n), v); }
inline DoubleVec only_first(DoubleVec v, int n) {
  return _mm512_maskz_mov_pd(static_cast<__mmask8>(first(n)), v);
}

#elif defined(__AVX2__)

inline FloatVec fma_raw(FloatVec a, FloatVec b, FloatVec c) { return _mm256_fmadd_ps(a, b, c); }
inline DoubleVec fma_raw(DoubleVec a, DoubleVec b, DoubleVec c) { return _mm256_fmadd_pd(a, b, c); }
inline __m256i first_of_8(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline __m256i first_of_4(int n) {
  return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
}
inline FloatVec load_first(const float* p, int n) { return _mm256_maskload_ps(p, first_of_8(n)); }
inline DoubleVec load_first(const double* p, int n) { return _mm256_maskload_pd(p, first_of_4(n)); }
inline void store_first(float* p, FloatVec v, int n) { _mm256_maskstore_ps(p, first_of_8(n), v); }
inline void store_first(double* p, DoubleVec v, int n) { _mm256_maskstore_pd(p, first_of_4(n), v); }

#else

#if defined(__ARM_NEON)
inline FloatVec fma_raw(FloatVec a, FloatVec b, FloatVec c) { return vfmaq_f32(c, a, b); }
inline DoubleVec fma_raw(DoubleVec a, DoubleVec b, DoubleVec c) { return vfmaq_f64(c, a, b); }
#else
template <class Raw>
Raw fma_raw(Raw a, Raw b, Raw c) {
  return a * b + c;  // two roundings: these levels have no FMA
}
#endif
template <class T>
typename RawVec<T>::type load_first(const T* p, int n) {
  typename RawVec<T>::type v = {};
  for (int i = 0; i < n; ++i) v[i] = p[i];
  return v;
}
template <class T>
void store_first(T* p, typename RawVec<T>::type v, int n) {
  for (int i = 0; i < n; ++i) p[i] = v[i];
}

#endif

template <class T>
struct Vec {
  using Raw = typename RawVec<T>::type;
  static constexpr int kWidth = kVecBytes / static_cast<int>(sizeof(T));
  Raw raw;

  static Vec zero() { return {Raw{}}; }
  static Vec broadcast(T x) { return {x - Raw{}}; }  // x - 0 keeps the sign of -0, and folds to x
  static Vec load(const T* p) {
    Vec v;  // memcpy: p has the alignment of an element only
    memcpy(&v.raw, p, sizeof(Raw));
    return v;
  }
  static Vec load(const T* p, int n) { return n == kWidth ? load(p) : Vec{load_first(p, n)}; }
  void store(T* p) const { memcpy(p, &raw, sizeof(Raw)); }
  void store(T* p, int n) const {
    if (n == kWidth) {
      store(p);
    } else {
      store_first(p, raw, n);
    }
  }
  friend Vec operator+(Vec a, Vec b) { return {a.raw + b.raw}; }
  friend Vec operator-(Vec a, Vec b) { return {a.raw - b.raw}; }
  friend Vec operator*(Vec a, Vec b) { return {a.raw * b.raw}; }
  friend Vec fma(Vec a, Vec b, Vec c) { return {fma_raw(a.raw, b.raw, c.raw)}; }
};

// y = x, past the caches: y is neither read first nor kept. Whole lines; the bytes before and
// behind them are written as usual.
inline void stream_bytes(const void* x, void* y, int64_t bytes) {
  const char* from = static_cast<const char*>(x);
  char* to = static_cast<char*>(y);
#if defined(__SSE2__)
  constexpr int64_t kLine = 64;
  const int64_t before = -reinterpret_cast<uintptr_t>(to) & (kLine - 1);
  if (before < bytes) {
    memcpy(to, from, static_cast<size_t>(before));
    from += before, to += before, bytes -= before;
    for (; bytes >= kLine; from += kLine, to += kLine, bytes -= kLine) {
#pragma GCC unroll 4
      for (int64_t i = 0; i < kLine; i += kVecBytes) {
        FloatVec v;
        memcpy(&v, from + i, sizeof v);
#if defined(__AVX512F__)
        _mm512_stream_ps(reinterpret_cast<float*>(to + i), v);
#elif defined(__AVX2__)
        _mm256_stream_ps(reinterpret_cast<float*>(to + i), v);
#else
        _mm_stream_ps(reinterpret_cast<float*>(to + i), v);
#endif
      }
    }
  }
#endif
  memcpy(to, from, static_cast<size_t>(bytes));
}

// Behind the last stream_bytes() of a chunk: only then may another thread read.
inline void end_stream() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

}  // namespace dlx::DLX_ISA

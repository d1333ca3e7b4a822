// Any neighbouring lanes of a vector, in a form that tables can hold: two bytes that the hardware's
// masks are made from. For kernel files only.
#pragma once
#include "core/simd.h"

namespace dlx::DLX_ISA {

// load_lanes: these lanes from p, the others from v; store_lanes: these lanes of v. Of other lanes
// the memory is neither read nor written; lane i is p[i].
#if defined(__AVX512F__)

struct Lanes {
  uint16_t bits;
};
inline Lanes lanes_between(int64_t first, int64_t end) {
  return {static_cast<uint16_t>(first < end ? (1u << end) - (1u << first) : 0)};
}
inline FloatVec load_lanes(FloatVec v, const float* p, Lanes l) {
  return _mm512_mask_loadu_ps(v, l.bits, p);
}
inline DoubleVec load_lanes(DoubleVec v, const double* p, Lanes l) {
  return _mm512_mask_loadu_pd(v, static_cast<__mmask8>(l.bits), p);
}
inline void store_lanes(float* p, FloatVec v, Lanes l) { _mm512_mask_storeu_ps(p, l.bits, v); }
inline void store_lanes(double* p, DoubleVec v, Lanes l) {
  _mm512_mask_storeu_pd(p, static_cast<__mmask8>(l.bits), v);
}

#else

struct Lanes {
  uint8_t first, end;
};
inline Lanes lanes_between(int64_t first, int64_t end) {
  if (first >= end) return {0, 0};
  return {static_cast<uint8_t>(first), static_cast<uint8_t>(end)};
}

#if defined(__AVX2__)

inline __m256i mask_of_8(Lanes l) {
  return _mm256_andnot_si256(first_of_8(l.first), first_of_8(l.end));
}
inline __m256i mask_of_4(Lanes l) {
  return _mm256_andnot_si256(first_of_4(l.first), first_of_4(l.end));
}
inline FloatVec load_lanes(FloatVec v, const float* p, Lanes l) {
  const __m256i mask = mask_of_8(l);
  return _mm256_blendv_ps(v, _mm256_maskload_ps(p, mask), _mm256_castsi256_ps(mask));
}
inline DoubleVec load_lanes(DoubleVec v, const double* p, Lanes l) {
  const __m256i mask = mask_of_4(l);
  return _mm256_blendv_pd(v, _mm256_maskload_pd(p, mask), _mm256_castsi256_pd(mask));
}
inline void store_lanes(float* p, FloatVec v, Lanes l) { _mm256_maskstore_ps(p, mask_of_8(l), v); }
inline void store_lanes(double* p, DoubleVec v, Lanes l) {
  _mm256_maskstore_pd(p, mask_of_4(l), v);
}

#else

template <class T>
typename RawVec<T>::type load_lanes(typename RawVec<T>::type v, const T* p, Lanes l) {
  if (l.end - l.first == Vec<T>::kWidth) return Vec<T>::load(p).raw;
  for (int i = l.first; i < l.end; ++i) v[i] = p[i];
  return v;
}
template <class T>
void store_lanes(T* p, typename RawVec<T>::type v, Lanes l) {
  if (l.end - l.first == Vec<T>::kWidth) return Vec<T>{v}.store(p);
  for (int i = l.first; i < l.end; ++i) p[i] = v[i];
}

#endif
#endif

}  // namespace dlx::DLX_ISA

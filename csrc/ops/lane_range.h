// Some lanes of a vector, one behind the other. For kernel files only.
#pragma once
#include "core/simd.h"

namespace dlx::DLX_ISA {

// Lanes [low, high) of a vector; the others read as zero, and their memory is not touched.
template <class T>
struct LaneRange {
  static constexpr int V = Vec<T>::kWidth;
#if defined(__AVX512F__)
  uint32_t mask = 0;
  LaneRange() = default;
  LaneRange(int64_t low, int64_t high) : mask((1u << high) - (1u << low)) {}
  [[gnu::always_inline]] Vec<T> load(const T* p) const {
    if constexpr (sizeof(T) == 8)
      return {_mm512_maskz_loadu_pd(static_cast<__mmask8>(mask), p)};
    else
      return {_mm512_maskz_loadu_ps(static_cast<__mmask16>(mask), p)};
  }
#elif defined(__AVX2__)
  decltype(Vec<T>{}.raw == Vec<T>{}.raw) mask{};
  LaneRange() = default;
  LaneRange(int64_t low, int64_t high) {
    for (int i = 0; i < V; ++i) mask[i] = i >= low && i < high ? -1 : 0;
  }
  [[gnu::always_inline]] Vec<T> load(const T* p) const {
    if constexpr (sizeof(T) == 8)
      return {_mm256_maskload_pd(p, reinterpret_cast<__m256i>(mask))};
    else
      return {_mm256_maskload_ps(p, reinterpret_cast<__m256i>(mask))};
  }
#else
  int low = 0, high = 0;
  LaneRange() = default;
  LaneRange(int64_t low_, int64_t high_)
      : low(static_cast<int>(low_)), high(static_cast<int>(high_)) {}
  [[gnu::always_inline]] Vec<T> load(const T* p) const {
    if (low == 0 && high == V) return Vec<T>::load(p);
    Vec<T> v = Vec<T>::zero();
    for (int i = low; i < high; ++i) v.raw[i] = p[i];
    return v;
  }
#endif
};

}  // namespace dlx::DLX_ISA

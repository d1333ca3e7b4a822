// CUDA C++ as far as dlx's kernels use it, in terms of the emulator. cuda/core/device.h includes it
// where no CUDA compiler is at work.
#pragma once
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <type_traits>
#include <utility>

#include "emulator.h"

#define __global__
#define __device__
#define __host__
#define __constant__
#define __launch_bounds__(...)
#define __forceinline__ inline __attribute__((always_inline))
#define __align__(n) __attribute__((aligned(n)))
#if !defined(__restrict__)
#define __restrict__ __restrict
#endif

#define threadIdx (::simt::builtins.thread)
#define blockIdx (::simt::builtins.block)
#define blockDim (::simt::builtins.block_extent)
#define gridDim (::simt::builtins.grid_extent)
using dim3 = simt::Extent;
constexpr int warpSize = simt::kWarp;

struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) double2 {
  double x, y;
};
struct alignas(16) int4 {
  int x, y, z, w;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline float2 make_float2(float x, float y) { return {x, y}; }
inline double2 make_double2(double x, double y) { return {x, y}; }

// Shared arrays: DLX_SHARED(float, tile, [16][17]); DLX_DYNAMIC_SHARED(float, panel). The lambda
// makes a tag for each array of each instantiation.
#define DLX_SHARED(T, name, extents)                                                        \
  auto& name = *static_cast<std::remove_reference_t<decltype(std::declval<T extents>())>*>( \
      ::simt::shared_static(                                                                \
          []() -> const void* {                                                             \
            static char tag;                                                                \
            return &tag;                                                                    \
          }(),                                                                              \
          sizeof(T extents), 128))
#define DLX_DYNAMIC_SHARED(T, name) T* name = static_cast<T*>(::simt::shared_dynamic())

#define DLX_SIMT_HERE (::simt::Site{__FILE__, __LINE__, __COUNTER__})

#define __syncthreads() ((void)::simt::block_barrier(0, DLX_SIMT_HERE, "__syncthreads"))
#define __syncthreads_count(p) \
  static_cast<int>(::simt::block_barrier((p) ? 1 : 0, DLX_SIMT_HERE, "__syncthreads_count"))
#define __syncthreads_or(p) \
  static_cast<int>(::simt::block_barrier((p) ? 1 : 0, DLX_SIMT_HERE, "__syncthreads_or") != 0)
#define __syncwarp(...) ::simt::warp_barrier(::simt::mask_of(__VA_ARGS__), DLX_SIMT_HERE)
#define __ballot_sync(mask, p) ::simt::ballot(mask, (p), DLX_SIMT_HERE, "__ballot_sync")
#define __any_sync(mask, p) (::simt::ballot(mask, (p), DLX_SIMT_HERE, "__any_sync") != 0)
#define __all_sync(mask, p) (::simt::ballot(mask, !(p), DLX_SIMT_HERE, "__all_sync") == 0)
#define __shfl_sync(mask, ...) \
  ::simt::shuffle_lanes(::simt::indexed, "__shfl_sync", DLX_SIMT_HERE, mask, __VA_ARGS__)
#define __shfl_up_sync(mask, ...) \
  ::simt::shuffle_lanes(::simt::up, "__shfl_up_sync", DLX_SIMT_HERE, mask, __VA_ARGS__)
#define __shfl_down_sync(mask, ...) \
  ::simt::shuffle_lanes(::simt::down, "__shfl_down_sync", DLX_SIMT_HERE, mask, __VA_ARGS__)
#define __shfl_xor_sync(mask, ...) \
  ::simt::shuffle_lanes(::simt::crossed, "__shfl_xor_sync", DLX_SIMT_HERE, mask, __VA_ARGS__)

namespace simt {

inline uint32_t mask_of(uint32_t mask = ~0u) { return mask; }

enum ShuffleMode { indexed, up, down, crossed };

template <class T>
T shuffle_lanes(ShuffleMode mode, const char* name, Site site, uint32_t mask, T value, int by,
                int width = kWarp) {
  static_assert(sizeof(T) <= kShuffleBytes && std::is_trivially_copyable_v<T>);
  const int self = static_cast<int>(lane()), first = self & ~(width - 1), end = first + width;
  int source = -1;  // out of the segment: one's own value stays
  switch (mode) {
    case indexed:
      source = first + (by & (width - 1));
      break;
    case up:
      source = self - by >= first ? self - by : -1;
      break;
    case down:
      source = self + by < end ? self + by : -1;
      break;
    case crossed:
      source = (self ^ by) < end ? self ^ by : -1;
      break;
  }
  T result = value;
  shuffle(mask, &value, sizeof(T), source, &result, site, name);
  return result;
}

}  // namespace simt

template <class T>
T atomicAdd(T* p, T v) {
  return std::atomic_ref<T>(*p).fetch_add(v, std::memory_order_relaxed);
}
template <class T>
T atomicExch(T* p, T v) {
  return std::atomic_ref<T>(*p).exchange(v, std::memory_order_relaxed);
}
template <class T>
T atomicCAS(T* p, T expected, T desired) {
  std::atomic_ref<T>(*p).compare_exchange_strong(expected, desired, std::memory_order_relaxed);
  return expected;  // what was there
}
template <class T>
T atomicMax(T* p, T v) {
  std::atomic_ref<T> x(*p);
  T old = x.load(std::memory_order_relaxed);
  while (old < v && !x.compare_exchange_weak(old, v, std::memory_order_relaxed)) {
  }
  return old;
}
inline void __threadfence() {}
inline void __nanosleep(unsigned) { simt::yield(); }

template <class T>
T __ldg(const T* p) {
  return *p;
}
template <class To, class From>
To simt_bits(From x) {
  static_assert(sizeof(To) == sizeof(From));
  To y;
  std::memcpy(&y, &x, sizeof y);
  return y;
}
inline float __uint_as_float(unsigned x) { return simt_bits<float>(x); }
inline unsigned __float_as_uint(float x) { return simt_bits<unsigned>(x); }
inline float __int_as_float(int x) { return simt_bits<float>(x); }
inline int __float_as_int(float x) { return simt_bits<int>(x); }
inline double __longlong_as_double(long long x) { return simt_bits<double>(x); }
inline long long __double_as_longlong(double x) { return simt_bits<long long>(x); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __clz(int x) { return x ? __builtin_clz(static_cast<unsigned>(x)) : 32; }
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>(uint64_t{a} * b >> 32);
}
using std::max;
using std::min;

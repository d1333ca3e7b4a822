// bfloat16 and float16 to and from float, in kernels: rounded to nearest even, NaN stays NaN.
#pragma once
#include <cstdint>

#include "core/dtype.h"
#include "cuda/core/device.h"
#if defined(__CUDACC__)
#include <cuda_fp16.h>
#endif

namespace dlx::cuda {

__host__ __device__ inline float widen(bfloat16_t x) {
  return __builtin_bit_cast(float, static_cast<uint32_t>(x.bits) << 16);
}
__host__ __device__ inline float widen(float16_t x) {
#if defined(__CUDACC__)
  return __half2float(__builtin_bit_cast(__half, x.bits));
#else
  return static_cast<float>(__builtin_bit_cast(_Float16, x.bits));
#endif
}
template <class T>
__host__ __device__ T widen(T x) {
  return x;
}

template <class To>
struct Narrow {
  template <class From>
  __host__ __device__ static To of(From x) {
    return static_cast<To>(x);
  }
};
template <>
struct Narrow<bfloat16_t> {
  template <class From>
  __host__ __device__ static bfloat16_t of(From x) {
    const uint32_t bits = __builtin_bit_cast(uint32_t, static_cast<float>(x));
    const uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    const bool nan = (bits & 0x7fffffff) > 0x7f800000;
    return {static_cast<uint16_t>(nan ? bits >> 16 | 0x40 : rounded)};
  }
};
template <>
struct Narrow<float16_t> {
  template <class From>
  __host__ __device__ static float16_t of(From x) {
#if defined(__CUDACC__)
    return {__builtin_bit_cast(uint16_t, __float2half_rn(static_cast<float>(x)))};
#else
    return {__builtin_bit_cast(uint16_t, static_cast<_Float16>(static_cast<float>(x)))};
#endif
  }
};

// A T whose bits are the lowest ones of these.
template <class T>
__host__ __device__ T from_bits(uint64_t bits) {
  if constexpr (sizeof(T) == 8) {
    return __builtin_bit_cast(T, bits);
  } else if constexpr (sizeof(T) == 4) {
    return __builtin_bit_cast(T, static_cast<uint32_t>(bits));
  } else if constexpr (sizeof(T) == 2) {
    return __builtin_bit_cast(T, static_cast<uint16_t>(bits));
  } else {
    return static_cast<T>(bits & 0xff);
  }
}

// What is computed on where this is stored.
template <class T>
struct ComputeOf {
  using type = T;
};
template <>
struct ComputeOf<bfloat16_t> {
  using type = float;
};
template <>
struct ComputeOf<float16_t> {
  using type = float;
};

// Calls f(T{}) with the element type of a dtype.
template <class F>
constexpr void with_dtype(DType t, const F& f) {
  switch (t) {
    case DType::float32:
      return f(float{});
    case DType::float64:
      return f(double{});
    case DType::bfloat16:
      return f(bfloat16_t{});
    case DType::float16:
      return f(float16_t{});
    case DType::int32:
      return f(int32_t{});
    case DType::int64:
      return f(int64_t{});
    case DType::uint8:
      return f(uint8_t{});
    case DType::boolean:
      return f(bool{});
  }
}

}  // namespace dlx::cuda

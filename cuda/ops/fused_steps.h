// The steps of a group of pointwise launches one after the other on one element, as fused.cu and
// fused_reduce.cu run them. What later steps read is kept in shared memory, every thread's own. For
// one file of kernels each: included where namespace dlx::cuda begins.
#pragma once
#include <cstdint>
#include <utility>

#include "cuda/core/divide.h"
#include "cuda/core/grid.h"
#include "cuda/ops/map_row.h"
#include "ops/element_bits.h"
#include "ops/fused.h"

namespace dlx::cuda {
namespace {

struct FusedArrays {
  void* of[kMaxFusedArrays];  // inputs, then outputs
};

template <class T>
__device__ uint64_t to_bits(T x) {
  if constexpr (sizeof(T) == 8) {
    return __builtin_bit_cast(uint64_t, x);
  } else if constexpr (sizeof(T) == 4) {
    return __builtin_bit_cast(uint32_t, x);
  } else if constexpr (sizeof(T) == 2) {
    return __builtin_bit_cast(uint16_t, x);
  } else {
    return static_cast<uint8_t>(x);
  }
}

// Element `at` of an array, as bits.
__device__ inline uint64_t read_bits(const void* x, int64_t at, int64_t width) {
  uint64_t bits = 0;
  with_bits(width, [&]<class T>(T) { bits = static_cast<const T*>(x)[at]; });
  return bits;
}

__device__ inline int64_t offset_of(const MapShape& s, int k, int64_t i) {
  if (s.dense) return i;
  int64_t offset = 0;
  for (int d = s.ndim - 1; d >= 0; --d) {
    const Division at = divide(i, s.extent[d]);
    offset += at.rest * s.stride[k][d];
    i = at.quotient;
  }
  return offset;
}

// The operands of a step as bits: of what is stored, or numbers of what is computed on.
struct StepOperands {
  uint64_t x[kMaxMapInputs];
  uint8_t numbers;

  template <class T>
  __device__ auto get(int k) const {
    if constexpr (sizeof(T) == 2) {
      return numbers >> k & 1 ? from_bits<float>(x[k]) : widen(from_bits<T>(x[k]));
    } else {
      return from_bits<T>(x[k]);
    }
  }
};

template <class R, class S>
__device__ uint64_t row_result(const StepOperands& in) {
  if constexpr (is_row_of<R, S>()) {
    using E = Element<R, S>;
    return to_bits(E::of(in.get<typename E::First>(0), in.get<S>(1), in.get<S>(2)));
  }
  return 0;
}

template <int i, class First, class... Rest>
struct RowAt : RowAt<i - 1, Rest...> {};
template <class First, class... Rest>
struct RowAt<0, First, Rest...> {
  using type = First;
};

// Finds the row by halving.
template <class S, int first, int count, class... R>
__device__ uint64_t apply(pointwise::RowList<R...> rows, int row, const StepOperands& in) {
  if constexpr (count == 1) {
    return row_result<typename RowAt<first, R...>::type, S>(in);
  } else {
    constexpr int half = count / 2;
    if (row < first + half) return apply<S, first, half>(rows, row, in);
    return apply<S, first + half, count - half>(rows, row, in);
  }
}

// Not inlined: all rows of the table in each place that runs steps.
__device__ __attribute__((noinline)) uint64_t result_of(DType dtype, int row, StepOperands in) {
  uint64_t y = 0;
  with_dtype(dtype, [&]<class S>(S) {
    y = apply<S, 0, pointwise::Rows::count>(pointwise::Rows{}, row, in);
  });
  return y;
}

__device__ __attribute__((noinline)) uint64_t cast_bits(DType from, DType to, uint64_t x) {
  uint64_t y = 0;
  with_dtype(from, [&]<class S>(S) {
    with_dtype(to, [&]<class To>(To) { y = to_bits(Narrow<To>::of(widen(from_bits<S>(x)))); });
  });
  return y;
}

// Bytes of shared memory that a block of kBlockThreads needs.
inline size_t values_of(const FusedShape& s) {
  return static_cast<size_t>(s.blocks) * kBlockThreads * sizeof(uint64_t);
}

inline FusedArrays arrays_of(const FusedShape& s, void* const* buffers) {
  FusedArrays arrays{};
  for (int i = 0; i < s.inputs + s.outputs; ++i) arrays.of[i] = buffers[i];
  return arrays;
}

// Element i. Returns what step `seen` makes.
__device__ inline uint64_t run_steps(const FusedShape& s, const FusedArrays& arrays, int64_t i,
                                     int seen) {
  DLX_DYNAMIC_SHARED(uint64_t, values);  // (blocks, threads)
  const auto value = [&](int block) -> uint64_t& {
    return values[block * static_cast<int>(blockDim.x) + static_cast<int>(threadIdx.x)];
  };
  uint64_t found = 0;
  for (int t = 0; t < s.steps; ++t) {
    const FusedStep& step = s.step[t];
    const auto operand = [&](int k) -> uint64_t {
      if (step.step[k] >= 0) return value(s.step[step.step[k]].block);
      if (step.is_cast) return read_bits(arrays.of[step.array[0]], i, size_of(step.map.dtype));
      if (step.array[k] < 0) return step.map.scalar[k];
      const bool is_mask = k == 0 && step.selects;
      return read_bits(arrays.of[step.array[k]], offset_of(step.map, k, i),
                       is_mask ? 1 : size_of(step.map.dtype));
    };
    const StepOperands in{
        {operand(0), step.operands > 1 ? operand(1) : 0, step.operands > 2 ? operand(2) : 0},
        step.map.scalars};
    const uint64_t y = step.is_cast ? cast_bits(step.map.dtype, step.to, in.x[0])
                                    : result_of(step.map.dtype, step.map.row, in);
    value(step.block) = y;
    if (t == seen) found = y;
    if (step.stored >= 0)
      with_bits(size_of(step.to), [&]<class T>(T) {
        static_cast<T*>(arrays.of[s.inputs + step.stored])[i] = static_cast<T>(y);
      });
  }
  return found;
}

}  // namespace
}  // namespace dlx::cuda

// y = draws of the generator. Its state is a cell, cell: (2,) int64 {seed, offset}: every draw
// reads the offset and advances it by a number of Philox blocks fixed by the shape alone: ceil(n/4)
// for n numbers made of 32 bits (bfloat16 and float16 are rounded float32), ceil(n/2) for n made
// of 64. Element i is a function of seed, offset and i (core/philox.h): the same bits on any number
// of threads, any instruction set and any device.
#pragma once
#include "core/launch.h"

namespace dlx {

// Philox blocks that n elements of so many bytes take.
constexpr uint64_t random_blocks(int64_t n, int64_t bytes) {
  return static_cast<uint64_t>(bytes == 8 ? (n + 1) / 2 : (n + 3) / 4);
}

// y: (n,) = low + (high - low) u, u uniform on the multiples of 2^-24 (float64: 2^-53) in [0, 1);
// below high unless y's dtype has no number in between (bfloat16, float16: rounded, so high may
// come).
struct RandomUniformShape {
  DType dtype;
  int64_t n;
  double low, high;
  static RandomUniformShape make(const Dims& y_shape, DType dtype, double low, double high);
  double last() const;  // the largest number below high, or low where there is none from low on
  bool operator==(const RandomUniformShape&) const = default;
};

// y: (n,) normal, by Box and Muller's formula on the neighbours (0, 1), (2, 3), ...
struct RandomNormalShape {
  DType dtype;
  int64_t n;
  double mean, std;
  static RandomNormalShape make(const Dims& y_shape, DType dtype, double mean, double std);
  bool operator==(const RandomNormalShape&) const = default;
};

// y: (n,) = low + floor(word range / 2^64); range = high - low, 0 stands for 2^64. No rejection: a
// value's probability is off by less than 2^-64.
struct RandomIntShape {
  DType dtype;  // int32, int64, uint8
  int64_t n;
  int64_t low;
  uint64_t range;
  // D. Lemire, "Fast random integer generation in an interval" (2019)
  constexpr uint64_t value_of(uint64_t word) const {
    const uint64_t step =
        range ? static_cast<uint64_t>(static_cast<unsigned __int128>(word) * range >> 64) : word;
    return static_cast<uint64_t>(low) + step;
  }
  // Values low .. last.
  static RandomIntShape make(const Dims& y_shape, DType dtype, int64_t low, int64_t last);
  bool operator==(const RandomIntShape&) const = default;
};

// y: (n,) int64, the order that sorts n 64-bit words; equal words stay in order.
struct RandomPermutationShape {
  int64_t n;
  static RandomPermutationShape make(int64_t n);
  bool operator==(const RandomPermutationShape&) const = default;
};
struct RandomKey {
  uint64_t word;
  int64_t index;
  constexpr bool operator<(const RandomKey& other) const {
    return word != other.word ? word < other.word : index < other.index;
  }
};

DLX_DECLARE_KERNEL(random_uniform)
DLX_DECLARE_KERNEL(random_normal)
DLX_DECLARE_KERNEL(random_int)
DLX_DECLARE_KERNEL(random_permutation)

namespace cpu {
int64_t random_permutation_workspace(const void* shape);
}
namespace cuda {
int64_t random_workspace(const void* shape);
int64_t random_permutation_workspace(const void* shape);
}  // namespace cuda

namespace ops {

// () -> y, cell
inline constexpr Op random_uniform{
    .name = "random_uniform",
    .kernels = DLX_KERNELS(random_uniform),
    .random = true,
    .updates = 0b10,
    .cost =
        [](const void* shape) {
          const auto& s = *static_cast<const RandomUniformShape*>(shape);
          return Cost{2 * s.n, s.n * size_of(s.dtype)};
        },
    .workspace = {nullptr, DLX_IF_CUDA(cuda::random_workspace)},
};

// () -> y, cell. A pair costs log, sqrt, sin, cos and 8 more.
inline constexpr Op random_normal{
    .name = "random_normal",
    .kernels = DLX_KERNELS(random_normal),
    .random = true,
    .updates = 0b10,
    .cost =
        [](const void* shape) {
          const auto& s = *static_cast<const RandomNormalShape*>(shape);
          return Cost{6 * s.n, s.n * size_of(s.dtype)};
        },
    .workspace = {nullptr, DLX_IF_CUDA(cuda::random_workspace)},
};

// () -> y, cell
inline constexpr Op random_int{
    .name = "random_int",
    .kernels = DLX_KERNELS(random_int),
    .random = true,
    .updates = 0b10,
    .cost =
        [](const void* shape) {
          const auto& s = *static_cast<const RandomIntShape*>(shape);
          return Cost{2 * s.n, s.n * size_of(s.dtype)};
        },
    .workspace = {nullptr, DLX_IF_CUDA(cuda::random_workspace)},
};

// () -> y, cell
inline constexpr Op random_permutation{
    .name = "random_permutation",
    .kernels = DLX_KERNELS(random_permutation),
    .random = true,
    .updates = 0b10,
    .cost =
        [](const void* shape) {
          return Cost{0, 8 * static_cast<const RandomPermutationShape*>(shape)->n};
        },
    .workspace = {cpu::random_permutation_workspace,
                  DLX_IF_CUDA(cuda::random_permutation_workspace)},
};

}  // namespace ops
}  // namespace dlx

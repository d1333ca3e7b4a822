// Elements side by side, as one access brings them.
#pragma once
#include <cstdint>
#include <type_traits>

#include "cuda/core/device.h"

namespace dlx::cuda {

constexpr int kAccessBytes = 16;  // the widest access of a thread

template <class T, int count>
struct alignas(sizeof(T) * count < kAccessBytes ? sizeof(T) * count : kAccessBytes) Pack {
  T value[count];
};

inline bool is_aligned(const void* p) { return reinterpret_cast<uintptr_t>(p) % kAccessBytes == 0; }

// `from` and `to`: aligned as a pack is.
template <int count, class T>
__device__ Pack<T, count> read_run(const T* from) {
  return *reinterpret_cast<const Pack<T, count>*>(from);
}
template <class T, int count>
__device__ void write_run(T* to, const Pack<T, count>& run) {
  *reinterpret_cast<Pack<T, count>*>(to) = run;
}

}  // namespace dlx::cuda

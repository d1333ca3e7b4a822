// Packs at the end of an array, or where it is not aligned.
#pragma once
#include <cstdint>

#include "cuda/core/pack.h"

namespace dlx::cuda {

// The elements that are there from `from` on, at most `count`, and zeros. whole: all are there, and
// `from` is aligned.
template <int count, class T>
__device__ Pack<T, count> read_some(const T* from, int64_t there, bool whole) {
  if (whole) return read_run<count>(from);
  Pack<T, count> run{};
#pragma unroll
  for (int k = 0; k < count; ++k)
    if (k < there) run.value[k] = from[k];
  return run;
}
template <class T, int count>
__device__ void write_some(T* to, const Pack<T, count>& run, int64_t there, bool whole) {
  if (whole) return write_run(to, run);
#pragma unroll
  for (int k = 0; k < count; ++k)
    if (k < there) to[k] = run.value[k];
}

}  // namespace dlx::cuda

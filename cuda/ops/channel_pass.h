// Passes over images that know of each element which channel it is of.
#pragma once
#include "cuda/core/context.h"
#include "cuda/core/pack.h"

namespace dlx::cuda {

#include "ops/mean.h"

// x: (N, C, L)
struct Channels {
  int64_t N, C, L;
  constexpr int64_t size() const { return N * C * L; }
};

// What a channel does to its elements, read at once.
template <class T>
struct alignas(4 * sizeof(T)) Affine {
  Mean<T> mean;
  T scale, shift;
  __device__ T of(T x) const { return mean.from(x) * scale + shift; }
};
template <class T>
__device__ double value_or(const T* p, int64_t c, double other) {
  return p ? static_cast<double>(p[c]) : other;
}

// The channels of elements i, i + 1, ... of (N, C, L).
struct ChannelOf {
  int64_t C, L, channel, left;
  __device__ ChannelOf(const Channels& s, int64_t i)
      : C(s.C), L(s.L), channel(i / L % C), left(L - i % L) {}
  __device__ int64_t next() {
    const int64_t c = channel;
    if (--left == 0) left = L, channel = c + 1 < C ? c + 1 : 0;
    return c;
  }
};

// The passes over x: run<n>(i, channel) is the result at elements i, ..., i + n - 1.
template <class T>
struct Normalize {
  const T *x, *r;  // r: null, or is added
  const Affine<T>* of_channel;
  bool relu;

  bool aligned() const { return is_aligned(x) && is_aligned(r); }
  template <int kCount>
  __device__ Pack<T, kCount> run(int64_t i, ChannelOf channel) const {
    Pack<T, kCount> xs = read_run<kCount>(x + i), rs{};
    if (r) rs = read_run<kCount>(r + i);
#pragma unroll
    for (int k = 0; k < kCount; ++k) {
      T y = of_channel[channel.next()].of(xs.value[k]);
      if (r) y = y + rs.value[k];
      xs.value[k] = relu && y < 0 ? T{} : y;  // keeps NaN
    }
    return xs;
  }
};

template <int kCount, class T, class Pass>
__global__ void pass_over(Channels s, Pass pass, T* __restrict__ y) {
  const int64_t n = s.size(), whole = n - n % kCount;
  for_each_item(n / kCount, [&](int64_t run) {
    const int64_t i = run * kCount;
    write_run(y + i, pass.template run<kCount>(i, ChannelOf(s, i)));
  });
  for_each_item(n - whole, [&](int64_t rest) {
    const int64_t i = whole + rest;
    write_run(y + i, pass.template run<1>(i, ChannelOf(s, i)));
  });
}

template <class T, class Pass>
void launch_pass(const Channels& s, const Pass& pass, T* y, bool aligned, Stream stream) {
  constexpr int kCount = kAccessBytes / sizeof(T);
  if (s.size() == 0) return;
  const dim3 blocks = blocks_for(s.size() / kCount + 1);
  if (aligned && is_aligned(y)) {
    launch_grid<pass_over<kCount, T, Pass>>(blocks, kBlockThreads, 0, stream, s, pass, y);
  } else {
    launch_grid<pass_over<1, T, Pass>>(blocks, kBlockThreads, 0, stream, s, pass, y);
  }
}

}  // namespace dlx::cuda

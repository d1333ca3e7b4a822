#include "cuda/ops/random_draw.h"
#include "ops/dropout.h"

namespace dlx::cuda {
namespace {

constexpr int kLanes = 4;  // words of a Philox block: one for each element

// y = x factor, or 0. A thread takes 16 bytes at least: a Philox block, two of half precision.
// Neighbours read neighbours; y may be x.
template <class T>
__global__ void drop_elements(const uint64_t* start, int64_t n, int32_t threshold, double scale,
                              bool aligned, const T* x, T* y) {
  constexpr int kBlocks = sizeof(T) == 2 ? 2 : 1, kElements = kBlocks * kLanes;
  const uint64_t seed = start[0], offset = start[1];
  const auto factor = static_cast<typename ComputeOf<T>::type>(scale);
  for_each_item((n + kElements - 1) / kElements, [&](int64_t i) {
    const int64_t first = i * kElements, there = n - first;
    const bool whole = aligned && there >= kElements;
    auto run = read_some<kElements>(x + first, there, whole);
#pragma unroll
    for (int b = 0; b < kBlocks; ++b) {
      const PhiloxBlock words = philox(seed, offset + static_cast<uint64_t>(i * kBlocks + b));
#pragma unroll
      for (int lane = 0; lane < kLanes; ++lane) {
        T& element = run.value[b * kLanes + lane];
        element = Narrow<T>::of(kept_or_zero(words.lane[lane], threshold, widen(element), factor));
      }
    }
    write_some(y + first, run, there, whole);
  });
}

template <class T>
void drop(const DropoutShape& s, Stream stream, const void* start, const void* x, void* y) {
  launch_grid<drop_elements<T>>(blocks_for((s.n + kLanes - 1) / kLanes), kBlockThreads, 0, stream,
                                static_cast<const uint64_t*>(start), s.n, s.threshold(), s.scale(),
                                are_aligned(x, y), static_cast<const T*>(x), static_cast<T*>(y));
}

void dropout_of_dtype(const DropoutShape& s, Stream stream, const void* start, const void* x,
                      void* y) {
  if (s.n == 0) return;
  switch (s.dtype) {
    case DType::float64:
      return drop<double>(s, stream, start, x, y);
    case DType::bfloat16:
      return drop<bfloat16_t>(s, stream, start, x, y);
    case DType::float16:
      return drop<float16_t>(s, stream, start, x, y);
    default:
      return drop<float>(s, stream, start, x, y);
  }
}

}  // namespace

// x: (n,)  y: (n,)  start: (2,) int64  cell: (2,) int64
void dropout(Ctx& ctx, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const DropoutShape*>(shape);
  const Stream stream = context(ctx).stream;
  advance(stream, buffers[3], random_blocks(s.n, 4), buffers[2]);
  dropout_of_dtype(s, stream, buffers[2], buffers[0], buffers[1]);
}

// dy: (n,)  start: (2,) int64  dx: (n,)
void dropout_backward(Ctx& ctx, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const DropoutShape*>(shape);
  dropout_of_dtype(s, context(ctx).stream, buffers[1], buffers[0], buffers[2]);
}

}  // namespace dlx::cuda

// Writes n C elements, reads n labels.
#include "cuda/core/context.h"
#include "cuda/core/error_report.h"
#include "cuda/core/grid.h"
#include "cuda/ops/index_range.h"
#include "ops/element_bits.h"
#include "ops/one_hot.h"

namespace dlx::cuda {
namespace {

constexpr int kAccessBytes = 16;

// Pieces of 16 bytes of y, which begins at a multiple of that: they do not keep to rows.
template <class T>
__global__ void one_hot_pieces(int64_t n, int64_t classes, T one,
                               const int64_t* __restrict__ labels, T* __restrict__ y,
                               ErrorReport* error) {
  constexpr int kCount = kAccessBytes / sizeof(T);
  struct alignas(kAccessBytes) Piece {
    T value[kCount];
  };
  const int64_t size = n * classes;
  for_each_item((size + kCount - 1) / kCount, [&](int64_t p) {
    int64_t i = p * kCount / classes, c = p * kCount % classes;
    Piece piece{};
#pragma unroll
    for (int k = 0; k < kCount; ++k) {
      const int64_t label = i < n ? labels[i] : 0;
      if (c == 0 && i < n && (label < 0 || label >= classes)) report(error, i, label, classes);
      piece.value[k] = label == c ? one : T{};
      if (++c == classes) c = 0, ++i;
    }
    if ((p + 1) * kCount <= size) {
      reinterpret_cast<Piece*>(y)[p] = piece;
    } else {
#pragma unroll
      for (int k = 0; k < kCount; ++k)
        if (p * kCount + k < size) y[p * kCount + k] = piece.value[k];
    }
  });
}

}  // namespace

void one_hot(Ctx& ctx, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const OneHotShape*>(shape);
  const auto* labels = static_cast<const int64_t*>(buffers[0]);
  const Context& c = context(ctx);
  if (s.classes == 0) return check_between(c.stream, error_of(ctx), labels, s.n, 0, 0);
  if (s.n == 0) return;
  with_bits(size_of(s.dtype), [&]<class T>(T) {
    launch_grid<one_hot_pieces<T>>(
        blocks_for((s.n * s.classes * size_of(s.dtype) + kAccessBytes - 1) / kAccessBytes),
        kBlockThreads, 0, c.stream, s.n, s.classes, static_cast<T>(one_bits(s.dtype)), labels,
        static_cast<T*>(buffers[1]), error_of(ctx));
  });
}

}  // namespace dlx::cuda

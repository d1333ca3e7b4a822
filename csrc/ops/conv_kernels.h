// What the kernel files of the convolution family share. For kernel files only.
#pragma once
#include "core/simd.h"
#include "ops/conv_table.h"

namespace dlx::DLX_ISA {

#if defined(__AVX512F__)
constexpr int kConvDirectRows = 8;  // x 3 vectors = 24 sums + 3 images + 1 weight = 28 of 32
#else
constexpr int kConvDirectRows = 4;  // x 2 vectors = 8 sums + 2 images + 1 weight = 11 of 16
#endif

template <class T>
void conv_direct(const ConvProduct&, const ConvBlock&, const void* images, const void* packed,
                 const void* bias, void* out);
template <class T>
void conv_channels(const ConvProduct* const* phases, const void* const* packed, int count,
                   const ConvBlock&, const void* rows, const void* bias, void* out);
template <class T>
void conv_dot(const ConvDot&, const ConvBlock&, const void* images, const void* dy, bool first,
              void* scratch, void* dw);
template <class T>
void conv_lanes(const ConvLanes&, const void* images, int64_t begin, int64_t end, void* lanes);
template <class T>
void conv_outer(const ConvOuter&, const ConvBlock&, const void* elements, const void* vectors,
                bool first, void* sums);
template <class T>
void conv_outer_total(const ConvOuterSums&, const void* sums, int64_t begin, int64_t end, void* dw);

template <class T>
inline void copy_run(const T* x, int64_t count, T* y) {
  constexpr int W = Vec<T>::kWidth;
  int64_t j = 0;
  for (; j + W <= count; j += W) Vec<T>::load(x + j).store(y + j);
  if (j < count) {
    const int rest = static_cast<int>(count - j);
    store_first(y + j, load_first(x + j, rest), rest);
  }
}

}  // namespace dlx::DLX_ISA

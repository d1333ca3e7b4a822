// Walking strided operands: merging dimensions, and copying a run of elements in row-major order.
// Host code only.
#pragma once
#include <algorithm>
#include <cstring>

#include "core/array.h"
#include "ops/element_bits.h"

namespace dlx {

// Drops extents of 1 and merges neighbours that every operand walks without a gap. strides[k] is
// operand k's. Returns the number of dimensions left (at least 1; an empty shape () becomes (1,)).
inline int merge_dims(int ndim, int64_t* extent, int64_t (*strides)[kMaxDims], int operands) {
  int last = -1;
  for (int i = 0; i < ndim; ++i) {
    if (extent[i] == 1) continue;
    bool merges = last >= 0;
    for (int k = 0; merges && k < operands; ++k)
      merges = strides[k][last] == strides[k][i] * extent[i];
    if (merges) {
      extent[last] *= extent[i];
    } else {
      extent[++last] = extent[i];
    }
    for (int k = 0; k < operands; ++k) strides[k][last] = strides[k][i];
  }
  if (last < 0) {
    extent[0] = 1;
    for (int k = 0; k < operands; ++k) strides[k][0] = 0;
    last = 0;
  }
  return last + 1;
}

// Calls run(element_offset, inner_stride, done, count) for the pieces of [begin, begin + count) of
// a strided array in row-major order, each within one innermost row.
template <class Run>
void for_each_run(int ndim, const int64_t* extent, const int64_t* stride, int64_t begin,
                  int64_t count, const Run& run) {
  int64_t index[kMaxDims];
  int64_t offset = 0, rest = begin;
  for (int i = ndim - 1; i >= 0; --i) {
    index[i] = rest % extent[i];
    rest /= extent[i];
    offset += index[i] * stride[i];
  }
  const int inner = ndim - 1;
  for (int64_t done = 0; done < count;) {
    int64_t length = extent[inner] - index[inner];
    if (length > count - done) length = count - done;
    run(offset, stride[inner], done, length);
    done += length;
    offset -= index[inner] * stride[inner];
    index[inner] = 0;
    for (int i = inner - 1; i >= 0; --i) {
      offset += stride[i];
      if (++index[i] < extent[i]) break;
      offset -= extent[i] * stride[i];
      index[i] = 0;
    }
  }
}

template <class T>
void gather_elements(int ndim, const int64_t* extent, const int64_t* stride, const T* x,
                     int64_t begin, int64_t count, T* y) {
  for_each_run(ndim, extent, stride, begin, count,
               [&](int64_t offset, int64_t step, int64_t done, int64_t n) {
                 const T* from = x + offset;
                 T* to = y + done;
                 if (step == 1) {
                   std::memcpy(to, from, static_cast<size_t>(n) * sizeof(T));
                 } else if (step == 0) {
                   std::fill_n(to, n, *from);
                 } else {
                   for (int64_t i = 0; i < n; ++i) to[i] = from[i * step];
                 }
               });
}

// Elements [begin, begin + count) of a strided array x, in row-major order, into dense y.
inline void gather(int64_t element_bytes, int ndim, const int64_t* extent, const int64_t* stride,
                   const void* x, int64_t begin, int64_t count, void* y) {
  with_bits(element_bytes, [&]<class T>(T) {
    gather_elements(ndim, extent, stride, static_cast<const T*>(x), begin, count,
                    static_cast<T*>(y));
  });
}

}  // namespace dlx

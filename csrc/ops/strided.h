// Walking strided operands: merging dimensions, and copying a run of elements in row-major order.
// Host code only.
#pragma once
#include <algorithm>

#include "core/array.h"
#include "ops/copy_rows_table.h"

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

// Calls run(offsets, done, rows, n) for the pieces of [begin, begin + count) of strided arrays in
// row-major order: whole rows of n elements, or a part of one. offsets[k]: of the first, in array
// k.
template <int kArrays, class Run>
void for_each_block(int ndim, const int64_t* extent, const int64_t* const (&stride)[kArrays],
                    int64_t begin, int64_t count, const Run& run) {
  int64_t index[kMaxDims], offset[kArrays] = {}, rest = begin;
  for (int i = ndim - 1; i >= 0; --i) {
    index[i] = rest % extent[i];
    rest /= extent[i];
    for (int k = 0; k < kArrays; ++k) offset[k] += index[i] * stride[k][i];
  }
  const auto advance = [&](int axis, int64_t by) {
    index[axis] += by;
    for (int k = 0; k < kArrays; ++k) offset[k] += by * stride[k][axis];
    for (int i = axis; i > 0 && index[i] == extent[i]; --i) {
      index[i] = 0;
      ++index[i - 1];
      for (int k = 0; k < kArrays; ++k) offset[k] += stride[k][i - 1] - extent[i] * stride[k][i];
    }
  };
  const int inner = ndim - 1;
  const int64_t width = extent[inner];
  for (int64_t done = 0; done < count;) {
    const int64_t left = count - done;
    if (ndim == 1 || index[inner] > 0 || left < width) {
      const int64_t n = std::min(width - index[inner], left);
      run(offset, done, int64_t{1}, n);
      advance(inner, n);
      done += n;
    } else {
      const int64_t rows = std::min(extent[inner - 1] - index[inner - 1], left / width);
      run(offset, done, rows, width);
      advance(inner - 1, rows);
      done += rows * width;
    }
  }
}

// The innermost rows of a strided array.
inline RowsLayout rows_layout(int ndim, const int64_t* stride) {
  return {ndim > 1 ? stride[ndim - 2] : 0, stride[ndim - 1]};
}

// Elements [begin, begin + count) of a strided array x, in row-major order, into dense y.
inline void gather(int64_t element_bytes, int ndim, const int64_t* extent, const int64_t* stride,
                   const void* x, int64_t begin, int64_t count, void* y) {
  const CopyRows copy = copy_rows(element_bytes);
  for_each_block<1>(ndim, extent, {stride}, begin, count,
                    [&](const int64_t* offset, int64_t done, int64_t rows, int64_t n) {
                      copy(static_cast<const char*>(x) + offset[0] * element_bytes,
                           rows_layout(ndim, stride), static_cast<char*>(y) + done * element_bytes,
                           {n, 1}, rows, n);
                    });
}

}  // namespace dlx

// Matrices in memory as operands and results of tiles.
#pragma once
#include <cstdint>

#include "cuda/gemm/tile.h"

namespace dlx::cuda {

// Element (line, k) stands at start[line * line_stride + k * depth_stride]. A load brings four
// neighbours, in one access where the matrix is `wide`: they are contiguous, and the extent along
// them, the other stride and the address of `start` are multiples of four elements.
template <class T>
struct MatrixLoader {
  using Element = T;
  static constexpr Along kAlong = Along::either;
  static constexpr int kWidth = 4;
  struct Line {
    const T* start;
    int64_t inside;  // how many lines there are from this one on
  };
  struct Step {
    int64_t inside, offset;
  };

  const T* start;
  int64_t lines, depth, line_stride, depth_stride;
  bool deep, wide;

  __device__ bool along_depth() const { return deep; }
  __device__ Line line(int64_t i) const { return {start + i * line_stride, lines - i}; }
  __device__ Step step(int64_t k) const { return {depth - k, k * depth_stride}; }
  __device__ void advance(Step& s, int by) const {
    s.inside -= by;
    s.offset += by * depth_stride;
  }
  __device__ Pack<T, kWidth> load(const Line& line, const Step& s) const {
    Pack<T, kWidth> pack{};
    if (line.inside <= 0 || s.inside <= 0) return pack;
    const T* from = line.start + s.offset;
    if (wide) return read_run<kWidth>(from);
    const int64_t inside = deep ? s.inside : line.inside;
    const int64_t stride = deep ? depth_stride : line_stride;
#pragma unroll
    for (int j = 0; j < kWidth; ++j) {
      if (j < inside) pack.value[j] = from[j * stride];
    }
    return pack;
  }
};

// What becomes of a sum: + bias (that of its column, or of a convolution's channel, if any), then 0
// where it is negative (relu).
template <class T, class Sum>
struct Epilogue {
  const T* bias;  // or null
  bool relu;

  __device__ T finish(Sum y, int64_t place) const {
    if (bias) y = y + widen(bias[place]);
    if (relu && y < 0) y = 0;  // keeps NaN
    return Narrow<T>::of(y);
  }
};

// To a matrix of contiguous columns, or to a dense one of partial sums (split.h).
template <class T, class Sum>
struct MatrixStore {
  T* start;
  Sum* partials;  // null: the sums are complete
  int64_t row_stride;
  bool wide;  // whole runs are one access
  Epilogue<T, Sum> epilogue;

  __device__ int64_t column(int64_t j) const { return j; }
  __device__ void operator()(int64_t row, int64_t col, Sum sum) const {
    const int64_t at = row * row_stride + col;
    if (partials) {
      partials[at] = sum;
    } else {
      start[at] = epilogue.finish(sum, col);
    }
  }
  template <int count>
  __device__ void run(int64_t row, int64_t col, const Pack<Sum, count>& sums) const {
    const int64_t at = row * row_stride + col;
    if (partials) {
      write_run(partials + at, sums);
    } else {
      Pack<T, count> y;
#pragma unroll
      for (int i = 0; i < count; ++i) y.value[i] = epilogue.finish(sums.value[i], col + i);
      write_run(start + at, y);
    }
  }
};

}  // namespace dlx::cuda

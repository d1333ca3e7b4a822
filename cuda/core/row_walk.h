// How a thread walks over rows of `width` items in steps, without a division for each item.
#pragma once
#include <cstdint>

#include "cuda/core/device.h"

namespace dlx::cuda {

// Items first, first + step, first + 2 step, ... Width > 0.
struct RowWalk {
  int64_t width, row_step, column_step;
  int64_t row, column;

  __device__ RowWalk(int64_t first, int64_t step, int64_t width_)
      : width(width_),
        row_step(step / width),
        column_step(step % width),
        row(first / width),
        column(first % width) {}
  __device__ void advance() {
    row += row_step;
    column += column_step;
    if (column < width) return;
    column -= width;
    ++row;
  }
};

}  // namespace dlx::cuda

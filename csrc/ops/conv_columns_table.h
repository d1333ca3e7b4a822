// The input gradient as a product and a fold: columns[m, tap, pixel] = sum over k of w[k, m, tap]
// dy[k, pixel], each then added to the one element of dx that it belongs to. Unlike a gathered sum
// it multiplies nothing by the zeros around dy. [0]: float32, [1]: float64.
#pragma once
#include <cstdint>

namespace dlx {

constexpr int64_t kFoldTaps = 16;  // most of a row of the kernel

// Along one axis element first + i stride of dx, i < count, gets each of a phase's taps, from pixel
// FoldTap::pixel + i of dy where there is one.
struct FoldTap {
  int64_t tap, pixel;
};
struct FoldPhase {
  int64_t first, count;
  const FoldTap* taps;
  int64_t size;
};

struct ConvFold {
  int64_t K, M, R, S;  // of a group
  int64_t P, Q, H, W;
  int64_t groups;
  int64_t images;      // of a task
  int64_t channels;    // of a block of columns, M of them or fewer
  int64_t mr, panels;  // rows (m, tap) of a panel of weights; panels of a block
  int64_t kc;          // depth of a product
  int64_t pitch;       // elements from row to row of the columns
  int64_t row_phases, col_phases, row_step, col_step;
  const FoldPhase *rows, *cols;
  bool relu;  // of dx

  [[gnu::always_inline]] int64_t taps() const { return R * S; }
  [[gnu::always_inline]] int64_t blocks() const { return (M + channels - 1) / channels; }
};

// Images [n, n + count) of a group, blocks [begin, end) of its channels.
struct ConvFoldTask {
  int64_t n, count, group, begin, end;
};

struct ConvColumnsTable {
  // Panels [begin, end), which count (group, block, panel), each (K, the micro-tile's rows).
  void (*pack[2])(const ConvFold&, const void* w, int64_t begin, int64_t end, void* packed);
  // scratch: pixels of the task rounded up to the micro-tile's columns, times K, and the columns
  void (*run[2])(const ConvFold&, const ConvFoldTask&, const void* dy, const void* packed,
                 const void* bias, void* pixels, void* columns, void* dx);
};

}  // namespace dlx

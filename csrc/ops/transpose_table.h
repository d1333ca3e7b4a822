// What transpose.kernel.cc gives for each instruction set.
#pragma once
#include <cstdint>

#include "core/cpu_features.h"

namespace dlx {

constexpr int64_t kTransposeBlock = 4096;  // elements, at most, of one call: they stay in L1

// y[p * y_row + i] = x[i * x_row + p], i < width, p < depth; width * depth <= kTransposeBlock.
using TransposeFunction = void (*)(const void* x, int64_t x_row, void* y, int64_t y_row,
                                   int64_t width, int64_t depth);

enum class TransposeWay {
  near,     // x and y are in a cache of this core
  ahead,    // x is not: the next lines of it are asked for
  far,      // those of y, too
  streamed  // y is written past the caches
};

struct TransposeFunctions {
  TransposeFunction of[4];  // elements of 1, 2, 4, 8 bytes
};

struct TransposeTable {
  TransposeFunctions functions[4];  // by TransposeWay
  void (*end_stream)();             // before others may read y
};
DLX_EACH_ISA(extern const TransposeTable transpose_table;)

}  // namespace dlx

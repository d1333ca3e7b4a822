// What reduce.kernel.cc gives for each instruction set: steps that reduce one chunk of elements per
// output.
#pragma once
#include <cstdint>

#include "core/dtype.h"

namespace dlx {

// squares: the sum of (x - centre)^2.
enum class ReduceStep : uint8_t { sum, squares, max, min, argmax, argmin };
constexpr int kReduceSteps = 6;

constexpr int64_t kReduceChunk =
    2048;  // elements of one output in a step: part of the fixed order of additions
constexpr int64_t kReduceTile = 128;  // outputs at a time: 16 lanes of 128 float64 sums fit L1

// One output's share of a chunk. Floating values are kept in float64.
struct ReduceState {
  union {
    double real;
    int64_t integer;
  };
  union {
    double error;   // of a sum: what rounding took from it
    int64_t index;  // of an argmax or argmin, within the chunk
  };
};

// A row that lies in pieces, one behind the other.
constexpr int kMostPieces = 20;
struct ReducePieces {
  int count;
  const void* start[kMostPieces];
  int64_t length[kMostPieces];
  const void* next;  // what is read after the last, or its end
};

// All compute the same bits. `centre` has a value per output, for squares only.
struct ReduceKernel {
  // x: rows of n elements, x_step apart  state: (rows), at most kReduceTile
  void (*rows)(const void* x, int64_t x_step, int64_t rows, int64_t n, const double* centre,
               ReduceState* state);
  // x: n rows of `columns` elements, row i at x + offset[i]  state: (columns), at most kReduceTile
  void (*columns)(const void* x, const int64_t* offset, int64_t n, int64_t columns,
                  const double* centre, ReduceState* state);
  // Of one row; null but for sums of floats.
  void (*pieces)(const ReducePieces& x, const double* centre, ReduceState* state);
};

// By the dtype of x; the half types run float32's, after conversion.
struct ReduceTable {
  ReduceKernel kernel[kReduceSteps][kNumDTypes];
};

// Whole rows of n <= kReduceChunk elements, n > 0, to their results: y[r] = sum / divisor, max or
// min of x[r x_step ...]. [0]: float32, [1]: float64. The bits of the steps above.
struct ReduceRowsTable {
  using Rows = void (*)(const void* x, int64_t x_step, int64_t rows, int64_t n, double divisor,
                        void* y);
  Rows sum[2], max[2], min[2];
};

// As many columns of n <= kReduceChunk rows, n > 0, to their results: y[j] = sum / divisor of
// x[offset[0] + j], x[offset[1] + j], ...
struct ReduceColumnsTable {
  using Columns = void (*)(const void* x, const int64_t* offset, int64_t n, int64_t columns,
                           double divisor, void* y);
  Columns sum[2];
};

// The places of extremes in such rows and columns, y: int64. [0]: of the largest, [1]: of the
// smallest; then by dtype.
struct ReduceArgTable {
  ReduceRowsTable::Rows rows[2][2];
  ReduceColumnsTable::Columns columns[2][2];
};

}  // namespace dlx

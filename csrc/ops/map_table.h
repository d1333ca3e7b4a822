// What map.kernel.cc gives for each instruction set: the block functions of pointwise.h and of the
// casts.
#pragma once
#include <cstdint>

#include "core/dtype.h"

namespace dlx {

constexpr int kMaxMapInputs = 3;

// The dtypes of a row: numeric (no bool), any, floating, comparison (any -> bool), logical (bool ->
// bool), predicate (floating -> bool), select (bool, any, any -> any).
enum class RowKind : uint8_t { numeric, any, floating, comparison, logical, predicate, select };

// out[i] = f(in[0][i], in[1][i], ...), all dense; out may be one of the inputs.
using BlockFunction = void (*)(const void* const* in, void* out, int64_t n);

struct MapRow {
  char name[24];
  RowKind kind;
  int32_t inputs;
  int32_t flops;  // per element
  // By the dtype of the last input; bfloat16 and float16 run float32's.
  BlockFunction block[kNumDTypes];
  BlockFunction stream[kNumDTypes];  // the same past the caches; null where out is not floating
};

struct MapTable {
  int32_t rows;
  const MapRow* row;
  void (*convert[kNumDTypes][kNumDTypes])(const void* x, void* y,
                                          int64_t n);     // y[i] = (to)x[i], [from][to]
  void (*stream)(const void* x, void* y, int64_t bytes);  // y = x, past the caches
  void (*end_stream)();                                   // before others may read y
};

}  // namespace dlx

// What scatter_add.kernel.cc gives for each instruction set.
#pragma once
#include <cstdint>

#include "core/cpu_features.h"

namespace dlx {

// y[k] = sum over j < rows of g[order[j] inner + k], k < count, in rising order of j and in
// float64. order has `ahead` positions in all, whose rows are wanted next. [0]: float32, [1]:
// float64.
struct ScatterTable {
  void (*add_rows[2])(const void* g, int64_t inner, const int64_t* order, int64_t rows,
                      int64_t ahead, void* y, int64_t count);
};
DLX_EACH_ISA(extern const ScatterTable scatter_table;)

}  // namespace dlx

// What copy_rows.kernel.cc gives for each instruction set.
#pragma once
#include <cstdint>

#include "core/cpu_features.h"

namespace dlx {

// Where rows lie: `row` elements apart, their own elements `step` apart.
struct RowsLayout {
  int64_t row, step;
};

// y[r, i] = x[r, i], r < rows, i < n. x and y do not overlap.
using CopyRows = void (*)(const void* x, RowsLayout from, void* y, RowsLayout to, int64_t rows,
                          int64_t n);

struct CopyRowsTable {
  CopyRows of[4];  // elements of 1, 2, 4, 8 bytes
};
DLX_EACH_ISA(extern const CopyRowsTable copy_rows_table;)

inline CopyRows copy_rows(int64_t element_bytes) {
  const auto& of = DLX_SELECT_ISA(copy_rows_table).of;
  return element_bytes == 4 ? of[2] : element_bytes == 8 ? of[3] : of[element_bytes - 1];
}

}  // namespace dlx

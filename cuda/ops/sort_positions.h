// Positions in the order of the index at them: what scatter_add sums by.
#pragma once
#include "cuda/core/runtime.h"

namespace dlx::cuda {

struct SortedPositions {
  int64_t* starts;  // (L + 1): those of row l are order[starts[l]] ... order[starts[l + 1] - 1]
  int64_t* order;   // (n), rising within a row
};

int64_t sort_positions_workspace(int64_t n, int64_t extent);
// Indices out of range count as 0. extent (L) > 0
SortedPositions sort_positions(Stream, const int64_t* indices, int64_t n, int64_t extent,
                               void* workspace);

}  // namespace dlx::cuda

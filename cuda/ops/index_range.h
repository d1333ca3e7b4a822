// Checking indices without doing anything else: where nothing is read by them, or nothing may be
// written before all of them are known to be good.
#pragma once
#include "cuda/core/context.h"

namespace dlx::cuda {

// Reports the first of n indices that is not low <= index < limit.
void check_between(Stream, ErrorReport*, const int64_t* indices, int64_t n, int64_t low,
                   int64_t limit);

}  // namespace dlx::cuda

// The sum of a loss: one output of n elements, see reduction.h.
#pragma once
#include "cuda/core/reducers.h"

namespace dlx::cuda {

inline ReductionPlan plan_of_sum(int64_t n) {
  const ReduceDims kept{1, {1}, {0}}, reduced{1, {n}, {1}};
  return plan_reduction(kept, reduced, 1, n);
}

}  // namespace dlx::cuda

// A reduction of what a group of pointwise launches makes: each element is made where a thread of
// the reduction would read it, in the same order.
#include "cuda/core/context.h"
#include "cuda/core/reducers.h"
#include "cuda/ops/fused_steps.h"
#include "ops/fused_reduce.h"

namespace dlx::cuda {
namespace {

ReductionPlan plan_of(const ReduceShape& s) {
  return plan_reduction(s.kept, s.reduced, s.outputs, s.count);
}

// R, a reducer of elements stored as S, whose elements are made.
template <class R, class S>
struct Made : R {
  FusedShape fused;
  FusedArrays arrays;
  int step;

  template <int kCount>
  __device__ Pack<S, kCount> load(int64_t at) const {
    Pack<S, kCount> pack;
#pragma unroll 1
    for (int i = 0; i < kCount; ++i)
      pack.value[i] = from_bits<S>(run_steps(fused, arrays, at + i, step));
    return pack;
  }
};

template <class R, class S>
void run(const FusedReduceShape& s, const R& reducer, void* const* buffers, void* workspace,
         Stream stream) {
  const Made<R, S> made{reducer, s.fused, arrays_of(s.fused, buffers), s.reduced};
  ReductionPlan plan = plan_of(s.reduce);
  plan.packed = reads_packs(plan, static_cast<const S*>(nullptr), R::kPack);  // as apart
  run_reduction(plan, made, workspace, stream, values_of(s.fused));
}

template <class S>
void run_dtype(const FusedReduceShape& s, void* const* buffers, void* workspace, Stream stream) {
  const Reduction kind = s.reduce.kind;
  void* y = buffers[s.fused.inputs + s.fused.outputs];
  const ReducerOf<S> elements{nullptr};
  if (kind == Reduction::max || kind == Reduction::min) {
    const ExtremeOf<S> extreme{elements, static_cast<S*>(y), kind == Reduction::max};
    return run<ExtremeOf<S>, S>(s, extreme, buffers, workspace, stream);
  }
  if constexpr (ReducerOf<S>::kReal) {
    const double count = static_cast<double>(s.reduce.count);
    const SumOfReals<S> sum{elements, {y, kind == Reduction::mean ? count : 1, false}};
    run<SumOfReals<S>, S>(s, sum, buffers, workspace, stream);
  } else {
    const SumOfIntegers<S> sum{elements, static_cast<int64_t*>(y)};
    run<SumOfIntegers<S>, S>(s, sum, buffers, workspace, stream);
  }
}

}  // namespace

int64_t fused_reduce_workspace(const void* shape) {
  const auto& s = *static_cast<const FusedReduceShape*>(shape);
  return reduction_workspace<SumOfReals<double>>(plan_of(s.reduce));
}

void fused_reduce(Ctx& ctx, const void* shape, void* const* buffers, void* workspace) {
  const auto& s = *static_cast<const FusedReduceShape*>(shape);
  // Bools are bytes 0 and 1.
  with_dtype(s.reduce.dtype == DType::boolean ? DType::uint8 : s.reduce.dtype, [&]<class S>(S) {
    if constexpr (!std::is_same_v<S, bool>)
      run_dtype<S>(s, buffers, workspace, context(ctx).stream);
  });
}

}  // namespace dlx::cuda

// Every reduction of reduce.h. x is read once, and once more for var.
#include "cuda/core/context.h"
#include "cuda/core/reducers.h"
#include "ops/reduce.h"

namespace dlx::cuda {
namespace {

ReductionPlan plan_of(const ReduceShape& s) {
  return plan_reduction(s.kept, s.reduced, s.outputs, s.count);
}

template <template <class> class R, class S, class... Rest>
void run(ReductionPlan plan, const void* x, void* workspace, Stream stream, Rest... rest) {
  const R<S> reducer{{static_cast<const S*>(x)}, rest...};
  plan.packed = reads_packs(plan, reducer.x, R<S>::kPack);
  run_reduction(plan, reducer, workspace, stream);
}

template <class S>
void run_float(const ReduceShape& s, const void* x, void* y, void* workspace, Stream stream) {
  const ReductionPlan plan = plan_of(s);
  const double count = static_cast<double>(s.count);
  if (s.kind != Reduction::var) {
    const Quotient to{y, s.kind == Reduction::mean ? count : 1, false};
    return run<SumOfReals, S>(plan, x, workspace, stream, to);
  }
  auto* means = static_cast<double*>(workspace);
  run<SumOfReals, S>(plan, x, means + s.outputs, stream, Quotient{means, count, true});
  const Quotient to{y, std::max(count - s.correction, 0.0), false};
  run<SumOfSquares, S>(plan, x, means + s.outputs, stream, to, means);
}

template <class S>
void run_dtype(const ReduceShape& s, const void* x, void* y, void* workspace, Stream stream) {
  switch (s.kind) {
    case Reduction::max:
    case Reduction::min:
      return run<ExtremeOf, S>(plan_of(s), x, workspace, stream, static_cast<S*>(y),
                               s.kind == Reduction::max);
    case Reduction::argmax:
    case Reduction::argmin:
      return run<PlaceOfExtreme, S>(plan_of(s), x, workspace, stream, static_cast<int64_t*>(y),
                                    s.kind == Reduction::argmax);
    default:
      if constexpr (ReducerOf<S>::kReal) {
        run_float<S>(s, x, y, workspace, stream);
      } else {
        run<SumOfIntegers, S>(plan_of(s), x, workspace, stream, static_cast<int64_t*>(y));
      }
  }
}

}  // namespace

// The means of var (M), then partial states, of which the largest have two words.
int64_t reduce_workspace(const void* shape) {
  const auto& s = *static_cast<const ReduceShape*>(shape);
  const int64_t means = s.kind == Reduction::var ? s.outputs * int64_t{sizeof(double)} : 0;
  return means + reduction_workspace<SumOfReals<double>>(plan_of(s));
}

void reduce(Ctx& ctx, const void* shape, void* const* buffers, void* workspace) {
  const auto& s = *static_cast<const ReduceShape*>(shape);
  if (s.outputs == 0) return;
  // Bools are bytes 0 and 1.
  with_dtype(s.dtype == DType::boolean ? DType::uint8 : s.dtype, [&]<class S>(S) {
    if constexpr (!std::is_same_v<S, bool>)
      run_dtype<S>(s, buffers[0], buffers[1], workspace, context(ctx).stream);
  });
}

}  // namespace dlx::cuda

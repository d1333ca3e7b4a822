#include "core/profiler.h"

namespace dlx {

void Profiler::after(const Launch& call) {
  const std::chrono::duration<double> taken = Clock::now() - start_;
  const Cost cost = call.op.cost ? call.op.cost(call.shape) : Cost{};
  bool f64 = false;
  for (const Array* a : call.outputs) f64 |= a->dtype == DType::float64;
  const std::lock_guard lock(mutex_);
  ProfileRow& row = rows_[{&call.op, call.op.baseline ? Isa::portable : current_isa()}];
  ++row.calls;
  row.bytes += cost.bytes;
  row.flops += cost.flops;
  row.flops_f64 += f64 ? cost.flops : 0;
  row.seconds += taken.count();
}

Profiler::Rows Profiler::rows() const {
  Rows named;
  const std::lock_guard lock(mutex_);
  for (const auto& [key, row] : rows_) {
    ProfileRow& sum = named[{key.first->name, key.second}];
    sum.calls += row.calls;
    sum.bytes += row.bytes;
    sum.flops += row.flops;
    sum.flops_f64 += row.flops_f64;
    sum.seconds += row.seconds;
  }
  return named;
}

}  // namespace dlx

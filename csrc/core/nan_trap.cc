#include "core/nan_trap.h"

#include <algorithm>

#include "core/check.h"
#include "core/device.h"

namespace dlx {
namespace {

// kInfinity: the bits of +inf; a number is not finite where its exponent is that of inf.
template <class Bits, Bits kInfinity>
NonFinite count(const void* data, int64_t n) {
  const auto* x = static_cast<const Bits*>(data);
  constexpr Bits kSign = Bits{1} << (8 * sizeof(Bits) - 1);
  const auto magnitude = [&](int64_t i) { return static_cast<Bits>(x[i] & Bits(~kSign)); };
  NonFinite found;
  constexpr int64_t kBlock = 1024;  // the loop that finds nothing is one that vectorizes
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t end = std::min(n, begin + kBlock);
    Bits most = 0;
    for (int64_t i = begin; i < end; ++i) most = std::max(most, magnitude(i));
    if (most < kInfinity) continue;
    for (int64_t i = begin; i < end; ++i) {
      if (magnitude(i) < kInfinity) continue;
      const bool nan = magnitude(i) > kInfinity;
      int64_t& first = nan ? found.first_nan : found.first_inf;
      if (first < 0) first = i;
      ++(nan ? found.nan : found.inf);
    }
  }
  return found;
}

Dims index_of(int64_t i, const Dims& shape) {
  Dims index = shape;
  for (int d = shape.ndim; d-- > 0; i /= shape[d]) index[d] = i % shape[d];
  return index;
}

bool share_memory(const Array& a, const Array& b) { return a.storage.get() == b.storage.get(); }

std::string text_of(const NonFinite& n) {
  return n.inf == 0   ? message(n.nan, " NaN")
         : n.nan == 0 ? message(n.inf, " Inf")
                      : message(n.nan, " NaN and ", n.inf, " Inf");
}

}  // namespace

NonFinite non_finite(const Array& a) {
  if (!is_floating(a.dtype) || a.size() == 0) return {};
  Ctx& ctx = current_ctx();
  const Unobserved reading(ctx);
  const Array host = dense(ctx, moved(ctx, a, Device{}));
  switch (a.dtype) {
    case DType::float32:
      return count<uint32_t, 0x7f800000>(host.data(), a.size());
    case DType::float64:
      return count<uint64_t, 0x7ff0000000000000>(host.data(), a.size());
    case DType::bfloat16:
      return count<uint16_t, 0x7f80>(host.data(), a.size());
    default:
      return count<uint16_t, 0x7c00>(host.data(), a.size());
  }
}

void NanTrap::before(const Launch& call) {
  if (!call.origin) place_ = where_();
  lost_.assign(call.inputs.size(), {});
  before_.assign(call.outputs.size(), {});
  for (size_t k = 0; k < call.outputs.size(); ++k) {
    const Array& y = *call.outputs[k];
    if (call.op.updates >> k & 1) before_[k] = non_finite(y);
    for (size_t i = 0; i < call.inputs.size(); ++i)
      if (call.inputs[i] != &y && share_memory(*call.inputs[i], y))
        lost_[i] = non_finite(*call.inputs[i]);
  }
}

std::string NanTrap::about_inputs(const Launch& call) const {
  std::string all;
  const auto add = [&](const char* name, size_t number, const Array& a, const NonFinite& n) {
    if (n.nan + n.inf == 0) return;
    all += message(all.empty() ? "" : ", ", name, " ", number, ", ", a.dtype, " of shape ", a.shape,
                   ", had ", text_of(n), " before");
  };
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    const Array& x = *call.inputs[i];
    bool is_output = false, shared = false;  // a Python number has no memory: y stands in for it
    for (const Array* y : call.outputs) is_output |= &x == y, shared |= share_memory(x, *y);
    if (!is_output) add("input", i, x, shared ? lost_[i] : non_finite(x));
  }
  for (size_t k = 0; k < call.outputs.size(); ++k) add("output", k, *call.outputs[k], before_[k]);
  return all.empty() ? "its inputs had none" : all;
}

void NanTrap::after(const Launch& call) {
  if (ignored_.contains(call.op.name)) return;
  for (size_t k = 0; k < call.outputs.size(); ++k) {
    const Array& y = *call.outputs[k];
    const NonFinite n = non_finite(y);
    if (!trapped(n)) continue;
    const std::string layer(call.origin ? call.origin->layer : name_(place_.layer));
    const std::string line(call.origin ? call.origin->line : place_.line);
    const std::string which = call.outputs.size() > 1 ? message(" in output ", k) : "";
    throw FloatingPointError(message(layer.empty() ? "" : layer + ": ", call.op.name, ": made ",
                                     text_of(n), " among the ", y.size(), " numbers of ", y.dtype,
                                     " of shape ", y.shape, which, ", the first at ",
                                     index_of(n.nan > 0 ? n.first_nan : n.first_inf, y.shape),
                                     ", at ", line, "; ", about_inputs(call)));
  }
}

}  // namespace dlx

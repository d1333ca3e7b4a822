#include "ops/optimizer.h"

#include <algorithm>

#include "core/check.h"
#include "core/cpu_features.h"
#include "core/denormals.h"
#include "core/parallel.h"
#include "ops/optimizer_numbers.h"

namespace dlx {

DLX_EACH_ISA(extern const OptimizerTable optimizer_table;)

namespace {

void check_buffer(const char* name, const Array& a, DType dtype, int ndim) {
  DLX_CHECK_AS(TypeError, a.dtype == dtype, "optimizer_step: expected ", name, " of dtype ", dtype,
               ", got ", a.dtype);
  DLX_CHECK(a.shape.ndim == ndim, "optimizer_step: expected ", name, " of ", ndim,
            " dimensions, got shape ", a.shape);
}

}  // namespace

OptimizerShape OptimizerShape::make(int kind, std::span<const double> hyper, const Array& lr,
                                    const Array& weight_decay, const Array& step,
                                    const Array& grad_scale, const Array& skip) {
  constexpr size_t kHyperparameters[kOptimizerKinds] = {4, 5, 5, 5, 3, 3};  // of each kind
  DLX_CHECK(
      kind >= 0 && kind < kOptimizerKinds,
      "optimizer_step: expected kind 0 (SGD), 1 (Adam), 2 (AdamW), 3 (RMSprop), 4 (Adagrad) or "
      "5 (Adadelta), got ",
      kind);
  DLX_CHECK(hyper.size() == kHyperparameters[kind], "optimizer_step: expected ",
            kHyperparameters[kind], " hyperparameters, got ", hyper.size());
  check_buffer("lr", lr, DType::float64, 1);
  check_buffer("weight_decay", weight_decay, DType::float64, 1);
  DLX_CHECK(lr.shape == weight_decay.shape,
            "optimizer_step: expected lr and weight_decay of one length, got ", lr.shape, " and ",
            weight_decay.shape);
  check_buffer("step", step, DType::int64, 0);
  check_buffer("grad_scale", grad_scale, DType::float32, 0);
  check_buffer("skip", skip, DType::boolean, 0);
  OptimizerShape s{};
  s.kind = static_cast<OptimizerKind>(kind);
  s.maximize = hyper[0] != 0;
  switch (s.kind) {
    case OptimizerKind::sgd:
      s.momentum = hyper[1], s.dampening = hyper[2], s.nesterov = hyper[3] != 0;
      break;
    case OptimizerKind::adam:
    case OptimizerKind::adamw:
      s.beta1 = hyper[1], s.beta2 = hyper[2], s.eps = hyper[3], s.amsgrad = hyper[4] != 0;
      break;
    case OptimizerKind::rmsprop:
      s.beta2 = hyper[1], s.eps = hyper[2], s.momentum = hyper[3], s.centered = hyper[4] != 0;
      break;
    case OptimizerKind::adagrad:
      s.lr_decay = hyper[1], s.eps = hyper[2];
      break;
    case OptimizerKind::adadelta:
      s.beta2 = hyper[1], s.eps = hyper[2];
      break;
  }
  return s;
}

int OptimizerShape::states() const {
  switch (kind) {
    case OptimizerKind::sgd:
      return momentum != 0;
    case OptimizerKind::adam:
    case OptimizerKind::adamw:
      return 2 + amsgrad;
    case OptimizerKind::rmsprop:
      return 1 + (momentum != 0) + centered;
    case OptimizerKind::adagrad:
      return 1;
    case OptimizerKind::adadelta:
      return 2;
  }
  return 0;
}

// The scale of g is 1, a mean of g 3, of g^2 4.
int64_t OptimizerShape::flops() const {
  switch (kind) {
    case OptimizerKind::sgd:
      return 3 + (momentum != 0 ? 3 + 2 * nesterov : 0);
    case OptimizerKind::adam:
    case OptimizerKind::adamw:
      return 15 + amsgrad;
    case OptimizerKind::rmsprop:
      return 10 + 2 * (momentum != 0) + 5 * centered;
    case OptimizerKind::adagrad:
      return 8;
    case OptimizerKind::adadelta:
      return 17;
  }
  return 0;
}

void OptimizerShape::check(int64_t index, const Array& p, const Array& g,
                           std::span<const Array* const> arrays, int64_t its_group,
                           const Array& lr) const {
  DLX_CHECK_AS(TypeError, p.dtype == DType::float32 || p.dtype == DType::float64,
               "optimizer_step: parameter ", index, " is ", p.dtype,
               "; expected float32 or float64");
  DLX_CHECK_AS(TypeError, g.dtype == p.dtype, "optimizer_step: the gradient of parameter ", index,
               " is ", g.dtype, ", the parameter ", p.dtype);
  DLX_CHECK(g.shape == p.shape, "optimizer_step: the gradient of parameter ", index, " has shape ",
            g.shape, ", the parameter ", p.shape);
  DLX_CHECK(its_group >= 0 && its_group < lr.shape[0], "optimizer_step: parameter ", index,
            " is of group ", its_group, ", there are ", lr.shape[0]);
  DLX_CHECK(static_cast<int>(arrays.size()) == states(), "optimizer_step: parameter ", index,
            " has ", arrays.size(), " state arrays, expected ", states());
  for (const Array* state : arrays)
    DLX_CHECK(state->dtype == p.dtype && state->shape == p.shape,
              "optimizer_step: a state of parameter ", index, " is ", state->dtype, " of shape ",
              state->shape, ", the parameter ", p.dtype, " of ", p.shape);
}

namespace cpu {
namespace {

// A chunk has at least 10 us of Adam's work in float32; of large models 3.7 MB of its traffic, so
// that streams seldom start anew.
constexpr int64_t kLeastGrain = 32768, kMostGrain = 131072, kChunks = 16;

int64_t grain_of(int64_t elements) {
  return effective_grain(std::clamp(elements / kChunks, kLeastGrain, kMostGrain));
}

}  // namespace

void optimizer_step(Ctx&, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const OptimizerShape*>(shape);
  const auto* lr = static_cast<const double*>(buffers[0]);
  const auto* weight_decay = static_cast<const double*>(buffers[1]);
  const float grad_scale = *static_cast<const float*>(buffers[2]);
  if (*static_cast<const bool*>(buffers[3])) return;
  void* const* g = buffers + 4;
  auto* step = static_cast<int64_t*>(g[s.count]);
  void* const* p = g + s.count + 1;
  void* const* states = p + s.count;

  const auto& table = DLX_SELECT_ISA(optimizer_table);
  const auto function = table.of[static_cast<int>(s.kind)][s.dtype == DType::float64];
  const int64_t width = size_of(s.dtype), t = *step + 1;
  const OptimizerNumbers common = common_numbers(s, grad_scale, t);
  const double factor = lr_factor(s, t);
  const int kept = s.states();

  // One range over all tensors: chunks cross from one into the next.
  parallel_for(s.elements(), grain_of(s.elements()), [&](int64_t begin, int64_t end) {
    const FlushDenormals flush;  // the means of a gradient that has gone to zero
    int i = 0;
    int64_t first = 0;  // of tensor i
    for (; first + s.size[i] <= begin; ++i) first += s.size[i];
    for (int64_t at = begin; at < end; first += s.size[i++]) {
      const int64_t n = std::min(end, first + s.size[i]) - at, byte = (at - first) * width;
      if (n == 0) continue;
      const double rate = lr[s.group[i]], wd = weight_decay[s.group[i]];
      const OptimizerNumbers numbers = numbers_of_group(s, common, factor, rate, wd);
      const auto part = [&](void* const* arrays) { return static_cast<char*>(arrays[i]) + byte; };
      void* its_states[kMaxOptimizerStates] = {};
      for (int k = 0; k < kept; ++k) its_states[k] = part(states + k * s.count);
      function(numbers, part(p), part(g), its_states, n);
      at += n;
    }
  });
  if (s.advance) *step = t;
}

}  // namespace cpu
}  // namespace dlx

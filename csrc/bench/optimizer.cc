// One step on one tensor: the parameter, its gradient and its states are read, all but the gradient
// written back in place.
#include "ops/optimizer.h"

#include "bench/bench.h"

namespace dlx::bench {
namespace {

void step(benchmark::State& state, OptimizerKind kind, const std::vector<double>& hyper,
          int64_t n) {
  const Array lr = zeros({1}, DType::float64), weight_decay = zeros({1}, DType::float64);
  Array grad_scale = zeros({}), steps = zeros({}, DType::int64);
  const Array skip = zeros({}, DType::boolean);
  *static_cast<float*>(grad_scale.data()) = 1;
  auto s = OptimizerShape::make(static_cast<int>(kind), hyper, lr, weight_decay, steps, grad_scale,
                                skip);
  s.count = 1, s.dtype = DType::float32, s.advance = true, s.size[0] = n;
  const Array g = random({n});
  Array p = random({n}), states[kMaxOptimizerStates];
  std::vector<Array*> outputs = {&steps, &p};
  for (int k = 0; k < s.states(); ++k) {
    states[k] = zeros({n});
    outputs.push_back(&states[k]);
  }
  const int written = 1 + s.states();
  run(state, ops::optimizer_step, s, {&lr, &weight_decay, &grad_scale, &skip, &g}, outputs,
      {1 + written, written});
}

}  // namespace

void add_optimizer() {
  struct Row {
    const char* name;
    OptimizerKind kind;
    std::vector<double> hyper;  // as OptimizerShape::make has them
  };
  for (const Row& row : {Row{"sgd", OptimizerKind::sgd, {0, 0, 0, 0}},
                         Row{"sgd_momentum", OptimizerKind::sgd, {0, 0.9, 0, 0}},
                         Row{"adam", OptimizerKind::adam, {0, 0.9, 0.999, 1e-8, 0}}}) {
    for (const int64_t n : {10'000, 1'000'000, 25'000'000})
      add(message("optimizer/", row.name, "/", n),
          [=](benchmark::State& state) { step(state, row.kind, row.hyper, n); });
  }
}

}  // namespace dlx::bench

// Softmax and the cross entropy of 4096 examples of 1000 classes.
#include "ops/softmax.h"

#include "bench/bench.h"
#include "ops/cross_entropy.h"

namespace dlx::bench {
namespace {

const Dims kScores{4096, 1000};

void forward(benchmark::State& state, const Op& op) {
  const Array x = random(kScores);
  Array y = empty(kScores, x.dtype, {});
  run(state, op, SoftmaxShape::make(op.name, x, x, 1), {&x}, {&y}, {1, 1});
}

void backward(benchmark::State& state, const Op& op) {
  const Array dy = random(kScores), y = random(kScores);
  Array dx = empty(kScores, y.dtype, {});
  run(state, op, SoftmaxShape::make(op.name, dy, y, 1), {&dy, &y}, {&dx}, {2, 1});
}

void cross_entropy(benchmark::State& state, bool gradient) {
  const Array x = random(kScores), target = zeros({kScores[0]}, DType::int64);
  const auto s =
      CrossEntropyShape::make("cross_entropy", x, target, nullptr, -100, 0, LossReduction::mean);
  Array loss = zeros({}), norm = zeros({2, kScores[0]}), total = zeros({}, DType::float64);
  const std::vector<Array*> outputs = {&loss, &norm, &total};
  if (!gradient) return run(state, ops::cross_entropy, s, {&x, &target}, outputs, {1, 0});
  launch(current_ctx(), ops::cross_entropy, s, {&x, &target}, {&loss, &norm, &total});
  Array dx = empty(kScores, x.dtype, {});
  run(state, ops::cross_entropy_backward, s, {&loss, &x, &target, &norm, &total}, {&dx}, {1, 1});
}

}  // namespace

void add_softmax() {
  const auto add_row = [](const char* name, const auto& f) {
    add(message("softmax/", name, "/4096x1000"), f);
  };
  using benchmark::State;
  add_row("softmax", [](State& state) { forward(state, ops::softmax); });
  add_row("softmax_backward", [](State& state) { backward(state, ops::softmax_backward); });
  add_row("log_softmax", [](State& state) { forward(state, ops::log_softmax); });
  add_row("log_softmax_backward", [](State& state) { backward(state, ops::log_softmax_backward); });
  add_row("cross_entropy", [](State& state) { cross_entropy(state, false); });
  add_row("cross_entropy_backward", [](State& state) { cross_entropy(state, true); });
}

}  // namespace dlx::bench

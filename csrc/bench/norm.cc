// Batch norm of images and layer norm of rows, both with gamma and beta.
#include "bench/bench.h"
#include "ops/batch_norm.h"
#include "ops/layer_norm.h"

namespace dlx::bench {
namespace {

void batch_forward(benchmark::State& state, const Dims& shape) {
  const Array x = random(shape), gamma = random({shape[1]}), beta = random({shape[1]});
  const auto s = BatchNormShape::make("batch_norm", x, &gamma, &beta, true, 1e-5);
  Array y = empty(shape, x.dtype, {});
  Array mean = zeros({s.C}, DType::float64), rstd = zeros({s.C}, DType::float64);
  Array var = zeros({s.C}, DType::float64);
  run(state, ops::batch_norm, s, {&x, &gamma, &beta}, {&y, &mean, &rstd, &var}, {1, 1});
}

void batch_inference(benchmark::State& state, const Dims& shape) {
  const Array x = random(shape), gamma = random({shape[1]}), beta = random({shape[1]});
  const auto s = BatchNormShape::make("batch_norm", x, &gamma, &beta, false, 1e-5);
  const Array mean = zeros({s.C}), var = zeros({s.C});
  Array y = empty(shape, x.dtype, {});
  run(state, ops::batch_norm_inference, s, {&x, &mean, &var, &gamma, &beta}, {&y}, {1, 1});
}

void batch_backward(benchmark::State& state, const Dims& shape) {
  const Array dy = random(shape), x = random(shape), gamma = random({shape[1]});
  const auto s = BatchNormShape::make("batch_norm", x, &gamma, nullptr, true, 1e-5);
  const Array mean = random({s.C}, DType::float64), rstd = random({s.C}, DType::float64);
  Array dx = empty(shape, x.dtype, {}), dgamma = zeros({s.C}), dbeta = zeros({s.C});
  run(state, ops::batch_norm_backward, s, {&dy, &x, &mean, &rstd, &gamma}, {&dx, &dgamma, &dbeta},
      {2, 1});
}

void layer_forward(benchmark::State& state, const Dims& shape) {
  const Array x = random(shape), gamma = random({shape[1]}), beta = random({shape[1]});
  const auto s = LayerNormShape::make("layer_norm", x, 1, &gamma, &beta, 1e-5);
  Array y = empty(shape, x.dtype, {});
  Array mean = zeros({s.M}, DType::float64), rstd = zeros({s.M}, DType::float64);
  run(state, ops::layer_norm, s, {&x, &gamma, &beta}, {&y, &mean, &rstd}, {1, 1});
}

void layer_backward(benchmark::State& state, const Dims& shape) {
  const Array dy = random(shape), x = random(shape), gamma = random({shape[1]});
  const auto s = LayerNormShape::make("layer_norm", x, 1, &gamma, nullptr, 1e-5);
  const Array mean = random({s.M}, DType::float64), rstd = random({s.M}, DType::float64);
  Array dx = empty(shape, x.dtype, {}), dgamma = zeros({s.D}), dbeta = zeros({s.D});
  run(state, ops::layer_norm_backward, s, {&dy, &x, &mean, &rstd, &gamma}, {&dx, &dgamma, &dbeta},
      {2, 1});
}

}  // namespace

void add_norm() {
  const auto add_row = [](const char* name, const Dims& shape, const std::string& size,
                          const auto& f) {
    add(message("norm/", name, "/", size), [=](benchmark::State& state) { f(state, shape); });
  };
  for (const int64_t n : {16, 64}) {
    const Dims shape{n, 64, 56, 56};
    const std::string size = message(n, "x64x56x56");
    add_row("batch", shape, size, batch_forward);
    add_row("batch_inference", shape, size, batch_inference);
    add_row("batch_backward", shape, size, batch_backward);
  }
  add_row("layer", {4096, 1000}, "4096x1000", layer_forward);
  add_row("layer_backward", {4096, 1000}, "4096x1000", layer_backward);
}

}  // namespace dlx::bench

// Windows of 2x2 beside one another, and of 3x3 that overlap.
#include "bench/bench.h"
#include "ops/avg_pool2d.h"
#include "ops/max_pool2d.h"

namespace dlx::bench {
namespace {

struct Row {
  const char* name;
  int64_t kernel, stride, pad;

  PoolOptions options() const {
    return {{kernel, kernel}, {stride, stride}, {pad, pad}, {1, 1}, PoolMode::floor};
  }
};
constexpr Row kRows[] = {{"2x2", 2, 2, 0}, {"3x3s2", 3, 2, 1}};

void max_forward(benchmark::State& state, const Row& row, const Dims& shape) {
  const Array x = random(shape);
  Dims pooled;
  const MaxPoolShape s =
      MaxPoolShape::make("max_pool2d", shape, x.dtype, row.options(), Places::bytes, &pooled);
  Array y = empty(pooled, x.dtype, {}), places = empty(pooled, s.places_dtype(), {});
  run(state, ops::max_pool2d, s, {&x}, {&y, &places}, {1, 1});
}

void max_backward(benchmark::State& state, const Row& row, const Dims& shape) {
  const Array x = random(shape);
  Dims pooled;
  const MaxPoolShape s =
      MaxPoolShape::make("max_pool2d", shape, x.dtype, row.options(), Places::bytes, &pooled);
  const Array dy = random(pooled);
  Array y = empty(pooled, x.dtype, {}), places = empty(pooled, s.places_dtype(), {});
  launch(current_ctx(), ops::max_pool2d, s, {&x}, {&y, &places});
  Array dx = empty(shape, x.dtype, {});
  run(state, ops::max_pool2d_backward, s, {&dy, &places}, {&dx}, {1, 1});
}

PoolShape average(const Row& row, const Dims& shape, Dims* pooled) {
  PoolShape s = PoolShape::make("avg_pool2d", shape, DType::float32, row.options(), pooled);
  s.divisor = {row.kernel * row.kernel, true};
  return s;
}

void avg_forward(benchmark::State& state, const Row& row, const Dims& shape) {
  const Array x = random(shape);
  Dims pooled;
  const PoolShape s = average(row, shape, &pooled);
  Array y = empty(pooled, x.dtype, {});
  run(state, ops::avg_pool2d, s, {&x}, {&y}, {1, 1});
}

void avg_backward(benchmark::State& state, const Row& row, const Dims& shape) {
  Dims pooled;
  const PoolShape s = average(row, shape, &pooled);
  const Array dy = random(pooled);
  Array dx = empty(shape, dy.dtype, {});
  run(state, ops::avg_pool2d_backward, s, {&dy}, {&dx}, {1, 1});
}

}  // namespace

void add_pool() {
  for (const int64_t n : {16, 64}) {
    const Dims shape{n, 64, 56, 56};
    for (const Row& row : kRows) {
      const auto add_row = [&](const char* name, const auto& f) {
        add(message("pool/", name, "_", row.name, "/", n, "x64x56x56"),
            [=](benchmark::State& state) { f(state, row, shape); });
      };
      add_row("max", max_forward);
      add_row("max_backward", max_backward);
      add_row("avg", avg_forward);
      add_row("avg_backward", avg_backward);
    }
  }
}

}  // namespace dlx::bench

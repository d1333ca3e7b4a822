// Philox draws, and dropout, which draws its mask forward and again backward.
#include "ops/random.h"

#include "bench/bench.h"
#include "ops/dropout.h"

namespace dlx::bench {
namespace {

template <class Shape>
void draw(benchmark::State& state, const Op& op, const Shape& s) {
  Array y = empty({s.n}, s.dtype, {}), cell = generator();
  run(state, op, s, {}, {&y, &cell}, {0, 1});
}

}  // namespace

void add_random() {
  using benchmark::State;
  for (const int64_t n : {100'000, 10'000'000}) {
    const Dims shape{n};
    const auto add_row = [&](const char* name, const auto& f) {
      add(message("random/", name, "/", n), f);
    };
    add_row("uniform", [=](State& state) {
      draw(state, ops::random_uniform, RandomUniformShape::make(shape, DType::float32, 0, 1));
    });
    add_row("normal", [=](State& state) {
      draw(state, ops::random_normal, RandomNormalShape::make(shape, DType::float32, 0, 1));
    });
    add_row("int64", [=](State& state) {
      draw(state, ops::random_int, RandomIntShape::make(shape, DType::int64, 0, 9));
    });
    add_row("dropout", [=](State& state) {
      const Array x = random(shape);
      Array y = empty(shape, x.dtype, {}), start = zeros({2}, DType::int64), cell = generator();
      run(state, ops::dropout, DropoutShape::make(x, 0.5), {&x}, {&y, &start, &cell}, {1, 1});
    });
    add_row("dropout_backward", [=](State& state) {
      const Array dy = random(shape), start = zeros({2}, DType::int64);
      Array dx = empty(shape, dy.dtype, {});
      run(state, ops::dropout_backward, DropoutShape::make(dy, 0.5), {&dy, &start}, {&dx}, {1, 1});
    });
  }
}

}  // namespace dlx::bench

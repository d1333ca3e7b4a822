// Reductions of everything, of the innermost axis, of the outermost ones.
#include "ops/reduce.h"

#include "bench/bench.h"

namespace dlx::bench {
namespace {

void reduce(benchmark::State& state, const Op& op, Reduction kind, const Dims& shape,
            const Dims& axes) {
  const Array x = random(shape);
  Dims reduced;
  const ReduceShape s = ReduceShape::make(kind, x, axes, false, 0, &reduced);
  Array y = empty(reduced, s.output_dtype(), {});
  run(state, op, s, {&x}, {&y}, {1, 0});
}

}  // namespace

void add_reduce() {
  struct Axes {
    const char* name;
    Dims axes;
  };
  const Axes all{"all", {0, 1, 2, 3}}, last{"last", {3}}, channels{"of_channels", {0, 2, 3}};
  const auto add_row = [](const Op& op, Reduction kind, const Axes& a) {
    for (const int64_t n : {16, 64}) {
      const Dims shape{n, 64, 56, 56};
      add(message("reduce/", op.name, "_", a.name, "/", n, "x64x56x56"),
          [=, &op, axes = a.axes](benchmark::State& state) {
            reduce(state, op, kind, shape, axes);
          });
    }
  };
  for (const Axes& a : {all, last, channels}) {
    add_row(ops::sum, Reduction::sum, a);
    add_row(ops::max, Reduction::max, a);
  }
  add_row(ops::var, Reduction::var, channels);
  add_row(ops::argmax, Reduction::argmax, last);
}

}  // namespace dlx::bench

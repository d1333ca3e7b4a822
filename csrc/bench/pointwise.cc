// One input, two inputs, a row broadcast, the numbers turned round in memory.
#include "bench/bench.h"
#include "ops/copy.h"
#include "ops/map.h"

namespace dlx::bench {
namespace {

void map(benchmark::State& state, const char* name, const std::vector<Array>& inputs) {
  const Array* operands[kMaxMapInputs] = {};
  std::vector<const Array*> pointers;
  int large = 0;
  for (const Array& a : inputs) {
    operands[pointers.size()] = &a;
    pointers.push_back(&a);
    large += a.size() == inputs[0].size();
  }
  const int row = map_row(name);
  Dims shape;
  const MapShape s =
      MapShape::make(row, DType::float32, static_cast<int>(inputs.size()), operands, &shape);
  Array y = empty(shape, s.output_dtype(), {});
  run(state, map_op(row), s, pointers, {&y}, {large, 1});
}

void permute(benchmark::State& state, const Dims& from, const Dims& order) {
  Array x = random(from);
  const Dims strides = x.strides;
  for (int i = 0; i < order.ndim; ++i)
    x.shape[i] = from[order[i]], x.strides[i] = strides[order[i]];
  Array y = empty(x.shape, x.dtype, {});
  const CopyShape s = CopyShape::make(x.shape, x.dtype, x.strides, y.strides);
  run(state, ops::copy, s, {&x}, {&y}, {1, 1});
}

}  // namespace

void add_pointwise() {
  for (const int64_t n : {16, 64}) {
    const Dims shape{n, 64, 56, 56};
    const std::string size = message("/", n, "x64x56x56");
    for (const char* name : {"relu", "sigmoid", "tanh", "gelu", "exp", "square"})
      add(message("pointwise/", name, size),
          [=](benchmark::State& state) { map(state, name, {random(shape)}); });
    for (const char* name : {"add", "relu_backward"})
      add(message("pointwise/", name, size),
          [=](benchmark::State& state) { map(state, name, {random(shape), random(shape)}); });
    add(message("pointwise/add_channels", size),
        [=](benchmark::State& state) { map(state, "add", {random(shape), random({64, 1, 1})}); });
    add(message("pointwise/permute_nhwc", size),
        [=](benchmark::State& state) { permute(state, shape, {0, 2, 3, 1}); });
    add(message("pointwise/permute_nchw", size),
        [=](benchmark::State& state) { permute(state, {n, 56, 56, 64}, {0, 3, 1, 2}); });
  }
}

}  // namespace dlx::bench

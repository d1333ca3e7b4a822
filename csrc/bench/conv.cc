// Convolutions of networks: forward, input gradient, weight gradient; and transposed convolutions
// that enlarge an image.
#include "bench/bench.h"
#include "ops/conv2d.h"

namespace dlx::bench {
namespace {

// x: (N,C,H,H)  w: (K,C/groups,R,R)  y: (N,K,P,P)
struct Row {
  const char* name;
  int64_t N, C, H, K, R, stride, pad, groups;

  int64_t P() const { return (H + 2 * pad - R) / stride + 1; }
  Dims x() const { return {N, C, H, H}; }
  Dims w() const { return {K, C / groups, R, R}; }
  Dims y() const { return {N, K, P(), P()}; }
  Conv2dOptions options(int64_t size) const {
    return {{size, size}, {stride, stride}, {pad, pad}, {1, 1}, groups};
  }
};

constexpr Row kConvolutions[] = {
    {"64x1x28,8@3x3", 64, 1, 28, 8, 3, 1, 1, 1},
    {"64x8x14,16@5x5", 64, 8, 14, 16, 5, 1, 0, 1},
    {"64x16x32,16@3x3", 64, 16, 32, 16, 3, 1, 1, 1},
    {"64x64x8,64@3x3", 64, 64, 8, 64, 3, 1, 1, 1},
    {"8x64x56,64@3x3", 8, 64, 56, 64, 3, 1, 1, 1},
    {"8x256x56,64@1x1", 8, 256, 56, 64, 1, 1, 0, 1},
    {"8x3x224,64@7x7s2", 8, 3, 224, 64, 7, 2, 3, 1},
    {"8x256x28,256@3x3", 8, 256, 28, 256, 3, 1, 1, 1},
    {"8x128x56,depthwise@3x3", 8, 128, 56, 128, 3, 1, 1, 128},
};
// The op that a transposed convolution is the gradient of: its x is the enlarged image.
constexpr Row kTransposed[] = {
    {"8x128x28,64@2x2s2", 8, 64, 56, 128, 2, 2, 0, 1},
    {"32x128x14,64@4x4s2", 32, 64, 28, 128, 4, 2, 1, 1},
};

void forward(benchmark::State& state, const Row& row) {
  const Array x = random(row.x()), w = random(row.w());
  const Conv2dShape s = conv2d_shape("conv2d", x, w, nullptr, row.options(row.P()));
  Array y = empty(row.y(), DType::float32, {});
  run(state, ops::conv2d, s, {&x, &w}, {&y}, {1, 1});
}

void transposed(benchmark::State& state, const Row& row) {
  const Array dy = random(row.y()), w = random(row.w());
  const Conv2dShape s =
      conv_transpose2d_shape("conv_transpose2d", dy, w, nullptr, row.options(row.H));
  Array dx = empty(row.x(), DType::float32, {});
  run(state, ops::conv_transpose2d, s, {&dy, &w}, {&dx}, {1, 1});
}

void backward_weight(benchmark::State& state, const Row& row) {
  const Array x = random(row.x()), dy = random(row.y());
  const Conv2dShape s = conv2d_backward_weight_shape(x, dy, row.options(row.R));
  Array dw = empty(row.w(), DType::float32, {});
  run(state, ops::conv2d_backward_weight, s, {&x, &dy}, {&dw}, {2, 0});
}

}  // namespace

void add_conv() {
  const auto add_row = [](const char* direction, const Row& row, const auto& f) {
    add(message(direction, "/", row.name), [=](benchmark::State& state) { f(state, row); });
  };
  for (const Row& row : kConvolutions) {
    add_row("conv/forward", row, forward);
    add_row("conv/backward_input", row, transposed);
    add_row("conv/backward_weight", row, backward_weight);
  }
  for (const Row& row : kTransposed) add_row("conv/transposed", row, transposed);
}

}  // namespace dlx::bench

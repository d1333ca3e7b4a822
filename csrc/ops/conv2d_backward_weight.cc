// The weight gradient: dot products over all pixels of all images, cut into pieces whose sums are
// added in order at the end.
#include <algorithm>
#include <cstring>

#include "core/choice.h"
#include "core/cpu_features.h"
#include "ops/conv_depthwise.h"
#include "ops/conv_images_weight.h"
#include "ops/conv_matmul.h"
#include "ops/conv_outer.h"
#include "ops/conv_winograd_weight.h"

namespace dlx {
namespace {

constexpr int64_t kTasks = 24;           // enough for the threads of a small machine
constexpr int64_t kPieceFlops = 500000;  // least of a piece: 10 us, and
constexpr int64_t kPiecePixels = 1024;
constexpr int64_t kSumGrain = 16384;  // elements

struct Plan {
  ConvImages images;
  std::vector<int64_t> offsets;
  ConvDot dot;
  int64_t rows, cols, row_blocks, col_blocks;
  int64_t piece, pieces;  // pixels of a piece; pieces of a pass
  int64_t scratch_bytes;  // of a worker
  int64_t parts_bytes;    // of all pieces' sums
};

Plan make_plan(const Conv2dShape& s) {
  Plan plan{};
  plan.images = conv2d_images(s, false);
  plan.offsets = conv2d_offsets(s, plan.images);
  ConvDot& d = plan.dot;
  d.M = s.K / s.groups, d.D = s.C / s.groups * s.R * s.S;
  d.source = conv2d_source(s, plan.images);
  d.source.offset = plan.offsets.data();
  if (d.source.row == d.source.V) d.source.V *= d.source.U, d.source.U = 1;
  d.dy_image = s.K * s.P * s.Q, d.dy_group = d.M * s.P * s.Q;
  d.packs = d.M > 4;  // else copying takes as long as the products
  plan.rows = even_split(d.M, kConvDotRows, 4);
  plan.cols = even_split(d.D, kConvDotCols, 6);
  plan.row_blocks = ceil_div(d.M, plan.rows);
  plan.col_blocks = ceil_div(d.D, plan.cols);
  const int64_t pixels = plan.images.per_pass * s.P * s.Q;
  const int64_t wanted = ceil_div(kTasks, s.groups * plan.row_blocks * plan.col_blocks);
  const int64_t pieces = std::min({wanted, ceil_div(pixels, kPiecePixels),
                                   2 * pixels * d.M * d.D * s.groups / kPieceFlops + 1});
  plan.piece = round_up(ceil_div(pixels, pieces), s.Q);
  plan.pieces = ceil_div(pixels, plan.piece);
  plan.scratch_bytes = d.packs ? (plan.rows + plan.cols) * (kConvDotBytes + kConvDotPad) : 0;
  plan.parts_bytes =
      plan.pieces > 1 ? round_up(plan.pieces * s.w_size() * size_of(s.dtype), 64) : 0;
  return plan;
}

bool is_empty(const Conv2dShape& s) { return s.w_size() == 0 || s.y_size() == 0; }

enum Algorithm { kDots, kLanesOfX, kLanesOfDy, kWinograd4, kDepthwise, kMatmul, kImages };
Choice choice("conv2d_backward_weight",
              {"dots", "lanes_of_x", "lanes_of_dy", "winograd4", "depthwise", "matmul", "images"});

constexpr int64_t kLeastElements = 8;  // of x at a pixel: sums enough to hide an fma's latency
constexpr double kWinogradPays = 0.9;  // of the plain time, which is known no better

int algorithm_for(const Conv2dShape& s) {
  const bool matmul = covers_image(s);
  if (!conv_outer_applies(s))
    return choice.pick(matmul ? kMatmul : kDots, 1 << kDots | matmul << kMatmul);
  const bool winograd = winograd_weight_applies(s), depthwise = depthwise_applies(s);
  const int64_t width = conv_table().width[s.dtype == DType::float64];
  const int64_t C = s.C / s.groups, K = s.K / s.groups;
  // Vectors that are mostly full, and of the two sides the fuller one.
  const auto fills = [width](int64_t n) { return 4 * n >= 3 * round_up(n, width); };
  const bool fuller = K * round_up(C, width) > C * round_up(K, width);
  int chosen = kDots;
  if (C >= width && K >= 4) chosen = kLanesOfX;
  if (K >= width && C >= 6 && (chosen == kDots || fuller || (s.R * s.S == 1 && K < C)))
    chosen = kLanesOfDy;
  if (chosen == kDots && fills(K) && C * s.R * s.S >= kLeastElements) chosen = kLanesOfDy;
  if (images_weight_pays(s)) chosen = kImages;
  if (winograd && winograd_weight_ratio(s) < kWinogradPays) chosen = kWinograd4;
  if (depthwise) chosen = kDepthwise;
  if (matmul) chosen = kMatmul;
  return choice.pick(chosen, 1 << kDots | 1 << kLanesOfX | 1 << kLanesOfDy |
                                 winograd << kWinograd4 | depthwise << kDepthwise |
                                 matmul << kMatmul | 1 << kImages);
}

}  // namespace

int64_t conv2d_backward_weight_workspace(const void* shape) {
  const auto& s = *static_cast<const Conv2dShape*>(shape);
  if (is_empty(s)) return 0;
  const int algorithm = algorithm_for(s);
  if (algorithm == kMatmul) return gemm_workspace(matmul_backward_weight(s));
  if (algorithm == kWinograd4) return winograd_weight_workspace(s);
  if (algorithm == kDepthwise) return depthwise_weight_workspace(s);
  if (algorithm == kImages) return images_weight_workspace(s);
  if (algorithm != kDots) return conv_outer_workspace(plan_conv_outer(s, algorithm == kLanesOfX));
  const Plan plan = make_plan(s);
  return plan.parts_bytes + num_threads() * plan.scratch_bytes + plan.images.bytes(s.dtype);
}

namespace cpu {

void conv2d_backward_weight(Ctx&, const void* shape, void* const* buffers, void* workspace) {
  const auto& s = *static_cast<const Conv2dShape*>(shape);
  const int64_t size = size_of(s.dtype), dw_bytes = s.w_size() * size;
  char* dw = static_cast<char*>(buffers[2]);
  if (is_empty(s)) {
    std::memset(dw, 0, static_cast<size_t>(dw_bytes));
    return;
  }
  const int algorithm = algorithm_for(s);
  if (algorithm == kMatmul)
    return gemm(matmul_backward_weight(s), buffers[1], buffers[0], dw, workspace);
  if (algorithm == kWinograd4) return run_winograd_weight(s, buffers[0], buffers[1], dw, workspace);
  if (algorithm == kDepthwise)
    return run_depthwise_weight(s, buffers[0], buffers[1], dw, workspace);
  if (algorithm == kImages) return run_images_weight(s, buffers[0], buffers[1], dw, workspace);
  if (algorithm != kDots)
    return run_conv_outer(plan_conv_outer(s, algorithm == kLanesOfX), buffers[0], buffers[1], dw,
                          workspace);
  const Plan plan = make_plan(s);
  char* parts = plan.pieces > 1 ? static_cast<char*>(workspace) : dw;
  char* scratch = static_cast<char*>(workspace) + plan.parts_bytes;
  char* copies = scratch + num_threads() * plan.scratch_bytes;
  const int64_t blocks = plan.row_blocks * plan.col_blocks;
  const int type = s.dtype == DType::float64;
  for (int64_t n = 0; n < s.N; n += plan.images.per_pass) {
    const int64_t count = std::min(plan.images.per_pass, s.N - n);
    const void* x = conv_pass_images(plan.images, s.dtype, n, count, buffers[0], copies);
    const char* dy = static_cast<const char*>(buffers[1]) + n * s.K * s.P * s.Q * size;
    const int64_t pixels = count * s.P * s.Q;
    parallel_workers(ceil_div(pixels, plan.piece) * s.groups * blocks, 1,
                     [&](int64_t begin, int64_t end, int worker) {
                       for (int64_t task = begin; task < end; ++task) {
                         ConvBlock b{};
                         b.m0 = task % plan.row_blocks * plan.rows;
                         b.m1 = std::min(b.m0 + plan.rows, plan.dot.M);
                         b.c0 = task / plan.row_blocks % plan.col_blocks * plan.cols;
                         b.c1 = std::min(b.c0 + plan.cols, plan.dot.D);
                         b.group = task / blocks % s.groups;
                         const int64_t piece = task / blocks / s.groups;
                         b.j0 = piece * plan.piece;
                         b.j1 = std::min(b.j0 + plan.piece, pixels);
                         conv_table().dot[type](plan.dot, b, x, dy, n == 0,
                                                scratch + worker * plan.scratch_bytes,
                                                parts + piece * dw_bytes);
                       }
                     });
  }
  if (plan.pieces == 1) return;
  parallel_for(s.w_size(), effective_grain(kSumGrain), [&](int64_t begin, int64_t end) {
    conv_table().total[type](parts, plan.pieces, s.w_size(), begin, end, dw);
  });
}

}  // namespace cpu
}  // namespace dlx

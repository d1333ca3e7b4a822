#include "ops/conv_outer.h"

#include "core/check.h"
#include "core/view.h"

namespace dlx {
namespace {

constexpr int64_t kPassBytes = 4 << 20;  // of vectors of a pass: what two cores keep in L2
constexpr int64_t kTasks = 24;           // of a pass: enough for the threads of a small machine
constexpr int64_t kTaskRows = 72;        // most: with 18 columns their sums fill 80 KB
constexpr int64_t kTaskCols = 18;
constexpr int64_t kPieceFlops = 1000000;  // least of a piece: 5 us
constexpr int64_t kPiecePixels = 384;
constexpr int64_t kCopyGrain = 16384;  // elements: 10 us
constexpr int64_t kSumGrain = 8192;    // vectors: 5 us

}  // namespace

bool conv_outer_applies(const Conv2dShape& s) { return !conv2d_samples(s); }

ConvOuterPlan plan_conv_outer(const Conv2dShape& s, bool lanes_of_x) {
  const int64_t width = conv_table().width[s.dtype == DType::float64], size = size_of(s.dtype);
  const int64_t C = s.C / s.groups, K = s.K / s.groups, taps = s.R * s.S;
  const int64_t rows = (s.P - 1) * s.stride_h + (s.R - 1) * s.dil_h + 1;  // that conv2d sees
  const int64_t cols = (s.Q - 1) * s.stride_w + (s.S - 1) * s.dil_w + 1;
  check_extents({s.C + s.K, rows, cols, width}, "conv2d_backward_weight: with its padding");
  ConvOuterPlan plan{};
  plan.dtype = s.dtype, plan.N = s.N, plan.groups = s.groups;
  ConvLanes& lanes = plan.lanes;
  lanes = lanes_of_x ? ConvLanes{C, s.H, s.W, -s.pad_top, rows, -s.pad_left, cols}
                     : ConvLanes{K, s.P, s.Q, 0, s.P, 0, s.Q};
  const int64_t vectors = lanes.vectors(width), plane = lanes.rows * lanes.width * width;
  plan.lanes_bytes = s.groups * lanes.image(width) * size;
  plan.per_pass = even_split(s.N, std::max<int64_t>(kPassBytes / plan.lanes_bytes, 1), 1);

  ConvOuter& p = plan.product;
  p.U = s.P, p.V = s.Q;
  p.rows = lanes_of_x ? K : C;
  p.vector = {s.groups * lanes.image(width), lanes.image(width), plane, lanes.width * width, width};
  int64_t pitch = lanes.width * width, step = width;  // of taps
  ConvImages& elements = plan.elements;
  if (lanes_of_x) {
    p.vector.u *= s.stride_h, p.vector.v *= s.stride_w;
    elements.channels = s.K;
    elements.copy.H = elements.copy.rows = s.P, elements.copy.W = elements.copy.width = s.Q;
    elements.copy.phases = 1;
    p.element = {s.K * s.P * s.Q, K * s.P * s.Q, s.P * s.Q, s.Q, 1};
  } else {
    ConvCopy& copy = elements.copy;
    copy = {s.H, s.W, -s.pad_top, 1, 1, 1, rows, -s.pad_left, 1, 1, 1, cols};
    elements.channels = s.C;
    elements.copied = s.pad_top || s.pad_left || rows > s.H || cols > s.W;
    if (!elements.copied) copy.rows = s.H, copy.width = s.W;
    p.element = {elements.image(), C * copy.plane(), copy.plane(), s.stride_h * copy.width,
                 s.stride_w};
    pitch = copy.width, step = 1;
  }
  elements.per_pass = plan.per_pass;
  if (p.element.u == p.V * p.element.v && p.vector.u == p.V * p.vector.v) p.V *= p.U, p.U = 1;

  std::vector<int64_t>& tap_offset = lanes_of_x ? plan.vector_offset : plan.element_offset;
  for (int64_t v = 0; v < (lanes_of_x ? vectors : 1); ++v)
    for (int64_t r = 0; r < s.R; ++r)
      for (int64_t t = 0; t < s.S; ++t)
        tap_offset.push_back(v * plane + r * s.dil_h * pitch + t * s.dil_w * step);
  if (lanes_of_x) {
    plan.element_offset = {0};
  } else {
    for (int64_t v = 0; v < vectors; ++v) plan.vector_offset.push_back(v * plane);
  }
  p.element_taps = static_cast<int64_t>(plan.element_offset.size());
  p.cols = static_cast<int64_t>(plan.vector_offset.size());
  p.neighbours = !lanes_of_x && s.dil_w == 1 ? s.S : 1;

  plan.rows = even_split(p.rows, kTaskRows, 1);
  plan.cols = even_split(p.cols, kTaskCols, 6);
  const int64_t blocks = s.groups * ceil_div(p.rows, plan.rows) * ceil_div(p.cols, plan.cols);
  const int64_t pixels = plan.per_pass * s.P * s.Q;
  const int64_t pieces = std::min({ceil_div(kTasks, blocks), ceil_div(pixels, kPiecePixels),
                                   2 * pixels * K * C * taps * s.groups / kPieceFlops + 1});
  plan.piece = round_up(ceil_div(pixels, pieces), s.Q);
  const int64_t sums = s.groups * p.rows * p.element_taps * p.cols * width;
  plan.sums = {K, C, taps, ceil_div(pixels, plan.piece), sums, lanes_of_x};
  plan.sums_bytes = round_up(plan.sums.pieces * sums * size, 64);
  return plan;
}

int64_t conv_outer_workspace(const ConvOuterPlan& plan) {
  return plan.sums_bytes + round_up(plan.per_pass * plan.lanes_bytes, 64) +
         plan.elements.bytes(plan.dtype);
}

void run_conv_outer(const ConvOuterPlan& plan, const void* x, const void* dy, void* dw,
                    void* workspace) {
  const int type = plan.dtype == DType::float64;
  const int64_t size = size_of(plan.dtype), width = conv_table().width[type];
  ConvOuter p = plan.product;
  p.element_offset = plan.element_offset.data(), p.vector_offset = plan.vector_offset.data();
  char* sums = static_cast<char*>(workspace);
  char* lanes = sums + plan.sums_bytes;
  char* copies = lanes + round_up(plan.per_pass * plan.lanes_bytes, 64);
  const bool of_x = plan.sums.lanes_of_x;
  const ConvLanes& l = plan.lanes;
  const int64_t lanes_image = plan.groups * l.channels * l.H * l.W;
  const int64_t row_blocks = ceil_div(p.rows, plan.rows), col_blocks = ceil_div(p.cols, plan.cols);
  const int64_t blocks = row_blocks * col_blocks * plan.groups;
  for (int64_t n = 0; n < plan.N; n += plan.per_pass) {
    const int64_t count = std::min(plan.per_pass, plan.N - n);
    const char* from = static_cast<const char*>(of_x ? x : dy) + n * lanes_image * size;
    parallel_for(
        count * plan.groups * l.vectors(width),
        effective_grain(kCopyGrain / (l.rows * l.width * width) + 1),
        [&](int64_t begin, int64_t end) { conv_table().lanes[type](l, from, begin, end, lanes); });
    const void* elements =
        conv_pass_images(plan.elements, plan.dtype, n, count, of_x ? dy : x, copies);
    const int64_t pixels = count * p.U * p.V;
    parallel_for(ceil_div(pixels, plan.piece) * blocks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t task = begin; task < end; ++task) {
        ConvBlock b{};
        b.m0 = task % row_blocks * plan.rows;
        b.m1 = std::min(b.m0 + plan.rows, p.rows);
        b.c0 = task / row_blocks % col_blocks * plan.cols;
        b.c1 = std::min(b.c0 + plan.cols, p.cols);
        b.group = task / (row_blocks * col_blocks) % plan.groups;
        const int64_t piece = task / blocks;
        b.j0 = piece * plan.piece;
        b.j1 = std::min(b.j0 + plan.piece, pixels);
        conv_table().outer[type](p, b, elements, lanes, n == 0,
                                 sums + piece * plan.sums.piece * size);
      }
    });
  }
  parallel_for(plan.sums.piece / width, effective_grain(kSumGrain / (plan.sums.pieces + 4)),
               [&](int64_t begin, int64_t end) {
                 conv_table().outer_total[type](plan.sums, sums, begin, end, dw);
               });
}

}  // namespace dlx

#include "ops/conv2d_plan.h"

#include <algorithm>

#include "core/view.h"
#include "gemm/tiles.h"

namespace dlx {

Choice conv_choice("conv2d", {"panels", "direct", "winograd2", "winograd4", "channels", "matmul",
                              "depthwise", "columns"});

namespace {

constexpr int64_t kPassBytes = 4 << 20;  // of copied images: what two cores keep in L2
constexpr double kTaskFlops = 1.5e6;     // 15 us on one AVX-512 core
constexpr int64_t kTaskPanels = 32;      // a task's first pixels are not asked for ahead
constexpr int64_t kTasks = 24;           // enough for the threads of a small machine

// The rows that conv2d sees, and the columns of each phase of its stride.
int64_t all_rows(const Conv2dShape& s) { return (s.P - 1) * s.stride_h + (s.R - 1) * s.dil_h + 1; }
int64_t all_cols(const Conv2dShape& s) { return s.Q + (s.S - 1) * s.dil_w / s.stride_w; }
// Whether copying a row for each tap and row of pixels is less than that: where strides are longer
// than kernels, or dilations than images.
bool samples_rows(const Conv2dShape& s) { return s.P * s.R < all_rows(s); }
bool samples_cols(const Conv2dShape& s) { return s.Q * s.S < all_cols(s) * s.stride_w; }

void set_passes(ConvImages& images, const Conv2dShape& s) {
  images.per_pass = s.N;
  const ConvCopy& c = images.copy;
  check_extents({images.channels, c.rows, c.phases, c.width}, "conv2d: with its padding");
  const int64_t bytes = images.image() * size_of(s.dtype);
  if (images.copied && bytes > 0)
    images.per_pass = even_split(s.N, std::max<int64_t>(kPassBytes / bytes, 1), 1);
}

// Neighbouring rows as one long row, where image and result have them side by side.
void join_rows(ConvSource& source, int64_t out_row, int64_t out_col) {
  if (source.row != source.V || out_row != source.V || out_col != 1) return;
  source.V *= source.U;
  source.U = 1;
}

// Numbers of tasks and panels, once M, D and the strides are known.
void set_tiles(ConvPlan& plan, ConvPhase& phase) {
  const GemmTiles t = kGemmTiles[static_cast<int>(current_isa())][static_cast<int>(plan.dtype)];
  const int64_t size = size_of(plan.dtype);
  ConvProduct& c = phase.product;
  // Panels of even height: none of a few rows, which could not hide the latency of an fma.
  const int64_t across = c.phases_across;  // stay in one tile
  const int64_t most = plan.direct ? conv_table().direct_rows : t.mr / across * across;
  const int64_t panels = ceil_div(c.M, most);
  c.mr = round_up(ceil_div(c.M, panels), across);
  c.height = plan.direct ? c.mr : t.mr;
  const int64_t depth = std::max<int64_t>(c.D, 1);
  // Results a stride apart are written one by one: rather once from a panel that leaves L1.
  const int64_t most_depth = c.out_col == 1 ? t.kc : 2 * t.kc;
  c.kc = plan.direct ? depth : even_split(depth, most_depth, 4);
  c.packed_group = panels * c.height * c.D;
  phase.packed_first = plan.packed_bytes;
  plan.packed_bytes += round_up(plan.groups * c.packed_group * size, 64);
  if (!plan.direct) plan.panel_bytes = std::max(plan.panel_bytes, round_up(c.kc * t.nr * size, 64));
}

// Tasks, once it is known whether the plan is direct: (group, pixels, rows of the result).
void set_tasks(const ConvPlan& plan, ConvPhase& phase) {
  const GemmTiles t = kGemmTiles[static_cast<int>(current_isa())][static_cast<int>(plan.dtype)];
  const ConvProduct& c = phase.product;
  phase.task_rows = plan.direct ? c.M : std::max<int64_t>(t.mc / c.mr, 1) * c.mr;
  phase.row_tasks = ceil_div(c.M, phase.task_rows);
  const double flops = 2.0 * static_cast<double>(std::min(phase.task_rows, c.M)) *
                       static_cast<double>(c.D + 1) *
                       static_cast<double>(plan.direct ? c.source.V : 1);
  const int64_t count = plan.images.per_pass * c.source.U * (plan.direct ? 1 : c.source.V);
  auto wanted = static_cast<int64_t>(std::min(kTaskFlops / flops, 1e9)) + 1;
  const int64_t in_a_row = c.source.row == c.source.V ? c.source.U * c.source.V : c.source.V;
  if (!plan.direct)
    wanted = std::max(wanted, std::min({kTaskPanels * t.nr, in_a_row, count / kTasks}));
  phase.task_pixels = even_split(count, effective_grain(wanted), plan.direct ? 1 : t.nr);
}

}  // namespace

ConvAlgorithm conv_algorithm(const ConvProduct& c, DType t, bool gathers, bool channels) {
  // conv_direct wastes the lanes of a row's last vector, and where it reads the pixels more than
  // once they must stay near; conv_multiply's gathering takes the time of about five rows of the
  // result.
  constexpr int64_t kFew = 4, kMostRows = 64, kMostDepth = 512;
  // conv_channels wants its lanes filled, pixels enough in a row to hide the latency of an fma, and
  // more products for a pixel than turning its sums takes, unless results lie a stride apart: it
  // puts the phases together, the others would write them one by one.
  constexpr int64_t kLeastPixels = 5, kLeastDepth = 32;
  const int64_t width = conv_table().width[t == DType::float64], V = c.source.V;
  const int64_t unused = round_up(V, width) - V;
  ConvAlgorithm chosen = kConvPanels;
  const bool near = c.D <= kMostDepth || c.M <= conv_table().direct_rows;
  if (c.M <= kFew || (gathers && c.M <= kMostRows && near && c.M * unused < 5 * V))
    chosen = kConvDirect;
  const int64_t least_depth = c.out_col > 1 ? 1 : kLeastDepth;
  if (channels && gathers && 4 * c.M >= 3 * round_up(c.M, width) && V >= kLeastPixels &&
      c.D >= least_depth)
    chosen = kConvChannels;
  const uint32_t applicable = 1 << kConvPanels | 1 << kConvDirect | channels << kConvChannels;
  return static_cast<ConvAlgorithm>(conv_choice.pick(chosen, applicable));
}

std::vector<StridePhase> stride_phases(int64_t stride, int64_t dil, int64_t taps, int64_t pad,
                                       int64_t size) {
  std::vector<StridePhase> all;
  for (int64_t first = 0; first < std::min(stride, size); ++first) {
    const int64_t phase = (first + pad) % stride;
    all.push_back({first, (size - 1 - first) / stride + 1, (first + pad) / stride, {}, {}});
    for (int64_t r = 0; r < taps; ++r) {
      if (r * dil % stride != phase) continue;
      all.back().taps.push_back(r);
      all.back().shifts.push_back((r * dil - phase) / stride);
    }
  }
  return all;
}

void phases_extent(const std::vector<StridePhase>& phases, int64_t* first, int64_t* count) {
  bool any = false;
  int64_t low = 0, high = 0;
  for (const StridePhase& f : phases)
    for (int64_t shift : f.shifts) {
      const int64_t begin = f.begin - shift, end = begin + f.count;
      low = any ? std::min(low, begin) : begin;
      high = any ? std::max(high, end) : end;
      any = true;
    }
  *first = low;
  *count = std::max<int64_t>(high - low, 1);
}

bool conv2d_samples(const Conv2dShape& s) { return samples_rows(s) || samples_cols(s); }

bool conv2d_tiles_images(const Conv2dShape& s) {
  const bool rows = s.R == s.stride_h && s.H == s.P * s.R && (s.dil_h == 1 || s.R == 1);
  const bool cols = s.S == s.stride_w && s.W == s.Q * s.S && (s.dil_w == 1 || s.S == 1);
  return rows && cols && s.pad_top == 0 && s.pad_left == 0 && s.S <= kConvPhases;
}

ConvImages conv2d_images(const Conv2dShape& s, bool with_slack) {
  ConvImages images{};
  images.channels = s.C;
  ConvCopy& c = images.copy;
  c.H = s.H, c.W = s.W;
  c.first_row = -s.pad_top, c.first_col = -s.pad_left;
  c.row_taps = c.row_step = c.tap_step = 1, c.rows = all_rows(s);
  c.col_step = c.phases = s.stride_w, c.phase_step = 1, c.width = all_cols(s);
  if (samples_rows(s))
    c.row_step = s.stride_h, c.row_taps = s.R, c.tap_step = s.dil_h, c.rows = s.P * s.R;
  if (samples_cols(s)) c.phases = s.S, c.phase_step = s.dil_w, c.width = s.Q;
  images.copied = with_slack || s.pad_top != 0 || s.pad_left != 0 || samples_rows(s) ||
                  samples_cols(s) || s.stride_w != 1 || c.rows > s.H || c.width > s.W;
  if (!images.copied) c.rows = s.H, c.width = s.W;
  set_passes(images, s);
  return images;
}

ConvSource conv2d_source(const Conv2dShape& s, const ConvImages& images) {
  const ConvCopy& c = images.copy;
  return {.U = s.P,
          .V = s.Q,
          .image = images.image(),
          .group = s.C / s.groups * c.plane(),
          .row = (samples_rows(s) ? s.R : s.stride_h) * c.pitch(),
          .step = 1,
          .offset = nullptr};
}

std::vector<int64_t> conv2d_offsets(const Conv2dShape& s, const ConvImages& images) {
  const ConvCopy& copy = images.copy;
  std::vector<int64_t> offsets;
  offsets.reserve(static_cast<size_t>(s.C / s.groups * s.R * s.S));
  for (int64_t c = 0; c < s.C / s.groups; ++c)
    for (int64_t r = 0; r < s.R; ++r)
      for (int64_t t = 0; t < s.S; ++t) {
        const int64_t row = samples_rows(s) ? r : r * s.dil_h, col = t * s.dil_w;
        const int64_t place =
            samples_cols(s) ? t * copy.width : col % s.stride_w * copy.width + col / s.stride_w;
        offsets.push_back(c * copy.plane() + row * copy.pitch() + place);
      }
  return offsets;
}

ConvPlan plan_conv2d(const Conv2dShape& s) {
  ConvPlan plan{};
  plan.dtype = s.dtype;
  plan.N = s.N, plan.groups = s.groups, plan.out_image = s.K * s.P * s.Q;
  if (s.y_size() == 0) return plan;
  ConvPhase phase{};
  ConvProduct& c = phase.product;
  c.M = s.K / s.groups, c.D = s.C / s.groups * s.R * s.S;
  c.source.V = s.Q;
  plan.direct = conv_algorithm(c, s.dtype, s.R * s.S > 1, !conv2d_samples(s)) == kConvDirect;
  plan.images = conv2d_images(s, plan.direct);
  plan.offsets = conv2d_offsets(s, plan.images);
  c.source = conv2d_source(s, plan.images);
  c.source.offset = plan.offsets.data();
  c.out_image = plan.out_image, c.out_channel = s.P * s.Q, c.out_group = c.M * c.out_channel;
  c.out_row = s.Q, c.out_col = 1;
  join_rows(c.source, c.out_row, c.out_col);
  c.relu = s.relu;
  phase.weights = {c.M * c.D, c.D, nullptr};
  set_tiles(plan, phase);
  set_tasks(plan, phase);
  plan.phases.push_back(phase);
  return plan;
}

// All phases as one product, whose rows lie as those of w.
ConvPlan plan_tiled_images(const Conv2dShape& s) {
  ConvPlan plan{};
  plan.dtype = s.dtype;
  plan.N = s.N, plan.groups = s.groups, plan.out_image = s.C * s.H * s.W;
  const int64_t K = s.K / s.groups, M = s.C / s.groups * s.R * s.S, plane = s.P * s.Q;
  plan.images.channels = s.K, plan.images.per_pass = s.N;
  plan.images.copy.H = s.P, plan.images.copy.W = s.Q;
  for (int64_t k = 0; k < K; ++k) plan.offsets.push_back(k * plane);
  for (int64_t k = 0; k < K; ++k) plan.offsets.push_back(k * M);
  ConvPhase phase{};
  ConvProduct& c = phase.product;
  c.M = M, c.D = K;
  c.source = {s.P, s.Q, s.K * plane, K * plane, s.Q, 1, plan.offsets.data()};
  c.out_image = plan.out_image, c.out_channel = s.H * s.W;
  c.out_group = s.C / s.groups * c.out_channel;
  c.out_row = s.R * s.W, c.out_col = s.S;
  c.phases_up = s.R, c.phases_across = s.S, c.out_up = s.W;
  c.relu = s.relu;
  phase.weights = {K * M, 1, plan.offsets.data() + K};
  set_tiles(plan, phase);
  set_tasks(plan, phase);
  plan.phases.push_back(phase);
  return plan;
}

ConvPlan plan_conv_transpose2d(const Conv2dShape& s) {
  ConvPlan plan{};
  plan.dtype = s.dtype;
  plan.N = s.N, plan.groups = s.groups, plan.out_image = s.C * s.H * s.W;
  if (s.x_size() == 0) return plan;
  const int64_t M = s.C / s.groups, K = s.K / s.groups, taps = s.R * s.S;
  const auto rows = stride_phases(s.stride_h, s.dil_h, s.R, s.pad_top, s.H);
  const auto cols = stride_phases(s.stride_w, s.dil_w, s.S, s.pad_left, s.W);
  ConvProduct first{};
  first.M = M, first.D = ceil_div(K * taps, s.stride_h * s.stride_w);
  first.source.V = cols[0].count;
  first.out_col = static_cast<int64_t>(cols.size());
  const bool tiled = conv2d_tiles_images(s);
  plan.direct =
      conv_algorithm(first, s.dtype, taps > 1 && !tiled, cols.size() <= kConvPhases) == kConvDirect;
  if (tiled && taps > 1 && !plan.direct) return plan_tiled_images(s);
  ConvImages& images = plan.images;
  ConvCopy& copy = images.copy;
  images.channels = s.K;
  copy.H = s.P, copy.W = s.Q;
  copy.row_step = copy.row_taps = copy.tap_step = copy.col_step = copy.phases = 1;
  phases_extent(rows, &copy.first_row, &copy.rows);
  phases_extent(cols, &copy.first_col, &copy.width);
  images.copied = plan.direct || copy.first_row < 0 || copy.first_col < 0 ||
                  copy.first_row + copy.rows > s.P || copy.first_col + copy.width > s.Q;
  if (!images.copied) copy.first_row = copy.first_col = 0, copy.rows = s.P, copy.width = s.Q;
  set_passes(images, s);

  plan.offsets.reserve(static_cast<size_t>(2 * K * taps));  // pointers into it stay valid
  std::vector<int64_t> weights;
  for (const StridePhase& row : rows)
    for (const StridePhase& col : cols) {
      const int64_t* begin = plan.offsets.data() + plan.offsets.size();
      weights.clear();
      const int64_t origin =
          (row.begin - copy.first_row) * copy.pitch() + col.begin - copy.first_col;
      for (int64_t k = 0; k < K; ++k)
        for (size_t i = 0; i < row.taps.size(); ++i)
          for (size_t j = 0; j < col.taps.size(); ++j) {
            plan.offsets.push_back(k * copy.plane() + origin - row.shifts[i] * copy.pitch() -
                                   col.shifts[j]);
            weights.push_back(k * M * taps + row.taps[i] * s.S + col.taps[j]);
          }
      ConvPhase phase{};
      ConvProduct& c = phase.product;
      c.M = M, c.D = static_cast<int64_t>(weights.size());
      c.source = {row.count, col.count, images.image(), K * copy.plane(), copy.pitch(), 1, begin};
      c.out_image = plan.out_image, c.out_channel = s.H * s.W, c.out_group = M * c.out_channel;
      c.out_row = s.stride_h * s.W, c.out_col = s.stride_w;
      c.relu = s.relu;
      phase.out_first = row.first * s.W + col.first;
      join_rows(c.source, c.out_row, c.out_col);
      phase.weights = {K * M * taps, taps, begin + c.D};
      plan.offsets.insert(plan.offsets.end(), weights.begin(), weights.end());
      set_tiles(plan, phase);
      set_tasks(plan, phase);
      plan.phases.push_back(phase);
    }
  return plan;
}

}  // namespace dlx

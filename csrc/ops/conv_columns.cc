#include "ops/conv_columns.h"

#include "core/cpu_features.h"
#include "core/view.h"
#include "gemm/tiles.h"

namespace dlx {

DLX_EACH_ISA(extern const ConvColumnsTable conv_columns_table;)

namespace {

constexpr int64_t kColumnsBytes = 32 << 10;  // of a block of channels: most of L1
constexpr int64_t kMostBytes = 1 << 20;      // of one channel's columns of one image
constexpr int64_t kPixels = 256;             // of a task: few of its last panel's lanes are lost
constexpr int64_t kTasks = 24;               // enough for the threads of a small machine
constexpr double kChunkFlops = 2e6;          // 20 us: smaller tasks are claimed several at a time
constexpr int64_t kPackGrain = 16384;

bool applies(const Conv2dShape& s) {
  const int64_t rows = std::max(s.R * s.S, s.K / s.groups);
  return s.S <= kFoldTaps && rows * s.P * s.Q * size_of(s.dtype) <= kMostBytes;
}

// A gathered sum by lanes of channels runs faster, but multiplies by the zeros around dy and leaves
// lanes empty: where that is a third or more of its work, a fold is cheaper.
bool pays(const Conv2dShape& s) {
  const int64_t M = s.C / s.groups, width = conv_table().width[s.dtype == DType::float64];
  // Products for each element of the columns; more where vectors are short and have no masks, so
  // that the edges of rows are added one by one.
  const int64_t least_depth = width * size_of(s.dtype) < 32 ? 16 : 4;
  const double own = static_cast<double>(s.P * s.stride_h * s.Q * s.stride_w * M);
  const double gathered = static_cast<double>(s.H * s.W * round_up(M, width));
  return s.R * s.S > 1 && s.K / s.groups >= least_depth && 3 * gathered > 4 * own;
}

// The phases of an axis and their taps, behind those that `taps` has; pointers are set later.
std::vector<FoldPhase> fold_phases(const std::vector<StridePhase>& phases,
                                   std::vector<FoldTap>& taps) {
  std::vector<FoldPhase> all;
  for (const StridePhase& f : phases) {
    all.push_back({f.first, f.count, nullptr, static_cast<int64_t>(f.taps.size())});
    for (size_t i = 0; i < f.taps.size(); ++i) taps.push_back({f.taps[i], f.begin - f.shifts[i]});
  }
  return all;
}

}  // namespace

std::optional<ConvColumnsPlan> plan_columns_conv_transpose2d(const Conv2dShape& s) {
  if (s.x_size() == 0 || s.y_size() == 0 || s.w_size() == 0 || !applies(s)) return {};
  const uint32_t others = 1 << kConvPanels | 1 << kConvDirect | 1 << kConvChannels;
  const int picked =
      conv_choice.pick(pays(s) ? kConvColumns : kConvPanels, others | 1 << kConvColumns);
  if (picked != kConvColumns) return {};
  const GemmTiles tiles = kGemmTiles[static_cast<int>(current_isa())][static_cast<int>(s.dtype)];
  const int64_t size = size_of(s.dtype), width = conv_table().width[s.dtype == DType::float64];
  ConvColumnsPlan plan{};
  plan.dtype = s.dtype, plan.N = s.N;
  ConvFold& f = plan.fold;
  f.K = s.K / s.groups, f.M = s.C / s.groups, f.R = s.R, f.S = s.S;
  f.P = s.P, f.Q = s.Q, f.H = s.H, f.W = s.W, f.groups = s.groups;
  const int64_t pixels = s.P * s.Q, taps = f.taps();
  f.images = std::clamp<int64_t>(std::min(kPixels / pixels, s.N * s.groups / kTasks), 1, s.N);
  const int64_t columns = f.images * pixels;
  f.pitch = (round_up(columns, width) / width | 1) * width;  // odd: rows differ in their cache sets
  f.channels = even_split(f.M, std::max<int64_t>(kColumnsBytes / (taps * f.pitch * size), 1), 1);
  f.panels = ceil_div(f.channels * taps, tiles.mr);
  f.mr = ceil_div(f.channels * taps, f.panels);
  f.kc = even_split(f.K, tiles.kc, 1);
  f.row_step = s.stride_h, f.col_step = s.stride_w;
  f.relu = s.relu;
  plan.rows = fold_phases(stride_phases(s.stride_h, s.dil_h, s.R, s.pad_top, s.H), plan.taps);
  plan.cols = fold_phases(stride_phases(s.stride_w, s.dil_w, s.S, s.pad_left, s.W), plan.taps);
  f.row_phases = static_cast<int64_t>(plan.rows.size());
  f.col_phases = static_cast<int64_t>(plan.cols.size());
  const int64_t tasks = ceil_div(s.N, f.images) * s.groups;
  plan.parts = std::min(f.blocks(), ceil_div(kTasks, tasks));
  plan.packed_bytes = round_up(s.groups * f.blocks() * f.panels * tiles.mr * f.K * size, 64);
  plan.pixels_bytes = round_up(round_up(columns, tiles.nr) * f.K * size, 64);
  plan.columns_bytes = f.channels * taps * f.pitch * size;
  return plan;
}

int64_t columns_workspace(const ConvColumnsPlan& plan) {
  return plan.packed_bytes + num_threads() * (plan.pixels_bytes + plan.columns_bytes);
}

void run_columns(const ConvColumnsPlan& plan, const void* dy, const void* w, const void* bias,
                 void* dx, void* workspace) {
  const ConvColumnsTable& table = DLX_SELECT_ISA(conv_columns_table);
  const int type = plan.dtype == DType::float64;
  std::vector<FoldPhase> phases = plan.rows;
  phases.insert(phases.end(), plan.cols.begin(), plan.cols.end());
  const FoldTap* taps = plan.taps.data();
  for (FoldPhase& p : phases) p.taps = taps, taps += p.size;
  ConvFold f = plan.fold;
  f.rows = phases.data(), f.cols = f.rows + f.row_phases;
  parallel_for(f.groups * f.blocks() * f.panels, effective_grain(kPackGrain / (f.mr * f.K) + 1),
               [&](int64_t begin, int64_t end) { table.pack[type](f, w, begin, end, workspace); });
  char* scratch = static_cast<char*>(workspace) + plan.packed_bytes;
  const int64_t tasks = ceil_div(plan.N, f.images) * f.groups * plan.parts;
  const int64_t blocks = ceil_div(f.blocks(), plan.parts);
  const double flops = 2.0 * static_cast<double>(f.images * f.P * f.Q * f.taps() * f.M) *
                       static_cast<double>(f.K + 4) / static_cast<double>(plan.parts);
  const auto grain = static_cast<int64_t>(kChunkFlops / flops) + 1;
  parallel_workers(tasks, effective_grain(grain), [&](int64_t begin, int64_t end, int worker) {
    char* pixels = scratch + worker * (plan.pixels_bytes + plan.columns_bytes);
    for (int64_t i = begin; i < end; ++i) {
      ConvFoldTask task{};
      task.n = i / plan.parts / f.groups * f.images;
      task.count = std::min(f.images, plan.N - task.n);
      task.group = i / plan.parts % f.groups;
      task.begin = std::min(i % plan.parts * blocks, f.blocks());
      task.end = std::min(task.begin + blocks, f.blocks());
      table.run[type](f, task, dy, workspace, bias, pixels, pixels + plan.pixels_bytes, dx);
    }
  });
}

}  // namespace dlx

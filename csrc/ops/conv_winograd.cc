#include "ops/conv_winograd.h"

#include "core/cpu_features.h"
#include "gemm/tiles.h"
#include "ops/conv2d_plan.h"

namespace dlx {

DLX_EACH_ISA(extern const WinogradTable winograd_table;)

namespace {

constexpr int64_t kBlock = 32;  // tiles of a task: a multiple of every micro-tile's columns
constexpr int64_t kPassBytes = 640 << 10;  // of transformed images; 1/3 to 1 MB run alike
constexpr int64_t kFewTasks = 8;           // fewer are cut further, by rows of the result,
constexpr int64_t kPartPanels = 8;         // for which the images are transformed anew
constexpr double kChunkFlops = 2e6;        // 20 us: smaller tasks are claimed several at a time
constexpr int64_t kWeightsGrain = 4;       // panels of a slab: 10 us

const WinogradKernels& kernels(int tile) {
  const WinogradTable& table = DLX_SELECT_ISA(winograd_table);
  return tile == 2 ? table.tile2 : table.tile4;
}

const GemmTiles& gemm_tiles(DType t) {
  return kGemmTiles[static_cast<int>(current_isa())][static_cast<int>(t)];
}

int points(int tile) { return (tile + 2) * (tile + 2); }

// ------------------------------------------------------------------------------- the choice

constexpr int64_t kFewest = 4;  // channels: of fewer, some sums of terms are small beside a tile's
constexpr double kPays = 0.9;   // of the plain algorithms' cost, which is known no better

// Time in that of a multiply-add at the peak, fitted to float32 on AVX-512: what products take
// beyond their number, what each tile, each of its channels of x and of the result cost beside
// them.
double winograd_cost(const WinogradShape& s, DType t, int tile) {
  constexpr double kProduct = 1.3, kTile = 100, kImage = 8, kResult = 6;    // for each point
  constexpr double kWeights = 25, kFarWeights = 80, kNearBytes = 16 << 20;  // near: left in L3
  const auto D = static_cast<double>(s.D), M = static_cast<double>(s.M);
  const int64_t tiles = s.N * ceil_div(s.P, tile) * ceil_div(s.Q, tile);
  const auto lanes = static_cast<double>(round_up(tiles, gemm_tiles(t).nr / 2));
  const double bytes = points(tile) * D * M * static_cast<double>(s.groups * size_of(t));
  const double weights = bytes > kNearBytes ? kFarWeights : kWeights;
  return points(tile) *
         (lanes * (kProduct * D * M + kTile + kImage * D + kResult * M) + weights * D * M);
}

double plain_cost(const WinogradShape& s) {
  constexpr double kProduct = 1.05, kImage = 14, kResult = 14;
  const auto D = static_cast<double>(s.D), M = static_cast<double>(s.M);
  return static_cast<double>(s.N * s.P * s.Q) * (kProduct * 9 * D * M + kImage * D + kResult * M);
}

int chosen_tile(const WinogradShape& s, const Conv2dShape& conv) {
  if (conv.R != 3 || conv.S != 3 || conv.stride_h != 1 || conv.stride_w != 1 || conv.dil_h != 1 ||
      conv.dil_w != 1 || s.N * s.D * s.H * s.W == 0 || s.N * s.M * s.P * s.Q == 0)
    return 0;
  const bool may4 = conv.dtype == DType::float32 && !conv.exact;
  const double cost2 = winograd_cost(s, conv.dtype, 2), cost4 = winograd_cost(s, conv.dtype, 4);
  ConvAlgorithm best = kConvPanels;  // or direct, as their own plan decides
  if (std::min(s.D, s.M) >= kFewest &&
      std::min(cost2, may4 ? cost4 : cost2) < kPays * plain_cost(s))
    best = may4 && cost4 < cost2 ? kConvWinograd4 : kConvWinograd2;
  const int plain = 1 << kConvPanels | 1 << kConvDirect;
  const int picked =
      conv_choice.pick(best, plain | 1 << kConvWinograd2 | (may4 ? 1 << kConvWinograd4 : 0));
  return picked == kConvWinograd4 ? 4 : picked == kConvWinograd2 ? 2 : 0;
}

// --------------------------------------------------------------------------------- the plan

std::optional<WinogradPlan> plan(WinogradShape s, const Conv2dShape& conv) {
  const int tile = chosen_tile(s, conv);
  if (tile == 0) return std::nullopt;
  const GemmTiles& t = gemm_tiles(conv.dtype);
  const int64_t size = size_of(conv.dtype);
  WinogradPlan plan{};
  plan.dtype = conv.dtype, plan.tile = tile;
  s.rows = ceil_div(s.P, tile), s.cols = ceil_div(s.Q, tile);
  plan.panels = ceil_div(s.M, t.mr);
  s.mr = ceil_div(s.M, plan.panels);
  s.block = even_split(s.tiles(), kBlock, t.nr);
  s.depth = even_split(s.D, kPassBytes / (points(tile) * s.block * size), kWinogradSlab);
  plan.blocks = ceil_div(s.tiles(), s.block);
  plan.parts = std::clamp<int64_t>(kFewTasks / (plan.blocks * s.groups), 1,
                                   ceil_div(plan.panels, kPartPanels));
  plan.packed_bytes = round_up(s.groups * plan.panels * points(tile) * t.mr * s.D * size, 64);
  plan.scratch_bytes = round_up(kernels(tile).scratch[conv.dtype == DType::float64](s) * size, 64);
  s.relu = conv.relu;
  plan.shape = s;
  return plan;
}

}  // namespace

std::optional<WinogradPlan> plan_winograd_conv2d(const Conv2dShape& c) {
  WinogradShape s{};
  s.N = c.N, s.groups = c.groups, s.D = c.C / c.groups, s.M = c.K / c.groups;
  s.H = c.H, s.W = c.W, s.P = c.P, s.Q = c.Q;
  s.top = c.pad_top, s.left = c.pad_left;
  s.w_col = 9, s.w_row = s.D * 9, s.w_group = s.M * s.w_row;
  return plan(s, c);
}

// dx[h] = sum of w[r] dy[h + pad - r]: with r' = 2 - r that is dy[h - (2 - pad) + r'].
std::optional<WinogradPlan> plan_winograd_conv_transpose2d(const Conv2dShape& c) {
  WinogradShape s{};
  s.N = c.N, s.groups = c.groups, s.D = c.K / c.groups, s.M = c.C / c.groups;
  s.H = c.P, s.W = c.Q, s.P = c.H, s.Q = c.W;
  s.top = 2 - c.pad_top, s.left = 2 - c.pad_left;
  s.w_row = 9, s.w_col = s.M * 9, s.w_group = s.D * s.w_col;
  s.flipped = true;
  return plan(s, c);
}

int64_t winograd_workspace(const WinogradPlan& plan) {
  return plan.packed_bytes + num_threads() * plan.scratch_bytes;
}

void run_winograd(const WinogradPlan& plan, const void* x, const void* w, const void* bias, void* y,
                  void* workspace) {
  const WinogradShape& s = plan.shape;
  const WinogradKernels& k = kernels(plan.tile);
  const int type = plan.dtype == DType::float64;
  char* scratch = static_cast<char*>(workspace) + plan.packed_bytes;
  parallel_for(s.groups * plan.panels * ceil_div(s.D, kWinogradSlab),
               effective_grain(kWeightsGrain),
               [&](int64_t begin, int64_t end) { k.weights[type](s, w, begin, end, workspace); });
  const int64_t part_rows = ceil_div(plan.panels, plan.parts) * s.mr;
  const int64_t tasks = s.groups * plan.blocks * plan.parts;
  const double flops = 2.0 * static_cast<double>(points(plan.tile) * s.block * s.D) *
                       static_cast<double>(std::min(part_rows, s.M) + 45);
  const auto grain = static_cast<int64_t>(kChunkFlops / flops) + 1;
  parallel_workers(tasks, effective_grain(grain), [&](int64_t begin, int64_t end, int worker) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t part = task % plan.parts, i = task / plan.parts % plan.blocks;
      WinogradBlock block{};
      block.group = task / plan.parts / plan.blocks;
      block.t0 = i * s.block, block.t1 = std::min(block.t0 + s.block, s.tiles());
      block.m0 = part * part_rows, block.m1 = std::min(block.m0 + part_rows, s.M);
      k.multiply[type](s, block, x, workspace, bias, scratch + worker * plan.scratch_bytes, y);
    }
  });
}

}  // namespace dlx

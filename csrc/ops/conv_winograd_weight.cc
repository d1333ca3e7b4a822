#include "ops/conv_winograd_weight.h"

#include "core/cpu_features.h"
#include "gemm/tiles.h"
#include "ops/conv2d_plan.h"
#include "ops/conv_winograd_weight_table.h"

namespace dlx {

DLX_EACH_ISA(extern const WinogradWeightTable winograd_weight_table;)

namespace {

constexpr int64_t kPassBytes = 4 << 20;  // of packed tiles: what two cores keep in L2,
constexpr int64_t kLeastPass = 128;      // but enough tiles to pay for adding to the sums
constexpr double kChunkFlops = 2e6;      // 20 us: smaller tasks are claimed several at a time

const WinogradWeightTable& table() { return DLX_SELECT_ISA(winograd_weight_table); }

struct Plan {
  WinogradWeightShape shape;
  int64_t x_bytes, dy_bytes, sums_bytes;  // packed tiles, sums
};

Plan make_plan(const Conv2dShape& c) {
  const GemmTiles& t = kGemmTiles[static_cast<int>(current_isa())][0];
  Plan plan{};
  WinogradWeightShape& s = plan.shape;
  const int64_t rows = ceil_div(c.P, 4), cols = ceil_div(c.Q, 4), K = c.K / c.groups;
  s.x = {c.H, c.W, c.pad_top, c.pad_left, rows, cols, c.groups, c.C / c.groups, t.nr, t.nr};
  s.dy = {c.P, c.Q, 0, 0, rows, cols, c.groups, K, ceil_div(K, ceil_div(K, t.mr)), t.mr};
  s.tiles = c.N * rows * cols;
  const int64_t x_tile = s.x.panels() * s.x.pitch, dy_tile = s.dy.panels() * s.dy.pitch;
  const int64_t tile_bytes = 4 * c.groups * kWinogradPoints * (x_tile + dy_tile);
  s.pass = even_split(s.tiles, std::max(kPassBytes / tile_bytes, kLeastPass), kWinogradBlock);
  plan.x_bytes = 4 * c.groups * kWinogradPoints * s.pass * x_tile;
  plan.dy_bytes = round_up(4 * c.groups * kWinogradPoints * s.pass * dy_tile, 64);
  plan.sums_bytes = round_up(4 * c.groups * kWinogradPoints * K * x_tile, 64);
  return plan;
}

// Chunks of about kChunkFlops where all tasks together take `flops`.
int64_t grain_of(int64_t tasks, double flops) {
  return effective_grain(static_cast<int64_t>(kChunkFlops / flops * static_cast<double>(tasks)) +
                         1);
}

}  // namespace

bool winograd_weight_applies(const Conv2dShape& s) {
  return s.dtype == DType::float32 && !s.exact && s.R == 3 && s.S == 3 && s.stride_h == 1 &&
         s.stride_w == 1 && s.dil_h == 1 && s.dil_w == 1 && s.x_size() > 0 && s.y_size() > 0;
}

// Time in that of a multiply-add at the peak, fitted to AVX-512 as in winograd_cost.
double winograd_weight_ratio(const Conv2dShape& s) {
  constexpr double kProduct = 2.2, kTransform = 85, kResult = 75, kPlain = 1.35, kChannel = 32;
  const auto C = static_cast<double>(s.C / s.groups), K = static_cast<double>(s.K / s.groups);
  const auto pixels = static_cast<double>(s.N * s.P * s.Q);
  const auto tiles = static_cast<double>(s.N * ceil_div(s.P, 4) * ceil_div(s.Q, 4));
  return kWinogradPoints * (tiles * (kProduct * C * K + kTransform * (C + K)) + kResult * C * K) /
         (pixels * (kPlain * 9 * C * K + kChannel * (C + K)));
}

int64_t winograd_weight_workspace(const Conv2dShape& c) {
  const Plan plan = make_plan(c);
  return plan.x_bytes + plan.dy_bytes + plan.sums_bytes +
         num_threads() * round_up(table().scratch_bytes, 64);
}

void run_winograd_weight(const Conv2dShape& c, const void* x, const void* dy, void* dw,
                         void* workspace) {
  const Plan plan = make_plan(c);
  const WinogradWeightShape& s = plan.shape;
  char* packed_x = static_cast<char*>(workspace);
  char* packed_dy = packed_x + plan.x_bytes;
  char* sums = packed_dy + plan.dy_bytes;
  char* scratch = sums + plan.sums_bytes;
  const int64_t scratch_bytes = round_up(table().scratch_bytes, 64);
  const auto C = static_cast<double>(s.x.channels), K = static_cast<double>(s.dy.channels);
  for (int64_t t0 = 0; t0 < s.tiles; t0 += s.pass) {
    const int64_t count = std::min(s.pass, s.tiles - t0), blocks = ceil_div(count, kWinogradBlock);
    const double points = static_cast<double>(c.groups * count) * kWinogradPoints;
    const int64_t x_tasks = c.groups * s.x.panels() * blocks;
    const int64_t tasks = x_tasks + c.groups * s.dy.panels() * blocks;
    parallel_workers(
        tasks, grain_of(tasks, 90 * points * (C + K)), [&](int64_t begin, int64_t end, int worker) {
          void* mine = scratch + worker * scratch_bytes;
          if (begin < x_tasks)
            table().transform_x(s, t0, count, begin, std::min(end, x_tasks), x, mine, packed_x);
          if (end > x_tasks)
            table().transform_dy(s, t0, count, std::max(begin, x_tasks) - x_tasks, end - x_tasks,
                                 dy, mine, packed_dy);
        });
    const int64_t products = c.groups * kWinogradPoints * s.x.panels();
    parallel_for(products, grain_of(products, 2 * points * C * K), [&](int64_t begin, int64_t end) {
      table().multiply(s, count, t0 == 0, begin, end, packed_x, packed_dy, sums);
    });
  }
  parallel_for(c.K, grain_of(c.K, 400 * C * static_cast<double>(c.K)),
               [&](int64_t begin, int64_t end) { table().result(s, begin, end, sums, dw); });
}

}  // namespace dlx

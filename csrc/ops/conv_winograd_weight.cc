#include "ops/conv_winograd_weight.h"

#include "core/cpu_features.h"
#include "gemm/tiles.h"
#include "ops/conv2d_plan.h"
#include "ops/conv_winograd_weight_table.h"

namespace dlx {

DLX_EACH_ISA(extern const WinogradWeightTable winograd_weight_table;)

namespace {

constexpr int64_t kPassBytes = 4 << 20;   // of packed tiles: what two cores keep in L2,
constexpr int64_t kLeastPass = 128;       // but enough tiles to pay for adding to the sums
constexpr int64_t kOwnSums = 192 << 10;   // bytes of sums so small that each piece has its own
constexpr int64_t kOwnBytes = 512 << 10;  // of its packed tiles: half of a 1 MB L2
constexpr int64_t kPieces = 16;           // enough for the threads of a small machine
constexpr int64_t kPieceTiles = 128;      // least of a piece: 10 us
constexpr double kChunkFlops = 2e6;       // 20 us: smaller tasks are claimed several at a time

const WinogradWeightTable& table() { return DLX_SELECT_ISA(winograd_weight_table); }

struct Plan {
  WinogradWeightShape shape;
  int64_t pieces, piece;                  // 1: all threads share the packed tiles; tiles of one
  int64_t x_bytes, dy_bytes, sums_bytes;  // packed tiles of a pass, sums of a piece
  int64_t scratch_bytes;                  // of a thread

  int64_t packed_bytes() const { return x_bytes + dy_bytes; }
};

Plan make_plan(const Conv2dShape& c) {
  const GemmTiles& t = kGemmTiles[static_cast<int>(current_isa())][0];
  Plan plan{};
  WinogradWeightShape& s = plan.shape;
  const int64_t rows = ceil_div(c.P, 4), cols = ceil_div(c.Q, 4), K = c.K / c.groups, W = t.nr / 2;
  s.x = {c.H, c.W, c.pad_top, c.pad_left, rows, cols, c.groups, c.C / c.groups, W, t.nr, t.nr, 0};
  const int64_t panel = ceil_div(K, ceil_div(K, t.mr));
  s.dy = {c.P, c.Q, 0, 0, rows, cols, c.groups, K, W, panel, t.mr, 0};
  s.tiles = c.N * rows * cols;
  // Whole rows of tiles where there are several in a block: they share pixels.
  s.block = cols <= kWinogradBlock ? kWinogradBlock / cols * cols : kWinogradBlock;
  const int64_t x_tile = s.x.panels() * s.x.pitch, dy_tile = s.dy.panels() * s.dy.pitch;
  const int64_t tile_bytes = 4 * c.groups * kWinogradPoints * (x_tile + dy_tile);
  plan.sums_bytes = round_up(4 * c.groups * kWinogradPoints * K * x_tile, 64);
  plan.pieces =
      plan.sums_bytes > kOwnSums ? 1 : std::clamp<int64_t>(s.tiles / kPieceTiles, 1, kPieces);
  plan.piece = round_up(ceil_div(s.tiles, plan.pieces), s.block);
  plan.pieces = ceil_div(s.tiles, plan.piece);
  const int64_t most =
      plan.pieces > 1 ? kOwnBytes / tile_bytes : std::max(kPassBytes / tile_bytes, kLeastPass);
  s.pass = even_split(plan.piece, most, s.block);
  // Points an odd number of cache lines apart: their lines share no set.
  s.x.point_size = round_up(s.pass * x_tile, 32) + 16;
  s.dy.point_size = round_up(s.pass * dy_tile, 32) + 16;
  plan.x_bytes = 4 * c.groups * kWinogradPoints * s.x.point_size;
  plan.dy_bytes = 4 * c.groups * kWinogradPoints * s.dy.point_size;
  plan.scratch_bytes =
      round_up(table().scratch_bytes, 64) + (plan.pieces > 1 ? plan.packed_bytes() : 0);
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
  constexpr double kProduct = 1.5, kTransform = 25, kResult = 75, kPlain = 1.2, kChannel = 16;
  const auto C = static_cast<double>(s.C / s.groups), K = static_cast<double>(s.K / s.groups);
  const int64_t W = kGemmTiles[static_cast<int>(current_isa())][0].nr / 2;
  const auto lanes = static_cast<double>(round_up(s.C / s.groups, W) + round_up(s.K / s.groups, W));
  const auto pixels = static_cast<double>(s.N * s.P * s.Q);
  const auto tiles = static_cast<double>(s.N * ceil_div(s.P, 4) * ceil_div(s.Q, 4));
  return kWinogradPoints * (tiles * (kProduct * C * K + kTransform * lanes) + kResult * C * K) /
         (pixels * (kPlain * 9 * C * K + kChannel * (C + K)));
}

int64_t winograd_weight_workspace(const Conv2dShape& c) {
  const Plan plan = make_plan(c);
  return plan.pieces * plan.sums_bytes + (plan.pieces > 1 ? 0 : plan.packed_bytes()) +
         num_threads() * plan.scratch_bytes;
}

namespace {

// Each piece of the tiles by one thread, which packs them for itself and has sums of its own.
void run_pieces(const Plan& plan, const void* x, const void* dy, char* sums, char* scratch) {
  const WinogradWeightShape& s = plan.shape;
  const int64_t groups = s.x.groups;
  parallel_workers(plan.pieces, 1, [&](int64_t begin, int64_t end, int worker) {
    char* packed_x = scratch + worker * plan.scratch_bytes;
    char* packed_dy = packed_x + plan.x_bytes;
    char* mine = packed_dy + plan.dy_bytes;
    for (int64_t piece = begin; piece < end; ++piece) {
      const int64_t first = piece * plan.piece, last = std::min(first + plan.piece, s.tiles);
      for (int64_t t0 = first; t0 < last; t0 += s.pass) {
        const int64_t count = std::min(s.pass, last - t0), blocks = ceil_div(count, s.block);
        table().transform_x(s, t0, count, 0, groups * s.x.vectors() * blocks, x, mine, packed_x);
        table().transform_dy(s, t0, count, 0, groups * s.dy.vectors() * blocks, dy, mine,
                             packed_dy);
        table().multiply(s, count, t0 == first, 0, groups * kWinogradPoints * s.x.panels(),
                         packed_x, packed_dy, sums + piece * plan.sums_bytes);
      }
    }
  });
}

// All threads share the packed tiles of a pass, and one set of sums.
void run_passes(const Plan& plan, const void* x, const void* dy, char* sums, char* packed_x,
                char* scratch) {
  const WinogradWeightShape& s = plan.shape;
  char* packed_dy = packed_x + plan.x_bytes;
  const int64_t groups = s.x.groups;
  const auto C = static_cast<double>(s.x.channels), K = static_cast<double>(s.dy.channels);
  for (int64_t t0 = 0; t0 < s.tiles; t0 += s.pass) {
    const int64_t count = std::min(s.pass, s.tiles - t0), blocks = ceil_div(count, s.block);
    const double points = static_cast<double>(groups * count) * kWinogradPoints;
    const int64_t x_tasks = groups * s.x.vectors() * blocks;
    const int64_t tasks = x_tasks + groups * s.dy.vectors() * blocks;
    parallel_workers(
        tasks, grain_of(tasks, 60 * points * (C + K)), [&](int64_t begin, int64_t end, int worker) {
          void* mine = scratch + worker * plan.scratch_bytes;
          if (begin < x_tasks)
            table().transform_x(s, t0, count, begin, std::min(end, x_tasks), x, mine, packed_x);
          if (end > x_tasks)
            table().transform_dy(s, t0, count, std::max(begin, x_tasks) - x_tasks, end - x_tasks,
                                 dy, mine, packed_dy);
        });
    const int64_t products = groups * kWinogradPoints * s.x.panels();
    parallel_for(products, grain_of(products, 2 * points * C * K), [&](int64_t begin, int64_t end) {
      table().multiply(s, count, t0 == 0, begin, end, packed_x, packed_dy, sums);
    });
  }
}

}  // namespace

void run_winograd_weight(const Conv2dShape& c, const void* x, const void* dy, void* dw,
                         void* workspace) {
  const Plan plan = make_plan(c);
  char* sums = static_cast<char*>(workspace);
  char* packed = sums + plan.pieces * plan.sums_bytes;
  if (plan.pieces > 1)
    run_pieces(plan, x, dy, sums, packed);
  else
    run_passes(plan, x, dy, sums, packed, packed + plan.packed_bytes());
  const double flops =
      400.0 * static_cast<double>(plan.pieces * c.K) * static_cast<double>(plan.shape.x.channels);
  parallel_for(c.K, grain_of(c.K, flops), [&](int64_t begin, int64_t end) {
    table().result(plan.shape, begin, end, sums, plan.pieces, dw);
  });
}

}  // namespace dlx

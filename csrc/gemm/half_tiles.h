// GEMM of bfloat16 on AMX: TDPBF16PS multiplies tiles, C (16,16) += A (16,32) B (32,16).
//
// C's sums are float32: an instruction sums the even and the odd products of its 32 apart, rounds
// each sum to nearest even, adds both and then C. It takes subnormal numbers for 0 and gives 0 for
// them, whatever the MXCSR says, raises no exception, and keeps infinities and NaN.
// Intel, Intrinsics Guide and SDM 2, TDPBF16PS; blocking: four tiles of C, so that each tile loaded
// is used twice, as in Intel's Optimization Reference Manual, 20.5.
#pragma once
#include "core/cpu_features.h"
#include "gemm/gemm.h"

namespace dlx {

// Depth of a panel of A: 32 rows of it are 32 KB, which stay in the L1 cache (48 KB).
constexpr int64_t kTilePanelDepth = 512;
constexpr int64_t kTilePanelBytes = 32 * kTilePanelDepth * 2;
// Depth of a block of B, whose columns are packed at once: as many as fill half of an L2 cache of 2
// MB. Eight of A's panels deep, the sums of a task are read and written in the L2 cache; between
// blocks they go to memory.
constexpr int64_t kTileBlockDepth = 2048;
constexpr int64_t kTileBlockBytes = 1 << 20;
// Tasks that few rows are cut into, by columns.
constexpr int64_t kTileTasks = 16;
constexpr double kTileChunkFlops = 20e6;               // of a chunk of tasks: 10 us
constexpr int64_t kTileChunkBytes = int64_t{1} << 17;  // of a chunk of packing: 10 us

// One matrix of the batch, one stripe of columns and one block of depth after the other.
struct TilePlan {
  GemmShape shape;
  int64_t batches;
  // Multiples of 32: depth of a block, of a panel of A; columns of a stripe, of a task.
  int64_t depth, panel_depth, cols, task_cols;
  int64_t pack_grain, task_grain;  // panels of B, tasks of a chunk
  // Packed block of B, sums of the stripe (0 if one block is as deep as k), then each worker's.
  int64_t b_bytes, sums_bytes, scratch_bytes;
};

using TileGemm = void (*)(const TilePlan& plan, const void* a, const void* b, void* c,
                          const void* bias, void* workspace);
DLX_EACH_ISA(extern const TileGemm tile_gemm;)  // null but on avx512

}  // namespace dlx

// The numbers of GEMM, each with its reason. Nothing else belongs here.
#pragma once
#include "core/cpu_features.h"
#include "core/dtype.h"

namespace dlx {

// (mr, nr): the micro-tile of C held in registers while k runs.
// kc: depth of a packed block, enough to amortise reading and writing C once per block; the (kc,nr)
//     panel of B, 48 KB at most, streams from L2 past the (mr,kc) panels of A.
// mc: most rows of A packed at once: (mc,kc) fills half of a 1 MB L2.
struct GemmTiles {
  int mr, nr, kc, mc;
};

// clang-format off
constexpr GemmTiles kGemmTiles[kNumIsas][2] = {
    // float32            float64
#if defined(__aarch64__)
    {{12,  8, 384, 336}, {12,  4, 384, 168}},  // NEON: 12x2 q + 2 for B + 3 for A = 29 of 32
#else
    {{ 5,  8, 384, 336}, { 5,  4, 384, 168}},  // portable: 5x2 xmm + 2 for B + 2 products
    {{ 5,  8, 384, 336}, { 5,  4, 384, 168}},  // x86_64_v2: the same 16 xmm
    {{ 6, 16, 384, 336}, { 6,  8, 384, 168}},  // avx2: 6x2 ymm + 2 for B + 1 broadcast = 15 of 16
    {{14, 32, 384, 336}, {14, 16, 384, 168}},  // avx512: 14x2 zmm + 2 + 1 = 31 of 32
#endif
};
// clang-format on

// Rows of a task where rows are cut: whole panels, and several tasks for each thread.
constexpr int64_t kGemmTaskRows = 84;
// Columns of B packed at once: 3 MB of float32 at full depth, a fair share of L3.
constexpr int64_t kGemmSharedCols = 2048;
// Fewest columns of a task: packing its A costs 0.3 cycles an element, using it 8 for 128 columns.
constexpr int64_t kGemmMinCols = 128;
// Flops of a task: 150 us on one AVX-512 core of 110 GFLOP/s.
constexpr double kGemmTaskFlops = 16e6;
// Flops of a chunk: 20 us. Smaller tasks are claimed several at a time.
constexpr double kGemmChunkFlops = 2e6;
// Panels of B in a chunk of packing: about 20 us.
constexpr int64_t kGemmPackPanels = 4;

}  // namespace dlx

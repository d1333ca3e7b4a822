// The numbers of GEMM, each with its reason. Nothing else belongs here.
#pragma once
#include "core/cpu_features.h"
#include "core/dtype.h"

namespace dlx {

// (mr, nr): the micro-tile of C held in registers while k runs.
// kc: depth of a packed block, enough to amortise reading and writing C once per block: the (kc,nr)
//     panels of B, 48 KB at most, stream from L2 past an (mr,kc) panel of A, 21 KB at most.
// mc: most rows that a task packs for itself: (mc,kc) fills half of a 1 MB L2.
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

// Flops of a task: 40 to 80 us on one AVX-512 core, so that no thread waits long for the last one.
constexpr double kGemmTaskFlops = 10e6;
// Most rows of a task where rows are cut.
constexpr int64_t kGemmTaskRows = 84;
// Bytes of B that a task reads for each of its panels of A: they stay in an L2 cache of 2 MB.
constexpr int64_t kGemmL2Bytes = 1536 << 10;
// Fewest columns of a task: packing its A costs 0.8 cycles an element, using it 8 for 128 columns.
constexpr int64_t kGemmMinCols = 128;
// Rows of A and columns of B packed at once where tasks share them: with 384 deep, 1.5 and 3 MB of
// float32, a fair share of L3.
constexpr int64_t kGemmSharedRows = 1024, kGemmSharedCols = 2048;
// Flops of a chunk: 10 us. Smaller tasks are claimed several at a time.
constexpr double kGemmChunkFlops = 2e6;
// Panels in a chunk of packing: 5 to 10 us.
constexpr int kGemmStripPanels = 4;

}  // namespace dlx

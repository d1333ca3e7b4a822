// The numbers of GEMM, each with its reason. Nothing else belongs here.
#pragma once
#include "core/cpu_features.h"
#include "core/dtype.h"

namespace dlx {

// (mr, nr): the micro-tile of C held in registers while k runs.
// kc: depth of a packed block, enough to amortise reading and writing C once per block: a (kc,nr)
//     panel of B, 48 KB at most, streams from L2 past an (mr,kc) panel of A, 21 KB at most. For
//     AVX-512's doubles less: both would not fit into L1.
// mc: most rows that a task of a convolution packs for itself: (mc,kc) fills half of a 1 MB L2.
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
    {{14, 32, 384, 336}, {14, 16, 192, 168}},  // avx512: 14x2 zmm + 2 + 1 = 31 of 32
#endif
};
// clang-format on

// bfloat16 on VDPBF16PS: a step of k multiplies pairs, which take the place of floats.
constexpr GemmTiles kPairTiles = {14, 32, 384, 0};

// Steps of a block are a multiple of a cache line's, so that rows are packed in whole lines.
constexpr int64_t kGemmDepthUnit = 16;
// Eighths of a core's L2 cache for the packed B that a task reads for each of its panels of A: A
// and C pass through it, too. Not more than these bytes: L2 may be shared.
constexpr int64_t kGemmL2Eighths = 3, kGemmMostKeptBytes = 768 << 10;
// Most rows and columns of a task: what is packed anew for each task, one element in as many
// multiply-adds, is then little beside them, and what is read of A, (1024, 384) floats, stays near.
constexpr int64_t kGemmMaxRows = 1024, kGemmMaxCols = 2048;
// Fewest columns that are worth a task of their own, which packs A again.
constexpr int64_t kGemmMinCols = 128;
// Flops of a chunk: 10 us. Smaller tasks are claimed several at a time.
constexpr double kGemmChunkFlops = 2e6;

}  // namespace dlx

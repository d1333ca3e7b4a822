// What this machine can do at best, measured: the yardstick beside every figure of speed.
#pragma once
#include <cstdint>

#include "core/cpu_features.h"

namespace dlx {

// On `threads` threads with the instruction set `isa`.
struct MachineLimits {
  double gflops_f32, gflops_f64;  // a multiply-add counts as two
  double gflops_bf16;             // of AMX, VDPBF16PS or float32's, whichever is most
  double copy_gbs;                // bytes read + written by a plain copy far larger than the caches
  int threads;
  Isa isa;
};

MachineLimits measure_machine_limits();  // takes a third of a second
const MachineLimits& machine_limits();   // measured at the first call

// What a core keeps of what it touched: the last cache, at most 64 MiB, for virtual machines may
// report the cache of a whole socket.
int64_t cache_bytes();
// Whether results should go past the caches: an op that touches so many bytes leaves nothing of its
// result in them that is worth what it costs to read the memory which is overwritten.
inline bool pays_to_stream(int64_t bytes_touched) { return bytes_touched > cache_bytes(); }

constexpr int kMostReads = 4, kMostWrites = 3;  // arrays; one at least in all

// GB/s of a loop over `reads` arrays that are read and `writes` others that are written, each of
// array_bytes, time and again: the limit of an op of that access mix and working set, whose result
// is always the same memory. Streaming stores go past the caches and read nothing first. The best
// run of several. std::invalid_argument for other numbers of arrays or no bytes.
double measure_bandwidth(int reads, int writes, int64_t array_bytes, bool streaming);

// machine_limits.kernel.cc. The loops do nothing but multiply-adds in registers, or moves.
constexpr int64_t kTileFlops = 4 * 2 * 16 * 16 * 32;
struct LimitKernels {
  int64_t flops_per_round_f32, flops_per_round_f64;
  void (*fma_f32)(int64_t rounds);
  void (*fma_f64)(int64_t rounds);
  void (*fma_bf16)(int64_t rounds);    // null but on avx512, where has_bf16(): twice f32's flops
  void (*tiles_bf16)(int64_t rounds);  // likewise, where has_amx_bf16(): kTileFlops
  // x: the arrays read, y: those written; bytes of each, % 64 == 0; 64-byte aligned
  using Move = void (*)(const char* const* x, char* const* y, int64_t bytes);
  Move move[2][kMostReads + 1][kMostWrites + 1];  // [streaming][reads][writes]
};
DLX_EACH_ISA(extern const LimitKernels limit_kernels;)

}  // namespace dlx

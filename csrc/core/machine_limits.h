// What this machine can do at best, measured: the yardstick beside every figure of speed.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "core/cpu_features.h"
#include "core/dtype.h"

namespace dlx {

// On `threads` threads with the instruction set `isa`.
struct MachineLimits {
  double gflops_f32, gflops_f64;  // a multiply-add counts as two
  double gflops_bf16;             // of AMX, VDPBF16PS or float32's, whichever is most
  double copy_gbs;                // bytes read + written by a plain copy far larger than the caches
  int threads;
  Isa isa;
};

MachineLimits measure_machine_limits();  // takes half a second
const MachineLimits& machine_limits();   // measured at the first call

// GFLOP/s of multiply-adds in registers: the best run of `flops`, or of a millisecond or two where
// those are less, of as many runs as fit into `seconds`. bfloat16: summed in float32, in the
// fastest way there is. std::invalid_argument for other dtypes.
double measure_gflops(DType, double flops, double seconds);

// What a core keeps of what it touched: the last cache, at most 64 MiB, for virtual machines may
// report the cache of a whole socket.
int64_t cache_bytes();
// What each core keeps for itself: its L2 cache, 1 MiB where that is not known.
int64_t core_cache_bytes();
// Whether results should go past the caches: an op that touches so many bytes leaves nothing of its
// result in them that is worth what it costs to read the memory which is overwritten.
inline bool pays_to_stream(int64_t bytes_touched) { return bytes_touched > cache_bytes(); }
// The same of one pass that comes back to nothing: of half as much again, touched in op after op, a
// cache still holds enough.
inline bool pays_to_stream_a_pass(int64_t bytes_touched) {
  return pays_to_stream(bytes_touched / 3 * 2);
}

constexpr int kMostReads = 4, kMostWrites = 4;  // parts; one at least in all

// What a pass over memory touches, time and again: `reads` parts that are read and `writes` others
// that are written, of part_bytes each.
struct AccessMix {
  int reads, writes;
  int64_t part_bytes;
  bool apart;  // each part is an array; or all reads are one, all writes another, line by line
};

// The limit of an op of that access mix and working set, whose result is always the same memory.
class Bandwidth {
 public:
  explicit Bandwidth(
      const AccessMix&);  // std::invalid_argument for other numbers of parts, no bytes
  // GB/s of the best run, of as many as fit into `seconds` for each way to run: chunks of several
  // sizes with ordinary stores, and where streams with those, too, which go past the caches and
  // read nothing first.
  double measure(double seconds, bool streams = true) const;

 private:
  struct Free {
    void operator()(char* p) const;
  };
  char* part(int k) const;
  AccessMix mix_;
  std::vector<std::unique_ptr<char, Free>> arrays_;
};

// machine_limits.kernel.cc. The loops do nothing but multiply-adds in registers, or moves.
constexpr int64_t kTileFlops = 4 * 2 * 16 * 16 * 32;
struct LimitKernels {
  int64_t flops_per_round_f32, flops_per_round_f64;
  void (*fma_f32)(int64_t rounds);
  void (*fma_f64)(int64_t rounds);
  void (*fma_bf16)(int64_t rounds);    // null but on avx512, where has_bf16(): twice f32's flops
  void (*tiles_bf16)(int64_t rounds);  // likewise, where has_amx_bf16(): kTileFlops
  // x: the parts read, y: those written; `lines` of 64 bytes of each, x_step and y_step lines apart
  using Move = void (*)(const char* const* x, char* const* y, int64_t lines, int64_t x_step,
                        int64_t y_step);
  Move move[2][kMostReads + 1][kMostWrites + 1];  // [streaming][reads][writes]
};
DLX_EACH_ISA(extern const LimitKernels limit_kernels;)

}  // namespace dlx

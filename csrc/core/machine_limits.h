// What this machine can do at best, measured: the yardstick beside every figure of speed.
#pragma once
#include <cstdint>

#include "core/cpu_features.h"

namespace dlx {

// On `threads` threads with the instruction set `isa`.
struct MachineLimits {
  double gflops_f32, gflops_f64;  // a multiply-add counts as two
  double copy_gbs;                // bytes read + written by a plain copy far larger than the caches
  int threads;
  Isa isa;
};

MachineLimits measure_machine_limits();  // takes a third of a second
const MachineLimits& machine_limits();   // measured at the first call

// machine_limits.kernel.cc. The loops do nothing but multiply-adds in registers.
struct LimitKernels {
  int64_t flops_per_round_f32, flops_per_round_f64;
  void (*fma_f32)(int64_t rounds);
  void (*fma_f64)(int64_t rounds);
  void (*copy)(const char* x, char* y, int64_t bytes);  // bytes % 64 == 0, x and y 64-byte aligned
};
DLX_EACH_ISA(extern const LimitKernels limit_kernels;)

}  // namespace dlx

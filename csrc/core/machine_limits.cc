#include "core/machine_limits.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <new>

#include "core/check.h"
#include "core/parallel.h"

namespace dlx {

namespace {

constexpr int64_t kMiB = int64_t{1} << 20;
// Bytes of each array in a chunk: few begin often, many leave a thread waiting for another.
constexpr int64_t kMoveGrains[] = {int64_t{1} << 17, int64_t{1} << 19, int64_t{1} << 21};

// The shortest of several runs: whatever else the machine does can only add time.
template <class F>
double best_seconds(double budget, const F& run) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  const auto seconds = [](auto time) { return std::chrono::duration<double>(time).count(); };
  double best = 1e9;
  do {
    const auto begin = Clock::now();
    run();
    best = std::min(best, seconds(Clock::now() - begin));
  } while (seconds(Clock::now() - start) < budget);
  return best;
}

double gflops(void (*loop)(int64_t), int64_t flops_per_round) {
  const int64_t rounds = 50000, chunks = 4 * num_threads();  // 0.2 to 2 ms a chunk
  const auto run = [&] { parallel_for(chunks, 1, [&](int64_t, int64_t) { loop(rounds); }); };
  return static_cast<double>(chunks * rounds * flops_per_round) / best_seconds(0.1, run) * 1e-9;
}

struct Free {
  void operator()(char* p) const { std::free(p); }
};
using Buffer = std::unique_ptr<char, Free>;

// Of the cache that the first core shares with some others; 0 where it is not known. sysconf() adds
// up those of a whole socket of AMD's.
int64_t last_cache_bytes() {
  std::ifstream file("/sys/devices/system/cpu/cpu0/cache/index3/size");
  int64_t size = 0;
  char unit = 0;
  if (file >> size >> unit && unit == 'K') return size << 10;
  return sysconf(_SC_LEVEL3_CACHE_SIZE);
}

// Not from allocate(): this memory goes back to the system.
Buffer zeros(int64_t bytes) {
  Buffer p(static_cast<char*>(std::aligned_alloc(2 * kMiB, bytes)));
  if (!p) throw std::bad_alloc();
  madvise(p.get(), bytes, MADV_HUGEPAGE);
  parallel_for(bytes, kMiB, [&](int64_t i, int64_t end) { std::memset(p.get() + i, 0, end - i); });
  return p;
}

}  // namespace

int64_t cache_bytes() {
  static const int64_t bytes = [] {
    const int64_t reported = last_cache_bytes();
    return reported > 0 ? std::min(reported, 64 * kMiB) : 32 * kMiB;
  }();
  return bytes;
}

double measure_bandwidth(int reads, int writes, int64_t array_bytes, bool streaming) {
  DLX_CHECK(0 <= reads && reads <= kMostReads && 0 <= writes && writes <= kMostWrites &&
                reads + writes > 0 && array_bytes > 0 && array_bytes < int64_t{1} << 40,
            "measure_bandwidth: expected up to ", kMostReads, " arrays read, up to ", kMostWrites,
            " written and bytes in each, got reads=", reads, " writes=", writes,
            " bytes=", array_bytes);
  const auto move = DLX_SELECT_ISA(limit_kernels).move[streaming][reads][writes];
  const int64_t bytes = (array_bytes + 63) / 64 * 64;
  Buffer buffers[kMostReads + kMostWrites];
  const int64_t padded = (bytes + 2 * kMiB - 1) / (2 * kMiB) * (2 * kMiB);
  for (int k = 0; k < reads + writes; ++k) buffers[k] = zeros(padded);
  double best = 1e9;
  for (const int64_t grain : kMoveGrains) {
    const auto run = [&] {
      parallel_for(bytes, grain, [&](int64_t begin, int64_t end) {
        const char* x[kMostReads];
        char* y[kMostWrites];
        for (int k = 0; k < reads; ++k) x[k] = buffers[k].get() + begin;
        for (int k = 0; k < writes; ++k) y[k] = buffers[reads + k].get() + begin;
        move(x, y, end - begin);
      });
    };
    best = std::min(best, best_seconds(0.05, run));
  }
  return static_cast<double>((reads + writes) * bytes) / best * 1e-9;
}

MachineLimits measure_machine_limits() {
  const LimitKernels& kernels = DLX_SELECT_ISA(limit_kernels);
  const double f32 = gflops(kernels.fma_f32, kernels.flops_per_round_f32);
  const double bf16 = has_bf16() ? gflops(kernels.fma_bf16, 2 * kernels.flops_per_round_f32) : 0;
  const double tiles = has_amx_bf16() ? gflops(kernels.tiles_bf16, kTileFlops) : 0;
  return {f32,
          gflops(kernels.fma_f64, kernels.flops_per_round_f64),
          std::max({f32, bf16, tiles}),
          measure_bandwidth(1, 1, 2 * cache_bytes(), false),
          num_threads(),
          current_isa()};
}

const MachineLimits& machine_limits() {
  static const MachineLimits limits = measure_machine_limits();
  return limits;
}

}  // namespace dlx

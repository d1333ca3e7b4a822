#include "core/machine_limits.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <new>
#include <string>

#include "core/check.h"
#include "core/parallel.h"

namespace dlx {

namespace {

constexpr int64_t kMiB = int64_t{1} << 20;
constexpr int64_t kLine = 64;
// Lines of each part in a chunk: few begin often, many leave a thread waiting for another.
constexpr int64_t kMoveGrains[] = {(int64_t{1} << 17) / kLine, (int64_t{1} << 19) / kLine,
                                   (int64_t{1} << 21) / kLine};

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

// GFLOP/s of the best run of `flops` or a little more.
double best_gflops(void (*loop)(int64_t), int64_t flops_per_round, double flops, double seconds) {
  constexpr int64_t kRounds = 50000;  // 0.2 to 2 ms a chunk
  const auto chunk = static_cast<double>(kRounds * flops_per_round);
  const auto chunks = std::max<int64_t>(4 * num_threads(), std::llround(flops / chunk));
  const auto run = [&] { parallel_for(chunks, 1, [&](int64_t, int64_t) { loop(kRounds); }); };
  return static_cast<double>(chunks) * chunk / best_seconds(seconds, run) * 1e-9;
}

// Of the first core's cache of that level; 0 where it is not known. sysconf() adds up the last ones
// of a whole socket of AMD's.
int64_t first_cache_bytes(int level) {
  std::ifstream file("/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(level) + "/size");
  int64_t size = 0;
  char unit = 0;
  if (file >> size >> unit && unit == 'K') return size << 10;
  return sysconf(level == 2 ? _SC_LEVEL2_CACHE_SIZE : _SC_LEVEL3_CACHE_SIZE);
}

// Numbers in [1, 2): zeros would pass through memory faster, where hardware keeps them apart. Not
// from allocate(): this memory goes back to the system.
char* numbers(int64_t bytes) {
  const int64_t padded = (bytes + 2 * kMiB - 1) / (2 * kMiB) * (2 * kMiB);
  char* p = static_cast<char*>(std::aligned_alloc(2 * kMiB, padded));
  if (!p) throw std::bad_alloc();
  madvise(p, padded, MADV_HUGEPAGE);
  parallel_for(padded / 4, kMiB / 4, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const uint32_t bits = 0x3f800000 | static_cast<uint32_t>(i) * 0x9e3779b1u >> 9;
      std::memcpy(p + 4 * i, &bits, sizeof bits);
    }
  });
  return p;
}

}  // namespace

int64_t cache_bytes() {
  static const int64_t bytes = [] {
    const int64_t reported = first_cache_bytes(3);
    return reported > 0 ? std::min(reported, 64 * kMiB) : 32 * kMiB;
  }();
  return bytes;
}

int64_t core_cache_bytes() {
  static const int64_t bytes = [] {
    const int64_t reported = first_cache_bytes(2);
    return reported > 0 ? reported : kMiB;
  }();
  return bytes;
}

Bandwidth::Bandwidth(const AccessMix& mix) : mix_(mix) {
  const auto& [reads, writes, bytes, apart] = mix;
  DLX_CHECK(0 <= reads && reads <= kMostReads && 0 <= writes && writes <= kMostWrites &&
                reads + writes > 0 && bytes > 0 && bytes < int64_t{1} << 40,
            "Bandwidth: expected up to ", kMostReads, " parts read, up to ", kMostWrites,
            " written and bytes in each, got reads=", reads, " writes=", writes, " bytes=", bytes);
  mix_.part_bytes = (bytes + kLine - 1) / kLine * kLine;
  for (const int parts : {reads, writes})
    for (int k = 0; k < (apart ? parts : parts > 0); ++k)
      arrays_.emplace_back(numbers(mix_.part_bytes * (apart ? 1 : parts)));
}

void Bandwidth::Free::operator()(char* p) const { std::free(p); }

// Part k, those written behind those read.
char* Bandwidth::part(int k) const {
  if (mix_.apart) return arrays_[static_cast<size_t>(k)].get();
  const bool written = k >= mix_.reads;
  char* array = (written ? arrays_.back() : arrays_.front()).get();
  return array + (written ? k - mix_.reads : k) * kLine;
}

double Bandwidth::measure(double seconds, bool streams) const {
  const int reads = mix_.reads, writes = mix_.writes;
  const int64_t lines = mix_.part_bytes / kLine;
  const int64_t x_step = mix_.apart ? 1 : reads, y_step = mix_.apart ? 1 : writes;
  double best = 1e9;
  for (const bool streaming : {false, true}) {
    if (streaming && (writes == 0 || !streams)) continue;
    const auto move = DLX_SELECT_ISA(limit_kernels).move[streaming][reads][writes];
    for (const int64_t grain : kMoveGrains) {
      const auto run = [&] {
        parallel_for(lines, grain, [&](int64_t begin, int64_t end) {
          const char* x[kMostReads];
          char* y[kMostWrites];
          for (int k = 0; k < reads; ++k) x[k] = part(k) + begin * x_step * kLine;
          for (int k = 0; k < writes; ++k) y[k] = part(reads + k) + begin * y_step * kLine;
          move(x, y, end - begin, x_step, y_step);
        });
      };
      run();  // the caches as this way leaves them
      best = std::min(best, best_seconds(seconds, run));
    }
  }
  return static_cast<double>((reads + writes) * mix_.part_bytes) / best * 1e-9;
}

double measure_gflops(DType t, double flops, double seconds) {
  const LimitKernels& kernels = DLX_SELECT_ISA(limit_kernels);
  const auto best = [&](void (*loop)(int64_t), int64_t flops_per_round) {
    return best_gflops(loop, flops_per_round, flops, seconds);
  };
  if (t == DType::float64) return best(kernels.fma_f64, kernels.flops_per_round_f64);
  const double f32 = best(kernels.fma_f32, kernels.flops_per_round_f32);
  if (t == DType::float32) return f32;
  DLX_CHECK(t == DType::bfloat16, "measure_gflops: expected float32, float64 or bfloat16, got ", t);
  const double bf16 = has_bf16() ? best(kernels.fma_bf16, 2 * kernels.flops_per_round_f32) : 0;
  const double tiles = has_amx_bf16() ? best(kernels.tiles_bf16, kTileFlops) : 0;
  return std::max({f32, bf16, tiles});
}

MachineLimits measure_machine_limits() {
  const auto gflops = [](DType t) { return measure_gflops(t, 0, 0.1); };
  return {gflops(DType::float32),  gflops(DType::float64),
          gflops(DType::bfloat16), Bandwidth({1, 1, 2 * cache_bytes(), true}).measure(0.05, false),
          num_threads(),           current_isa()};
}

const MachineLimits& machine_limits() {
  static const MachineLimits limits = measure_machine_limits();
  return limits;
}

}  // namespace dlx

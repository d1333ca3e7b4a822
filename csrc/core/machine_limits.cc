#include "core/machine_limits.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "core/parallel.h"

namespace dlx {

namespace {

constexpr int64_t kMiB = int64_t{1} << 20;

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

// Both buffers together four times the last cache. Virtual machines report the caches of a whole
// socket, while a core reaches 32 MiB or so: hence the upper bound, which also bounds the time that
// the system takes to find the pages.
int64_t copy_bytes() {
  const int64_t cache = sysconf(_SC_LEVEL3_CACHE_SIZE);
  return std::clamp(2 * cache, 32 * kMiB, 64 * kMiB) / kMiB * kMiB;
}

double copy_gbs(void (*copy)(const char*, char*, int64_t)) {
  struct Free {
    void operator()(char* p) const { std::free(p); }
  };
  // Not from allocate(): this memory goes back to the system.
  const int64_t bytes = copy_bytes();
  const auto buffer = [&] {
    std::unique_ptr<char, Free> p(static_cast<char*>(std::aligned_alloc(2 * kMiB, bytes)));
    if (!p) throw std::bad_alloc();
    madvise(p.get(), bytes, MADV_HUGEPAGE);
    parallel_for(bytes, kMiB,
                 [&](int64_t i, int64_t end) { std::memset(p.get() + i, 1, end - i); });
    return p;
  };
  const auto x = buffer(), y = buffer();
  const auto run = [&] {
    parallel_for(bytes, kMiB,
                 [&](int64_t i, int64_t end) { copy(x.get() + i, y.get() + i, end - i); });
  };
  return 2 * static_cast<double>(bytes) / best_seconds(0.1, run) * 1e-9;
}

}  // namespace

MachineLimits measure_machine_limits() {
  const LimitKernels& kernels = DLX_SELECT_ISA(limit_kernels);
  return {gflops(kernels.fma_f32, kernels.flops_per_round_f32),
          gflops(kernels.fma_f64, kernels.flops_per_round_f64), copy_gbs(kernels.copy),
          num_threads(), current_isa()};
}

const MachineLimits& machine_limits() {
  static const MachineLimits limits = measure_machine_limits();
  return limits;
}

}  // namespace dlx

// What threads cost: a cache line handed from core to core and back, and a job with nothing to do.
#include <atomic>
#include <thread>

#include "bench/bench.h"

namespace dlx::bench {
namespace {

// In turns of even and odd numbers. Two threads on one CPU are let out of it by yielding.
void await(const std::atomic<int64_t>& turn, int64_t wanted) {
  for (int spins = 1; turn.load(std::memory_order_acquire) < wanted; ++spins)
    if (spins % 10'000 == 0) std::this_thread::yield();
}

void round_trip(benchmark::State& state) {
  constexpr int64_t kEnd = int64_t{1} << 62;
  alignas(64) std::atomic<int64_t> turn{0};
  std::thread other([&] {
    for (int64_t mine = 1;; mine += 2) {
      await(turn, mine);
      if (turn.load(std::memory_order_relaxed) == kEnd) return;
      turn.store(mine + 1, std::memory_order_release);
    }
  });
  int64_t mine = 0;
  for (auto _ : state) {
    turn.store(mine + 1, std::memory_order_release);
    mine += 2;
    await(turn, mine);
  }
  turn.store(kEnd, std::memory_order_release);
  other.join();
}

void empty_job(benchmark::State& state) {
  const int threads = static_cast<int>(state.range(0));
  set_num_threads(threads);
  for (auto _ : state) parallel_run(threads, 1, [](void*, int64_t, int64_t, int) {}, nullptr);
}

}  // namespace

void add_threads() {
  if (usable_cpus() > 1) benchmark::RegisterBenchmark("threads/round_trip", round_trip);
  add("threads/empty_job", empty_job);
}

}  // namespace dlx::bench

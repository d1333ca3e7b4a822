// The pool behind parallel_run: one job at a time; whoever finds it taken runs its chunks alone.
//
// A thread claims the chunks of its own share, a stretch of the job, and then what others left of
// theirs. So it mostly meets again what it touched in the job before: its core's caches hold that,
// and a last cache gives it back faster than what another core had read.
//
// All state is a static object of atomics without a destructor: at exit there is nothing to tear
// down under sleeping workers, and a forked child makes the pool new with a few stores.
#include "core/parallel.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cassert>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>

#include "core/cpu_features.h"
#include "core/test_hooks.h"

namespace dlx {

namespace hooks {
std::atomic<bool> split_by_threads{false};
std::atomic<bool> disable_parking{false};
std::atomic<bool> disable_fork_handler{false};
int64_t forced_grain = 0;
void set_forced_grain(int64_t grain) { __atomic_store_n(&forced_grain, grain, __ATOMIC_RELAXED); }
}  // namespace hooks

namespace {

// Bridges the gap between two kernels of one step: waking a thread can take 50 us, what Python does
// between two launches about as long.
constexpr std::chrono::microseconds kPatience{200};
// After kSpin a waiting thread offers its core in every turn to whatever else would run there.
// Where something did, the next kShortWaits waits end after kSpin: a thread that sleeps is let in
// sooner than one that yields.
constexpr std::chrono::microseconds kSpin{30};
constexpr int kShortWaits = 100;

struct Job {
  ChunkBody body;
  void* state;
  int64_t n, grain, chunks;
  int shares;                       // share k, k >= 0: chunks [end_of(k - 1), end_of(k))
  std::atomic<int> workers{0};      // threads that claimed a chunk
  std::atomic<bool> failed{false};  // whoever sets it first writes `error`
  std::exception_ptr error = nullptr;

  int64_t end_of(int share) const { return (share + 1) * chunks / shares; }
};

// Of a job's chunks. A claim is one decrement that finds it positive, so a worker that comes late,
// even one that looked during an earlier job, either owns a chunk of the current job or touches
// nothing.
struct alignas(64) Share {
  std::atomic<int64_t> unclaimed{0};
};

struct Pool {
  std::atomic<int> size{0};        // num_threads(); 0: not yet known
  std::atomic<int> started{0};     // workers alive: indices 1..started
  std::atomic<bool> taken{false};  // by a caller, or by set_num_threads
  std::atomic<int> keepers{0};     // of the size
  std::atomic<bool> resizing{false};
  std::atomic<int> short_waits{0};  // to come: others want the cores
  // Valid from a claim to its subtraction from `unfinished`: the caller stays until that is zero.
  Job* job = nullptr;
  std::atomic<int> shares{0};  // of the current job; whoever reads an older number comes again
  alignas(64) std::atomic<int64_t> unfinished{0};
  std::atomic<uint32_t> caller_parked{0};      // futex
  alignas(64) std::atomic<uint32_t> epoch{0};  // futex: counts jobs and changes of size
  std::atomic<int> sleepers{0};
  Share share[kMaxThreads];
};
constinit Pool pool;

thread_local bool inside_body = false;
thread_local int this_worker = 0;
thread_local int last_workers_used = 0;

int default_threads() {
  const char* env = std::getenv("DLX_NUM_THREADS");
  if (!env || !*env) return std::min(usable_cpus(), kMaxThreads);
  const std::string text = env;
  int n = 0;
  const char* end = text.data() + text.size();
  if (std::from_chars(text.data(), end, n).ptr != end || n < 1 || n > kMaxThreads)
    throw std::invalid_argument("DLX_NUM_THREADS: expected 1..256, got '" + text + "'");
  return n;
}

// ---- Waiting ----

void futex_wait(std::atomic<uint32_t>& word, uint32_t seen) {
  syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, seen, nullptr, nullptr, 0);
}

void futex_wake(std::atomic<uint32_t>& word, int threads) {
  syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, threads, nullptr, nullptr, 0);
}

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Waits a little for ready(); true when it came. With more threads than CPUs a spinning thread only
// keeps the one it waits for from running.
template <class F>
bool spin_until(const F& ready) {
  if (ready()) return true;
  using Clock = std::chrono::steady_clock;
  const bool crowded = pool.size.load(std::memory_order_relaxed) > usable_cpus();
  const bool brief = pool.short_waits.load(std::memory_order_relaxed) > 0;
  if (brief) pool.short_waits.fetch_sub(1, std::memory_order_relaxed);
  const Clock::duration patience = crowded ? Clock::duration::zero() : brief ? kSpin : kPatience;
  const auto start = Clock::now();
  for (;;) {
    for (int i = 0; i < 16; ++i) {
      relax();
      if (ready()) return true;
    }
    const auto waited = Clock::now() - start;
    if (waited >= patience && !hooks::disable_parking.load(std::memory_order_relaxed)) return false;
    if (waited < kSpin) continue;
    sched_yield();
    if (Clock::now() - start - waited > kSpin) pool.short_waits.store(kShortWaits);
  }
}

// ---- Working ----

void run_chunk(Job& job, int64_t chunk, int worker) {
  if (job.failed.load(std::memory_order_relaxed)) return;
  try {
    const int64_t begin = chunk * job.grain;
    job.body(job.state, begin, begin + std::min(job.grain, job.n - begin), worker);
  } catch (...) {
    if (!job.failed.exchange(true)) job.error = std::current_exception();
  }
}

// Claims and runs chunks of a share until none is left. Returns how many.
int64_t work_on(int share, int worker, bool first) {
  std::atomic<int64_t>& unclaimed = pool.share[share].unclaimed;
  int64_t done = 0;
  while (unclaimed.load(std::memory_order_relaxed) > 0) {
    const int64_t left = unclaimed.fetch_sub(1, std::memory_order_acquire);
    if (left <= 0) break;
    Job& job = *pool.job;
    if (first && done == 0) job.workers.fetch_add(1, std::memory_order_relaxed);
    ++done;
    run_chunk(job, job.end_of(share) - left, worker);
  }
  return done;
}

// Claims and runs chunks until none is left, those of its own share first. True when there was one.
bool work(int worker) {
  const int shares = pool.shares.load(std::memory_order_relaxed);
  int64_t done = 0;
  for (int i = 0; i < shares; ++i) done += work_on((worker + i) % shares, worker, done == 0);
  // Sequentially consistent, as in await_workers: either it sees `unfinished` at zero, or this
  // thread sees it parked.
  if (done > 0 && pool.unfinished.fetch_sub(done) == done && pool.caller_parked.load() != 0) {
    pool.caller_parked.store(0);
    futex_wake(pool.caller_parked, 1);
  }
  return done > 0;
}

// The caller, once no chunk is unclaimed: waits for the threads that are inside one.
void await_workers() {
  const auto finished = [] { return pool.unfinished.load() == 0; };
  while (!spin_until(finished)) {
    pool.caller_parked.store(1);
    if (!finished()) futex_wait(pool.caller_parked, 1);
  }
  pool.caller_parked.store(0, std::memory_order_relaxed);
}

// Python's signal handlers belong on its own threads; faults stay deliverable, so that faulthandler
// sees them.
void block_signals() {
  sigset_t set;
  sigfillset(&set);
  for (int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP}) sigdelset(&set, fault);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

void worker_main(int index) {
  block_signals();
  inside_body = true;
  this_worker = index;
  bool worked = false;
  for (;;) {
    const uint32_t seen = pool.epoch.load();
    if (index >= pool.size.load(std::memory_order_relaxed)) break;
    worked |= work(index);
    // A worker that came too late to get a chunk sleeps again at once: on a busy machine others
    // need its core.
    const auto changed = [&] { return pool.epoch.load() != seen; };
    if ((worked || hooks::disable_parking) && spin_until(changed)) continue;
    pool.sleepers.fetch_add(1);
    futex_wait(pool.epoch, seen);
    pool.sleepers.fetch_sub(1);
    worked = false;
  }
  pool.started.fetch_sub(1);
}

// Workers start when there is first something for them to do. Fewer than asked for, where the
// system has no more, is no error: the caller takes what nobody claims.
void start_workers(int wanted) {
  for (int index = pool.started.load() + 1; index <= wanted; ++index) {
    pool.started.fetch_add(1);
    try {
      std::thread(worker_main, index).detach();
    } catch (const std::exception&) {
      pool.started.fetch_sub(1);
      return;
    }
  }
}

void announce(int threads) {
  pool.epoch.fetch_add(1);
  if (pool.sleepers.load() > 0) futex_wake(pool.epoch, threads);
}

bool try_take_pool() { return !pool.taken.exchange(true, std::memory_order_acquire); }

// In a forked child only the forking thread lives on. Whatever another thread was doing with the
// pool is forgotten.
void reset_in_child() {
  if (hooks::disable_fork_handler) return;
  pool.started = 0;
  pool.shares = 0;
  for (Share& share : pool.share) share.unclaimed = 0;
  pool.unfinished = 0;
  pool.caller_parked = 0;
  pool.sleepers = 0;
  pool.keepers = 0;
  pool.resizing = false;
  pool.taken = false;
}
[[maybe_unused]] const int fork_handler = pthread_atfork(nullptr, nullptr, reset_in_child);

}  // namespace

int hooks::workers_used() { return last_workers_used; }
int hooks::workers_asleep() { return pool.sleepers.load(); }

int num_threads() {
  int n = pool.size.load(std::memory_order_relaxed);
  if (n == 0 && pool.size.compare_exchange_strong(n, default_threads())) n = pool.size.load();
  return n;
}

void set_num_threads(int n) {
  if (n < 1 || n > kMaxThreads)
    throw std::invalid_argument("set_num_threads: expected 1..256, got " + std::to_string(n));
  if (inside_body) throw std::logic_error("set_num_threads: called inside a parallel body");
  while (!try_take_pool()) sched_yield();
  pool.resizing = true;
  while (pool.keepers.load() > 0) sched_yield();
  pool.size = n;
  announce(kMaxThreads);
  while (pool.started.load() > n - 1) sched_yield();  // then their indices are free again
  pool.resizing = false;
  pool.taken.store(false, std::memory_order_release);
}

KeepThreads::KeepThreads() {
  while (pool.keepers.fetch_add(1), pool.resizing.load()) {
    pool.keepers.fetch_sub(1);
    while (pool.resizing.load()) sched_yield();
  }
}

KeepThreads::~KeepThreads() { pool.keepers.fetch_sub(1); }

void parallel_run(int64_t n, int64_t grain, ChunkBody body, void* state) {
  assert(grain > 0);
  if (n <= 0) return;
  if (hooks::split_by_threads.load(std::memory_order_relaxed))
    grain = (n + num_threads() - 1) / num_threads();
  if (n <= grain) {
    body(state, 0, n, this_worker);
    last_workers_used = 1;
    return;
  }
  if (inside_body || num_threads() == 1 || !try_take_pool()) {
    for (int64_t begin = 0; begin < n; begin += std::min(grain, n - begin))
      body(state, begin, begin + std::min(grain, n - begin), this_worker);
    last_workers_used = 1;
    return;
  }
  const int64_t chunks = (n - 1) / grain + 1;
  const int shares = static_cast<int>(std::min<int64_t>(num_threads(), chunks));
  const int helpers = shares - 1;
  Job job{body, state, n, grain, chunks, shares};
  start_workers(helpers);
  pool.job = &job;
  pool.unfinished.store(job.chunks, std::memory_order_relaxed);
  pool.shares.store(shares, std::memory_order_relaxed);
  for (int k = 0; k < shares; ++k)
    pool.share[k].unclaimed.store(job.end_of(k) - job.end_of(k - 1), std::memory_order_release);
  announce(helpers);
  inside_body = true;
  work(0);
  inside_body = false;
  await_workers();
  last_workers_used = job.workers.load(std::memory_order_relaxed);
  pool.taken.store(false, std::memory_order_release);
  if (job.error) std::rethrow_exception(job.error);
}

}  // namespace dlx

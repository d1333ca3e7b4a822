// Our own thread pool. The same numbers on 1, 2 or 64 threads: [0, n) is cut into chunks of `grain`
// items, by the caller, from shapes alone where results depend on it. Each thread claims those of
// its own stretch in order, then what is left of the others'; the caller works too and never waits
// for a chunk nobody started.
#pragma once
#include <cstdint>

namespace dlx {

constexpr int kMaxThreads = 256;

// body(state, begin, end, worker): one chunk, 0 <= worker < num_threads(). A plain function
// pointer, so that kernel files of any instruction set may call it.
//
// Serially, with the same chunks in order: on one thread, inside another body, and while another
// thread has the pool. `worker` is 0 on the calling thread; inside another body it is that body's
// worker. The first exception thrown by a body is rethrown here, and chunks not yet begun are
// dropped. A child forked inside a body may only exec or _exit.
using ChunkBody = void (*)(void* state, int64_t begin, int64_t end, int worker);
void parallel_run(int64_t n, int64_t grain, ChunkBody body, void* state);

// DLX_NUM_THREADS, or else the CPUs this process may use (affinity, cgroup quota rounded up), at
// most 256.
int num_threads();
// 1..256, really n threads even on fewer cores; std::invalid_argument otherwise, std::logic_error
// inside a body. Waits for a parallel_run in progress, and for every KeepThreads.
void set_num_threads(int n);

// While one lives num_threads() stays as it is: for scratch sized by it.
class KeepThreads {
 public:
  KeepThreads();
  ~KeepThreads();
  KeepThreads(const KeepThreads&) = delete;
};

namespace hooks {
extern int64_t forced_grain;  // core/test_hooks.h
}

// The grain for work whose result does not depend on the chunking: tests can force several chunks
// on small inputs.
[[gnu::always_inline]] inline int64_t effective_grain(int64_t grain) {
  const int64_t forced = __atomic_load_n(&hooks::forced_grain, __ATOMIC_RELAXED);
  return forced > 0 && forced < grain ? forced : grain;
}

// The grain of a pass over memory whose result does not depend on the chunking. To claim a chunk is
// to wait until all that was stored before has arrived in a cache or in memory, so chunks have up
// to `most` items, where that leaves kPieces to every thread to even out what others use of the
// cores.
inline int64_t long_grain(int64_t n, int64_t least, int64_t most) {
  constexpr int64_t kPieces = 8;
  const int64_t even = n / (kPieces * num_threads());
  return effective_grain(even < least ? least : even > most ? most : even);
}

// parallel_for(n, grain, [&](int64_t begin, int64_t end) { ... }): for files compiled once.
template <class F>
void parallel_for(int64_t n, int64_t grain, const F& body) {
  parallel_run(
      n, grain,
      [](void* f, int64_t begin, int64_t end, int) { (*static_cast<const F*>(f))(begin, end); },
      const_cast<void*>(static_cast<const void*>(&body)));
}

}  // namespace dlx

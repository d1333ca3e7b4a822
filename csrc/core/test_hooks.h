// Levers for tests only: each breaks one promise of the thread pool or the allocator, so that the
// test of that promise can be seen to fail, or makes visible what the promise rests on. Nothing in
// dlx sets them.
#pragma once
#include <atomic>
#include <cstdint>

namespace dlx::hooks {

// parallel_run cuts [0, n) into num_threads() chunks instead of chunks of `grain`, and gemm its
// sums into num_threads() blocks at least: results depend on the thread count.
extern std::atomic<bool> split_by_threads;
// Threads without work spin for ever instead of parking, in the way of whatever else runs there.
extern std::atomic<bool> disable_parking;
// A forked child believes that its parent's workers still exist: it runs everything on one thread.
extern std::atomic<bool> disable_fork_handler;
// release() drops the block: neither free, nor reused, and counted as live for ever.
extern std::atomic<bool> disable_free_list;

// empty() fills new memory with 0xFF bytes, NaN in every floating dtype, and puts 64 guard bytes
// behind it: core/guarded.h.
extern std::atomic<bool> poison_outputs;

// Upper bound for effective_grain(), 0 = none: several chunks even for small inputs. A plain
// integer read by __atomic_load_n, because kernel files must not pull in inline functions that are
// shared between instruction sets.
extern int64_t forced_grain;
void set_forced_grain(int64_t grain);

// Distinct threads that ran at least one chunk of this thread's latest completed parallel_run.
int workers_used();
// Workers that wait for work in the kernel of the system.
int workers_asleep();

}  // namespace dlx::hooks

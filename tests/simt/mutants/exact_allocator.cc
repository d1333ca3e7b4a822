// Device memory without classes and without a cache, in place of cuda/core/allocator.cc: every
// array begins as NaN, ends where it ends, and the emulator watches what stands behind it.
#include <exception>
#include <map>
#include <mutex>
#include <utility>

#include "cuda/core/allocator.h"
#include "cuda/core/runtime.h"

namespace dlx::cuda {
namespace {

std::mutex mutex;
std::map<void*, int64_t> live;
MemoryStats stats{};
std::exception_ptr pending;  // what a kernel did, seen where nobody may throw

}  // namespace

void* device_allocate(Context& c, int64_t bytes, const Array*) {
  const std::lock_guard lock(mutex);
  if (pending) std::rethrow_exception(std::exchange(pending, nullptr));
  set_device(c.device);
  const int64_t size = bytes > 0 ? bytes : 1;
  void* block = device_malloc(size);
  if (!block) throw CudaError("out of emulated memory");
  live[block] = size;
  ++stats.allocations;
  stats.live_bytes += size;
  return block;
}

void device_release(int, void* block, const std::vector<Context*>& users) {
  const std::lock_guard lock(mutex);
  try {
    for (const Context* user : users) synchronize(user->stream);
    stats.live_bytes -= live.at(block);
    live.erase(block);
    device_free(block);
  } catch (...) {
    if (!pending) pending = std::current_exception();
  }
}

MemoryStats device_memory_stats(int) { return stats; }
void reset_device_peak(int) {}
void empty_device_cache(int) {}

}  // namespace dlx::cuda

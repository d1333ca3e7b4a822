#include "cuda/core/allocator.h"

#include <algorithm>
#include <bit>
#include <map>
#include <mutex>
#include <vector>

#include "core/check.h"
#include "cuda/core/context.h"

namespace dlx::cuda {
namespace {

constexpr int64_t kGranule = 512;
constexpr int kMostNamed = 5;

// Sizes come in classes, four a power of two, so that blocks of nearly one size serve each other.
int64_t class_bytes(int64_t bytes) {
  const int64_t granules = std::max<int64_t>((bytes + kGranule - 1) / kGranule, 1);
  const int shift =
      std::max(static_cast<int>(std::bit_width(static_cast<uint64_t>(granules - 1))) - 3, 0);
  return ((granules + (int64_t{1} << shift) - 1) >> shift << shift) * kGranule;
}

struct Pool {
  std::mutex mutex;
  std::map<int64_t, std::vector<void*>> free;  // by class
  std::map<void*, int64_t> live;               // bytes of the class
  MemoryStats stats{};
};

Pool& pool_of(int device) {
  static Pool pools[128];  // as many as an index of a Device can name
  return pools[device];
}

void give_back(Pool& pool) {
  for (auto& [bytes, blocks] : pool.free)
    for (void* block : blocks) device_free(block), pool.stats.cached_bytes -= bytes;
  pool.free.clear();
}

std::string largest_blocks(const Pool& pool) {
  std::vector<int64_t> sizes;
  for (const auto& [block, bytes] : pool.live) sizes.push_back(bytes);
  std::sort(sizes.rbegin(), sizes.rend());
  std::string text;
  for (size_t i = 0; i < sizes.size() && i < kMostNamed; ++i)
    text += (i ? ", " : "") + std::to_string(sizes[i] >> 20) + " MiB";
  return text.empty() ? "none" : text;
}

}  // namespace

void* device_allocate(int device, int64_t bytes) {
  Pool& pool = pool_of(device);
  const std::lock_guard lock(pool.mutex);
  const int64_t size = class_bytes(bytes);
  void* block = nullptr;
  if (auto& kept = pool.free[size]; !kept.empty()) {
    block = kept.back();
    kept.pop_back();
    pool.stats.cached_bytes -= size;
    ++pool.stats.cache_hits;
  } else {
    set_device(device);
    block = device_malloc(size);
    if (!block) {
      give_back(pool);
      block = device_malloc(size);
    }
    DLX_CHECK_AS(OutOfMemory, block, "out of memory on cuda:", device, ": asked for ", bytes,
                 " bytes, ", memory_info().free, " of ", memory_info().total,
                 " are free; the largest arrays alive: ", largest_blocks(pool));
  }
  pool.live[block] = size;
  ++pool.stats.allocations;
  pool.stats.live_bytes += size;
  pool.stats.peak_bytes = std::max(pool.stats.peak_bytes, pool.stats.live_bytes);
  return block;
}

void device_release(int device, void* block, int64_t) {
  Pool& pool = pool_of(device);
  const std::lock_guard lock(pool.mutex);
  const auto at = pool.live.find(block);
  pool.free[at->second].push_back(block);
  pool.stats.live_bytes -= at->second;
  pool.stats.cached_bytes += at->second;
  pool.live.erase(at);
}

MemoryStats device_memory_stats(int device) {
  Pool& pool = pool_of(device);
  const std::lock_guard lock(pool.mutex);
  return pool.stats;
}

void reset_device_peak(int device) {
  Pool& pool = pool_of(device);
  const std::lock_guard lock(pool.mutex);
  pool.stats.peak_bytes = pool.stats.live_bytes;
}

void empty_device_cache(int device) {
  Pool& pool = pool_of(device);
  const std::lock_guard lock(pool.mutex);
  set_device(device);
  give_back(pool);
}

}  // namespace dlx::cuda

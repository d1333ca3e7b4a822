#include "core/allocator.h"

#include <pthread.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <mutex>
#include <new>

#include "core/cached_memory.h"
#include "core/test_hooks.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(block, bytes)
#define ASAN_UNPOISON_MEMORY_REGION(block, bytes)
#endif

namespace dlx {

std::atomic<bool> hooks::disable_free_list{false};

namespace {

constexpr int64_t kHugePage = int64_t{2} << 20;   // from here on blocks are our own mappings
constexpr int64_t kRegional = int64_t{64} << 10;  // from here on to there they lie side by side
constexpr int64_t kRegion = int64_t{32} << 20;    // bytes of addresses for those
constexpr int64_t kMaxBytes = int64_t{1} << 48;   // more than an address space; keeps sums in range
constexpr int64_t kSlack = int64_t{64} << 20;     // cached memory not worth giving back

// ---- Size classes: 64, 128, 192, 256, then four per power of two: 320, 384, 448, 512, 640, ...
// ----

constexpr int class_of(int64_t bytes) {
  const uint64_t units = bytes <= kAlignment ? 1 : (bytes + kAlignment - 1) / kAlignment;
  if (units <= 4) return static_cast<int>(units) - 1;
  const int shift = std::bit_width(units - 1) - 3;  // units - 1 = 1xy... : quarters of 4 << shift
  return 4 * shift + static_cast<int>((units - 1) >> shift);
}

constexpr int64_t class_bytes(int size_class) {
  if (size_class < 4) return kAlignment * (size_class + 1);
  const int shift = (size_class - 4) / 4;
  return kAlignment * (int64_t{size_class - 4 * shift + 1} << shift);
}

constexpr int kClasses = class_of(kMaxBytes) + 1;

constexpr bool classes_fit() {
  for (int c = 0; c + 1 < kClasses; ++c) {
    const int64_t here = class_bytes(c), next = class_bytes(c + 1);
    if (class_of(here) != c || class_of(here + 1) != c + 1) return false;
    if (here >= 4 * kAlignment && 4 * (next - here) > here) return false;
  }
  return true;
}
static_assert(classes_fit());

// ---- Blocks from the system ----

// Huge pages cut page faults and TLB misses 512-fold; the kernel gives them to aligned ranges only.
void* map_huge(int64_t bytes, int64_t alignment = kHugePage) {
  const int64_t mapped = bytes + alignment;
  void* p = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return nullptr;
  char* const start = static_cast<char*>(p);
  const int64_t before = -reinterpret_cast<uintptr_t>(start) & (alignment - 1);
  if (before > 0) munmap(start, before);
  munmap(start + before + bytes, alignment - before);
  madvise(start + before, bytes, MADV_HUGEPAGE);  // a wish; fails where the kernel has none
  return start + before;
}

// Blocks smaller than a huge page share some: the first step of a training touches its memory in
// a few page faults instead of thousands. A region lies at a multiple of kRegion, this is its head.
struct Region {
  int64_t used;    // bytes from its start; the rest is untouched
  int64_t blocks;  // that the system has not got back
};
constexpr int64_t kRegionHead = 4096;  // keeps blocks on page borders
constinit Region* newest_region = nullptr;

void* from_region(int64_t bytes) {
  if (!newest_region || newest_region->used + bytes > kRegion) {
    void* region = map_huge(kRegion, kRegion);
    if (!region) return nullptr;
    newest_region = new (region) Region{kRegionHead, 0};
  }
  char* const block = reinterpret_cast<char*>(newest_region) + newest_region->used;
  newest_region->used += bytes;
  ++newest_region->blocks;
  return block;
}

// Memory goes back at once, addresses with the last block of their region.
void to_region(void* block, int64_t bytes) {
  madvise(block, bytes, MADV_DONTNEED);
  const uintptr_t start = reinterpret_cast<uintptr_t>(block) & ~static_cast<uintptr_t>(kRegion - 1);
  auto* const region = reinterpret_cast<Region*>(start);
  if (--region->blocks > 0) return;
  if (region == newest_region)
    region->used = kRegionHead;
  else
    munmap(region, kRegion);
}

void* from_system(int64_t bytes) {
  if (bytes >= kHugePage) return map_huge(bytes);
  return bytes >= kRegional ? from_region(bytes) : std::aligned_alloc(kAlignment, bytes);
}

void to_system(void* block, int64_t bytes) {
  ASAN_UNPOISON_MEMORY_REGION(block, bytes);  // its addresses may come back as other memory
  if (bytes >= kHugePage)
    munmap(block, bytes);
  else if (bytes >= kRegional)
    to_region(block, bytes);
  else
    std::free(block);
}

// ---- The cache ----

struct FreeBlock {
  FreeBlock* next;  // in the first bytes of the block itself
};

struct Cache {
  std::mutex mutex;
  std::array<FreeBlock*, kClasses> free{};
  std::array<int64_t, kClasses> last_used{};  // value of stats.allocations
  MemoryStats stats{};
  int64_t all_time_peak = 0;  // of live_bytes; reset_peak() leaves it alone

  void* pop(int size_class) {
    FreeBlock* block = free[size_class];
    if (!block) return nullptr;
    ASAN_UNPOISON_MEMORY_REGION(block, sizeof *block);
    free[size_class] = block->next;
    stats.cached_bytes -= class_bytes(size_class);
    return block;
  }

  // Gives back the classes longest unused until at most `keep` bytes are cached.
  void trim(int64_t keep) {
    while (stats.cached_bytes > keep) {
      int oldest = -1;
      for (int c = 0; c < kClasses; ++c)
        if (free[c] && (oldest < 0 || last_used[c] < last_used[oldest])) oldest = c;
      while (stats.cached_bytes > keep && free[oldest]) {
        void* block = pop(oldest);
        to_system(block, class_bytes(oldest));
      }
    }
  }
};
constinit Cache cache;

// Live and cached memory together stay below twice the most that was ever live at once: size
// classes that peak at different times of a step fit, while the leftovers of past batch sizes go.
// Checked only when a request misses the cache, so a steady loop, which has no misses, never trims.
void* from_system_within_bound(int64_t bytes) {
  const int64_t live = cache.stats.live_bytes + bytes;
  cache.trim(2 * std::max(live, cache.all_time_peak) + kSlack - live);
  if (void* block = from_system(bytes)) return block;
  cache.trim(0);
  return from_system(bytes);
}

[[noreturn]] void fail(int64_t bytes, const MemoryStats& stats) {
  throw OutOfMemory("allocate: no memory for " + std::to_string(bytes) +
                    " bytes; live_bytes=" + std::to_string(stats.live_bytes) +
                    " cached_bytes=" + std::to_string(stats.cached_bytes));
}

// A child forked while another thread holds the mutex would wait for it for ever.
[[maybe_unused]] const int fork_handler = pthread_atfork(
    [] { cache.mutex.lock(); }, [] { cache.mutex.unlock(); }, [] { cache.mutex.unlock(); });

#if defined(__SANITIZE_ADDRESS__)
// The leak checker does not follow the links inside poisoned blocks.
struct EmptyAtExit {
  ~EmptyAtExit() { empty_cache(); }
} empty_at_exit;
#endif

}  // namespace

void* allocate(int64_t bytes) {
  if (bytes < 0 || bytes > kMaxBytes) fail(bytes, memory_stats());
  const int size_class = class_of(bytes);
  const int64_t block_bytes = class_bytes(size_class);
  const std::lock_guard lock(cache.mutex);
  MemoryStats& stats = cache.stats;
  cache.last_used[size_class] = ++stats.allocations;
  void* block = cache.pop(size_class);
  if (block)
    ++stats.cache_hits;
  else if (!(block = from_system_within_bound(block_bytes)))
    fail(bytes, stats);
  stats.live_bytes += block_bytes;
  stats.peak_bytes = std::max(stats.peak_bytes, stats.live_bytes);
  cache.all_time_peak = std::max(cache.all_time_peak, stats.live_bytes);
  // Only what was asked for: the sanitizer also sees a kernel that runs over into the rounding.
  ASAN_POISON_MEMORY_REGION(block, block_bytes);
  ASAN_UNPOISON_MEMORY_REGION(block, bytes);
  return block;
}

void release(void* block, int64_t bytes) noexcept {
  if (!block || hooks::disable_free_list.load(std::memory_order_relaxed)) return;
  const int size_class = class_of(bytes);
  const int64_t block_bytes = class_bytes(size_class);
  FreeBlock* const freed = static_cast<FreeBlock*>(block);
  ASAN_UNPOISON_MEMORY_REGION(freed, sizeof *freed);
  const std::lock_guard lock(cache.mutex);
  freed->next = cache.free[size_class];
  cache.free[size_class] = freed;
  ASAN_POISON_MEMORY_REGION(freed, block_bytes);
  cache.stats.live_bytes -= block_bytes;
  cache.stats.cached_bytes += block_bytes;
}

MemoryStats memory_stats() {
  const std::lock_guard lock(cache.mutex);
  return cache.stats;
}

void reset_peak() {
  const std::lock_guard lock(cache.mutex);
  cache.stats.peak_bytes = cache.stats.live_bytes;
}

void empty_cache() {
  const std::lock_guard lock(cache.mutex);
  cache.trim(0);
}

void give_back_cached(int64_t bytes) {
  const std::lock_guard lock(cache.mutex);
  cache.trim(std::max<int64_t>(cache.stats.cached_bytes - bytes, 0));
}

}  // namespace dlx

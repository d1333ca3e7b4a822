// The caching allocator for host memory: a released block waits for the next request of its size,
// so that a training step after the first neither enters the kernel nor touches fresh pages.
#pragma once
#include <cstdint>
#include <new>
#include <string>
#include <utility>

namespace dlx {

constexpr int64_t kAlignment = 64;  // of every block: a cache line, a zmm register

class OutOfMemory : public std::bad_alloc {
 public:
  explicit OutOfMemory(std::string message) : message_(std::move(message)) {}
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  std::string message_;
};

// Never null, 0 bytes included; the content is undefined. Throws OutOfMemory after having given
// the cache back to the system in vain.
void* allocate(int64_t bytes);
// `bytes` as asked of allocate(). Null is ignored.
void release(void* block, int64_t bytes) noexcept;

// Bytes are those of blocks: a request rounded up to a multiple of 64, from 256 on by less than a
// quarter.
struct MemoryStats {
  int64_t live_bytes;    // allocated and not released
  int64_t peak_bytes;    // the largest live_bytes since the start or reset_peak()
  int64_t cached_bytes;  // released, kept for reuse
  int64_t allocations;   // calls of allocate()
  int64_t cache_hits;    // those served by a kept block
};
MemoryStats memory_stats();
void reset_peak();   // peak_bytes = live_bytes
void empty_cache();  // gives all kept blocks back to the system

}  // namespace dlx

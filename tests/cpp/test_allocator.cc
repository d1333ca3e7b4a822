// The promises of core/allocator.h: alignment, reuse, statistics, bounds, threads, fork.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/allocator.h"
#include "core/cached_memory.h"
#include "core/test_hooks.h"

using namespace dlx;

#define EXPECT(condition)                                                   \
  do {                                                                      \
    if (!(condition)) {                                                     \
      std::printf("%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
      std::exit(1);                                                         \
    }                                                                       \
  } while (0)

constexpr int64_t kMiB = int64_t{1} << 20;

void test_any_size_is_aligned_and_writable() {
  std::vector<std::pair<char*, int64_t>> blocks;
  for (int64_t bytes : {0, 1, 63, 64, 65, 255, 256, 257, 320, 321, 1000, 4096, 100000})
    for (int64_t extra : {int64_t{0}, 2 * kMiB - 1000, 5 * kMiB})
      blocks.emplace_back(static_cast<char*>(allocate(bytes + extra)), bytes + extra);
  for (size_t i = 0; i < blocks.size(); ++i) {
    const auto [p, bytes] = blocks[i];
    EXPECT(p && reinterpret_cast<uintptr_t>(p) % kAlignment == 0);
    if (bytes >= 2 * kMiB) EXPECT(reinterpret_cast<uintptr_t>(p) % (2 * kMiB) == 0);
    std::memset(p, static_cast<int>(i), bytes);
  }
  for (size_t i = 0; i < blocks.size(); ++i) {  // nobody wrote into another's block
    const auto [p, bytes] = blocks[i];
    for (int64_t b = 0; b < bytes; b += 61) EXPECT(p[b] == static_cast<char>(i));
    if (bytes > 0) EXPECT(p[bytes - 1] == static_cast<char>(i));
    release(p, bytes);
  }
  EXPECT(memory_stats().live_bytes == 0);
}

void test_rounding_wastes_less_than_a_quarter() {
  for (int64_t bytes = 256; bytes < 3 * kMiB; bytes += 1 + bytes / 37) {
    void* p = allocate(bytes);
    const int64_t block = memory_stats().live_bytes;
    EXPECT(block >= bytes && 4 * (block - bytes) < bytes);
    release(p, bytes);
  }
}

void test_blocks_are_reused() {
  empty_cache();
  EXPECT(memory_stats().cached_bytes == 0);
  for (int64_t bytes : {int64_t{100}, 70000 * int64_t{1}, 8 * kMiB}) {
    void* first = allocate(bytes);
    const MemoryStats before = memory_stats();
    release(first, bytes);
    EXPECT(memory_stats().cached_bytes == before.cached_bytes + before.live_bytes);
    EXPECT(allocate(bytes) == first);
    const MemoryStats after = memory_stats();
    EXPECT(after.cache_hits == before.cache_hits + 1);
    EXPECT(after.allocations == before.allocations + 1);
    EXPECT(after.live_bytes == before.live_bytes && after.cached_bytes == before.cached_bytes);
    release(first, bytes);
  }
  release(nullptr, 5);
}

int64_t resident_bytes() {
  long pages = 0, resident = 0;
  FILE* statm = std::fopen("/proc/self/statm", "r");
  EXPECT(statm && std::fscanf(statm, "%ld %ld", &pages, &resident) == 2);
  std::fclose(statm);
  return resident * sysconf(_SC_PAGESIZE);
}

// Blocks that share pages go back one by one, and their addresses come again.
void test_small_blocks_go_back_to_the_system() {
  constexpr int64_t kBytes = 320 << 10;
  empty_cache();
  const int64_t before = resident_bytes();
  std::vector<char*> blocks;
  for (int i = 0; i < 400; ++i) {
    blocks.push_back(static_cast<char*>(allocate(kBytes)));
    std::memset(blocks.back(), i, kBytes);
  }
  for (int i = 0; i < 400; ++i) EXPECT(blocks[i][0] == static_cast<char>(i));
  EXPECT(resident_bytes() - before >= 400 * kBytes);
  for (int i = 0; i < 400; ++i)
    if (i % 100) release(blocks[i], kBytes);  // none of 4 regions is empty
  empty_cache();
  EXPECT(resident_bytes() - before < 40 * kBytes);
  for (int i = 0; i < 400; i += 100) {
    EXPECT(blocks[i][kBytes - 1] == static_cast<char>(i));
    release(blocks[i], kBytes);
  }
  empty_cache();
  EXPECT(resident_bytes() - before < 10 * kBytes);
}

void test_peak() {
  reset_peak();
  const int64_t base = memory_stats().live_bytes;
  void* a = allocate(4 * kMiB);
  void* b = allocate(8 * kMiB);
  release(a, 4 * kMiB);
  EXPECT(memory_stats().live_bytes == base + 8 * kMiB);
  EXPECT(memory_stats().peak_bytes == base + 12 * kMiB);
  reset_peak();
  EXPECT(memory_stats().peak_bytes == base + 8 * kMiB);
  release(b, 8 * kMiB);
}

void test_cached_memory_goes_back_in_part() {
  empty_cache();
  void* blocks[] = {allocate(4 * kMiB), allocate(8 * kMiB)};
  release(blocks[0], 4 * kMiB);
  release(blocks[1], 8 * kMiB);
  give_back_cached(3 * kMiB);  // that of the class that was unused for longer
  EXPECT(memory_stats().cached_bytes == 8 * kMiB);
  give_back_cached(100 * kMiB);
  EXPECT(memory_stats().cached_bytes == 0);
}

// A step that ends with all memory released leaves as much memory in use as it found.
bool steps_leak() {
  const auto step = [] {
    for (int64_t bytes : {100, 5000, 300000}) release(allocate(bytes), bytes);
    const MemoryStats stats = memory_stats();
    return stats.live_bytes + stats.cached_bytes;
  };
  const int64_t first = step();
  for (int i = 0; i < 10; ++i) step();
  return step() != first;
}

void test_no_leak() {
  EXPECT(!steps_leak());
#ifndef __SANITIZE_ADDRESS__  // which would report the leak
  hooks::disable_free_list = true;
  EXPECT(steps_leak());
  hooks::disable_free_list = false;
#endif
}

// A hundred batch sizes after one another do not leave a hundred sets of blocks behind.
void test_cached_memory_is_bounded() {
  empty_cache();
  const int64_t held_before = memory_stats().live_bytes;
  for (int64_t bytes = 128 * kMiB; bytes < 2000 * kMiB; bytes += bytes / 4) {
    release(allocate(bytes), bytes);  // untouched, so that the test needs no such memory
    const MemoryStats stats = memory_stats();
    EXPECT(stats.live_bytes + stats.cached_bytes - held_before <= 2 * bytes * 5 / 4 + 64 * kMiB);
  }
  empty_cache();
}

std::string out_of_memory(int64_t bytes) {
  try {
    release(allocate(bytes), bytes);
  } catch (const OutOfMemory& error) {
    return error.what();
  }
  return "";
}

void test_out_of_memory_says_how_much() {
  for (int64_t bytes : {int64_t{-1}, int64_t{1} << 47, INT64_MAX}) {
    const std::string message = out_of_memory(bytes);
    EXPECT(message.find(std::to_string(bytes)) != message.npos);
    EXPECT(message.find("live_bytes=") != message.npos);
    EXPECT(message.find("cached_bytes=") != message.npos);
  }
}

template <class F>
bool true_in_child(const F& body) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(5);
    _exit(body() ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // they need address space
void test_cache_is_emptied_before_giving_up() {
  EXPECT(true_in_child([] {
    empty_cache();
    const rlimit limit{512 * kMiB, 512 * kMiB};
    if (setrlimit(RLIMIT_AS, &limit) != 0) return false;
    release(allocate(256 * kMiB), 256 * kMiB);
    if (memory_stats().cached_bytes != 256 * kMiB) return false;
    return out_of_memory(320 * kMiB) == "" && out_of_memory(640 * kMiB) != "";
  }));
}
#endif

void test_threads() {
  const int64_t live = memory_stats().live_bytes;
  std::atomic<bool> intact{true};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([t, &intact] {
      uint32_t random = t + 1;
      std::vector<std::pair<unsigned char*, int64_t>> mine;
      for (int i = 0; i < 20000; ++i) {
        random = random * 1664525 + 1013904223;
        if (mine.size() < 50 && random >> 31) {
          const int64_t bytes = 8 + (random >> 8) % 4000;
          mine.emplace_back(static_cast<unsigned char*>(allocate(bytes)), bytes);
          mine.back().first[0] = mine.back().first[bytes - 1] = static_cast<unsigned char>(t);
        } else if (!mine.empty()) {
          const auto [p, bytes] = mine.back();
          mine.pop_back();
          if (p[0] != t || p[bytes - 1] != t) intact = false;
          release(p, bytes);
        }
      }
      for (const auto& [p, bytes] : mine) release(p, bytes);
    });
  for (auto& thread : threads) thread.join();
  EXPECT(intact && memory_stats().live_bytes == live);
}

#ifndef __SANITIZE_THREAD__
void test_fork_while_busy() {
  std::atomic<bool> stop{false};
  std::thread busy([&] {
    while (!stop) release(allocate(100), 100);
  });
  for (int i = 0; i < 50; ++i)
    EXPECT(true_in_child([] {
      release(allocate(100), 100);
      return true;
    }));
  stop = true;
  busy.join();
}
#endif

// --no-fork: without what forks, for qemu-user, which breaks when a process with threads does.
int main(int argc, char** argv) {
  [[maybe_unused]] const bool forks = argc < 2 || std::strcmp(argv[1], "--no-fork") != 0;
  test_any_size_is_aligned_and_writable();
  test_rounding_wastes_less_than_a_quarter();
  test_blocks_are_reused();
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // they keep more of it
  test_small_blocks_go_back_to_the_system();
#endif
  test_peak();
  test_cached_memory_is_bounded();
  test_cached_memory_goes_back_in_part();
  test_out_of_memory_says_how_much();
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  if (forks) test_cache_is_emptied_before_giving_up();
#endif
  test_threads();
#ifndef __SANITIZE_THREAD__
  if (forks) test_fork_while_busy();
#endif
  test_no_leak();
  std::puts("ok");
}

// Runs CUDA kernels on the CPU, for tests: one fiber a CUDA thread, one block after another. Not
// for speed, but to find wrong indices, barriers that are missing or that not every thread reaches,
// shared memory read before it is written, accesses out of bounds (AddressSanitizer) and data races
// (ThreadSanitizer), without a GPU. What kernels see of it stands in language.h.
#pragma once
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

namespace simt {

// A kernel did what no kernel may: the message names the place, the block and the thread.
struct KernelError : std::runtime_error {
  using runtime_error::runtime_error;
};

struct Index {
  unsigned x = 0, y = 0, z = 0;
};

struct Extent {
  unsigned x = 1, y = 1, z = 1;
  constexpr Extent(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
  constexpr uint64_t count() const { return uint64_t{x} * y * z; }
};

// A call in a kernel's source. `id` tells two on one line apart.
struct Site {
  const char* file;
  int line;
  int id;
};

// In which order threads that could run do so. Kernels must not depend on it: tests run each
// kernel under several.
enum class Order { forward, reverse, random };
struct Schedule {
  Order order = Order::forward;
  uint64_t seed = 1;
};
extern Schedule schedule;

constexpr unsigned kWarp = 32, kMostThreads = 1024, kNamedBarriers = 16;
constexpr size_t kStaticShared = 48 << 10;  // bytes a block has without asking
constexpr size_t kMostShared = 227 << 10;   // and at most (sm_90)

struct Launch {
  Extent grid, block;
  size_t dynamic_shared = 0;
  void (*kernel)(const void* arguments);
  const void* arguments;
};

// Runs all blocks to the end. KernelError for what only a wrong kernel does.
void run(const Launch&);

// True while a kernel runs.
bool in_kernel();

// ---- What follows is called by the thread that runs; language.h wraps it.

struct Builtins {
  Index thread, block;
  Extent block_extent, grid_extent;
};
extern Builtins builtins;

unsigned lane();

// bar.sync: waits until all living threads of the block have come to this call. The sum of their
// values.
int64_t block_barrier(int64_t value, Site, const char* name);

// Wait until all living lanes of the mask are here. shuffle: *result becomes the value of lane
// `source` (none: -1); fails where that lane is not among them. ballot: bit i is lane i's vote.
constexpr size_t kShuffleBytes = 16;
void shuffle(uint32_t mask, const void* value, size_t bytes, int source, void* result, Site,
             const char* name);
uint32_t ballot(uint32_t mask, bool vote, Site, const char* name);
void warp_barrier(uint32_t mask, Site);

// The block's shared array that `tag` names, allocated by the first thread that asks for it. Its
// bytes are 0xFF (NaN) at the start, with red zones around it.
void* shared_static(const void* tag, size_t bytes, size_t alignment);
void* shared_dynamic();
// The offset of an address in the block's shared memory, as in PTX.
uint32_t shared_offset(const void*);

// Lets others run: for loops that wait for memory.
void yield();

[[noreturn]] void fail(const std::string& message);

}  // namespace simt

#include "cuda/core/allocator.h"

#include <algorithm>
#include <bit>
#include <map>
#include <mutex>
#include <vector>

#include "core/check.h"

namespace dlx::cuda {
namespace {

constexpr int64_t kGranule = 512;
constexpr size_t kMostNamed = 5;

// Sizes come in classes, four a power of two, so that blocks of nearly one size serve each other.
int64_t class_bytes(int64_t bytes) {
  const int64_t granules = std::max<int64_t>((bytes + kGranule - 1) / kGranule, 1);
  const int shift =
      std::max(static_cast<int>(std::bit_width(static_cast<uint64_t>(granules - 1))) - 3, 0);
  return ((granules + (int64_t{1} << shift) - 1) >> shift << shift) * kGranule;
}

struct Block {
  int64_t bytes;  // of its class
  const Context* home;
  bool scratch;
  DType dtype;  // of the array that asked for it
  Dims shape;
};

struct Waiting {
  void* memory;
  Block block;
  std::vector<Event> uses;
};

struct Pool {
  std::mutex mutex;
  std::map<std::pair<const Context*, int64_t>, std::vector<void*>> free;  // by stream and class
  std::map<void*, Block> live;
  std::vector<Waiting> waiting;  // released, and perhaps still in use
  MemoryStats stats{};
};

Pool& pool_of(int device) {
  static auto* pools = new Pool[128];  // as many as an index of a Device can name
  return pools[device];
}

// Takes the blocks that nobody uses any more among the free ones.
void collect(Pool& pool, bool waits) {
  std::erase_if(pool.waiting, [&](Waiting& w) {
    for (const Event use : w.uses) {
      if (waits) synchronize(use);
      if (!is_done(use)) return false;
    }
    for (const Event use : w.uses) destroy_event(use);
    pool.free[{w.block.home, w.block.bytes}].push_back(w.memory);
    return true;
  });
}

void give_back(Pool& pool) {
  collect(pool, true);
  for (auto& [key, blocks] : pool.free)
    for (void* block : blocks) device_free(block), pool.stats.cached_bytes -= key.second;
  pool.free.clear();
}

std::string size_text(int64_t bytes) {
  return bytes < 1 << 20 ? message(bytes >> 10, " KiB") : message(bytes >> 20, " MiB");
}

std::string largest_owners(const Pool& pool) {
  struct Kind {
    int64_t count = 0, bytes = 0;
    std::string name;
  };
  std::map<std::string, Kind> kinds;
  for (const auto& [memory, block] : pool.live) {
    const std::string name =
        block.scratch ? "scratch memory" : message(block.dtype, " of shape ", block.shape);
    Kind& kind = kinds[name];
    ++kind.count, kind.bytes += block.bytes, kind.name = name;
  }
  std::vector<Kind> sorted;
  for (const auto& [name, kind] : kinds) sorted.push_back(kind);
  std::ranges::sort(sorted, std::greater{}, &Kind::bytes);
  std::string text;
  for (size_t i = 0; i < std::min(sorted.size(), kMostNamed); ++i)
    text += message(i ? ", " : "", sorted[i].count, " x ", sorted[i].name, ": ",
                    size_text(sorted[i].bytes));
  return text.empty() ? "none" : text;
}

void* from_device(Pool& pool, int device, int64_t asked, int64_t bytes) {
  set_device(device);
  if (void* block = device_malloc(bytes)) return block;
  give_back(pool);
  if (void* block = device_malloc(bytes)) return block;
  const MemoryInfo info = memory_info();
  throw OutOfMemory(message("out of memory on cuda:", device, ": asked for ", asked, " bytes, ",
                            info.free, " of ", info.total, " are free, dlx uses ",
                            pool.stats.live_bytes, "; the largest owners: ", largest_owners(pool)));
}

}  // namespace

void* device_allocate(Context& c, int64_t bytes, const Array* owner) {
  Pool& pool = pool_of(c.device);
  const std::lock_guard lock(pool.mutex);
  if (!pool.waiting.empty()) collect(pool, false);
  const int64_t size = class_bytes(bytes);
  void* memory = nullptr;
  if (auto& kept = pool.free[{&c, size}]; !kept.empty()) {
    memory = kept.back();
    kept.pop_back();
    pool.stats.cached_bytes -= size;
    ++pool.stats.cache_hits;
  } else {
    memory = from_device(pool, c.device, bytes, size);
  }
  Block& block = pool.live[memory];
  block.bytes = size, block.home = &c, block.scratch = !owner;
  if (owner) block.dtype = owner->dtype, block.shape = owner->shape;
  ++pool.stats.allocations;
  pool.stats.live_bytes += size;
  pool.stats.peak_bytes = std::max(pool.stats.peak_bytes, pool.stats.live_bytes);
  return memory;
}

void device_release(int device, void* memory, const std::vector<Context*>& users) {
  Pool& pool = pool_of(device);
  const std::lock_guard lock(pool.mutex);
  const auto at = pool.live.find(memory);
  const Block block = at->second;
  std::vector<Event> uses;
  for (const Context* user : users) {
    if (user == block.home) continue;
    set_device(user->device);
    uses.push_back(create_event());
    record(uses.back(), user->stream);
  }
  pool.live.erase(at);
  pool.stats.live_bytes -= block.bytes;
  pool.stats.cached_bytes += block.bytes;
  if (uses.empty())
    pool.free[{block.home, block.bytes}].push_back(memory);
  else
    pool.waiting.push_back({memory, block, std::move(uses)});
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

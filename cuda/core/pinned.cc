#include "cuda/core/pinned.h"

#include <algorithm>
#include <bit>
#include <map>
#include <mutex>
#include <vector>

#include "core/allocator.h"
#include "core/check.h"

namespace dlx::cuda {
namespace {

constexpr int64_t kLeast = 4096;

struct Held {
  Event copied;
  StorageRef memory;
};

// Never destroyed: memory may come back after every static object is gone.
struct Pinned {
  std::mutex mutex;
  std::map<int64_t, std::vector<void*>> free;  // by size
  std::vector<Held> held;
};
Pinned& pinned = *new Pinned;

int64_t rounded(int64_t bytes) {
  return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(std::max(bytes, kLeast))));
}

}  // namespace

void* pinned_allocate(int64_t bytes) {
  let_go_of_copied();
  const std::lock_guard lock(pinned.mutex);
  if (auto& kept = pinned.free[rounded(bytes)]; !kept.empty()) {
    void* p = kept.back();
    kept.pop_back();
    return p;
  }
  void* p = pinned_malloc(rounded(bytes));
  DLX_CHECK_AS(OutOfMemory, p, "pin_memory: no memory for ", bytes, " bytes");
  return p;
}

void pinned_release(void* p, int64_t bytes) {
  const std::lock_guard lock(pinned.mutex);
  pinned.free[rounded(bytes)].push_back(p);
}

void keep_for_copy(Context& c, const StorageRef& memory) {
  let_go_of_copied();
  set_device(c.device);
  const Event copied = create_event();
  record(copied, c.stream);
  const std::lock_guard lock(pinned.mutex);
  pinned.held.push_back({copied, memory});
}

void let_go_of_copied() {
  std::vector<Held> done;  // goes when the mutex is free: its memory comes back through it
  const std::lock_guard lock(pinned.mutex);
  auto& held = pinned.held;
  const auto end =
      std::partition(held.begin(), held.end(), [](const Held& h) { return !is_done(h.copied); });
  done.assign(std::move_iterator(end), std::move_iterator(held.end()));
  held.erase(end, held.end());
  for (const Held& h : done) destroy_event(h.copied);
}

void empty_pinned_cache() {
  let_go_of_copied();
  const std::lock_guard lock(pinned.mutex);
  for (auto& [bytes, blocks] : pinned.free)
    for (void* p : blocks) pinned_free(p);
  pinned.free.clear();
}

}  // namespace dlx::cuda

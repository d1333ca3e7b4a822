#include "core/guarded.h"

#include <cstring>
#include <map>
#include <mutex>
#include <optional>

#include "core/allocator.h"
#include "core/check.h"
#include "core/test_hooks.h"

namespace dlx {

std::atomic<bool> hooks::poison_outputs{false};

namespace {

constexpr int64_t kGuardBytes = 64;
constexpr unsigned char kPoison = 0xFF;

// Varied, so that a copy that runs over hardly writes what stands there.
unsigned char guard(int64_t i) { return static_cast<unsigned char>(0xA5 ^ (7 * i)); }

struct Overrun {
  int64_t bytes, at;  // of the block, of the byte behind its end
};

std::mutex mutex;
std::map<void*, int64_t> alive;  // block -> bytes
std::optional<Overrun> first;

void look_behind(void* block, int64_t bytes) {
  const auto* behind = static_cast<const unsigned char*>(block) + bytes;
  for (int64_t i = 0; i < kGuardBytes && !first; ++i)
    if (behind[i] != guard(i)) first = Overrun{bytes, i};
}

}  // namespace

void* allocate_guarded(int64_t bytes) {
  auto* block = static_cast<unsigned char*>(allocate(bytes + kGuardBytes));
  std::memset(block, kPoison, static_cast<size_t>(bytes));
  for (int64_t i = 0; i < kGuardBytes; ++i) block[bytes + i] = guard(i);
  const std::lock_guard lock(mutex);
  alive[block] = bytes;
  return block;
}

void release_guarded(void* block, int64_t bytes) noexcept {
  {
    const std::lock_guard lock(mutex);
    look_behind(block, bytes);
    alive.erase(block);
  }
  release(block, bytes + kGuardBytes);
}

void check_guards() {
  const std::lock_guard lock(mutex);
  for (const auto& [block, bytes] : alive) look_behind(block, bytes);
  const std::optional<Overrun> found = first;
  first.reset();
  if (!found) return;
  for (const auto& [block, bytes] : alive)  // reported once
    for (int64_t i = 0; i < kGuardBytes; ++i)
      static_cast<unsigned char*>(block)[bytes + i] = guard(i);
  throw std::runtime_error(message("guard bytes: something wrote byte ", found->at,
                                   " behind the end of a block of ", found->bytes, " bytes"));
}

}  // namespace dlx

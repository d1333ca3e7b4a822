// Barriers, warp collectives and shared memory. Built without sanitizers.
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "block.h"

#if defined(DLX_SIMT_ASAN)
extern "C" {
void __asan_poison_memory_region(const volatile void*, size_t);
void __asan_unpoison_memory_region(const volatile void*, size_t);
}
#endif

namespace simt {
namespace {

// Inline, not a call of memcpy, which the sanitizers watch: an exchange between lanes is no access
// to memory.
void copy_bytes(void* to, const void* from, size_t n) {
  if (n == 4) return void(__builtin_memcpy(to, from, 4));
  if (n == 8) return void(__builtin_memcpy(to, from, 8));
  for (size_t i = 0; i < n; ++i)
    static_cast<volatile unsigned char*>(to)[i] =
        static_cast<const volatile unsigned char*>(from)[i];
}

bool same(Site a, Site b) {
  return a.id == b.id && (a.file == b.file || std::strcmp(a.file, b.file) == 0);
}

void complete_if_all_came(Barrier& b, unsigned alive) {
  if (b.arrived == 0 || b.arrived < alive) return;
  b.result = b.sum;
  b.arrived = 0, b.sum = 0;
  ++b.phase, ++changes;
}

void complete_if_all_came(Meeting& m, uint32_t alive) {
  if (m.mask == 0 || m.complete || m.arrived != (m.mask & alive)) return;
  m.complete = true;
  ++m.phase, ++changes;
}

Warp& own_warp() { return running->block->warps[running->number / kWarp]; }

// The meeting that this lane joins: an open one of its mask, or a free one.
Meeting& join(Warp& warp, uint32_t mask, Site site, const char* name) {
  const uint32_t bit = 1u << lane();
  if (!(mask & bit))
    fail(std::string(name) + " at " + where(site) + ": the calling lane is not in the mask, " +
         who(*running));
  Meeting* unused = nullptr;
  for (Meeting& m : warp.meetings) {
    if (m.mask == 0) {
      unused = unused ? unused : &m;
    } else if (!m.complete && (m.mask & bit)) {
      if (m.mask != mask || m.name != name || !same(m.site, site))
        fail(std::string("divergent warp: ") + name + " at " + where(site) + " meets " + m.name +
             " at " + where(m.site) + ", " + who(*running));
      return m;
    }
  }
  if (!unused) fail(std::string("too many warp collectives at a time, at ") + where(site));
  unused->mask = mask;
  unused->arrived = unused->left = 0;
  unused->complete = false;
  unused->name = name;
  unused->site = site;
  return *unused;
}

void leave(Meeting& m) {
  m.left |= 1u << lane();
  if (m.left == m.arrived) m.mask = 0;
}

// Deposits the value and waits for the other lanes; `orders`: memory too.
Meeting& meet(uint32_t mask, const void* value, size_t bytes, Site site, const char* name,
              bool orders = false) {
  Warp& warp = own_warp();
  Meeting& m = join(warp, mask, site, name);
  copy_bytes(m.values[lane()], value, bytes);
  if (orders) release(&m.tag);
  m.arrived |= 1u << lane();
  const uint64_t phase = m.phase;
  complete_if_all_came(m, warp.alive);
  wait_for_change(&m.phase, phase, name, site);
  if (orders) acquire(&m.tag);
  return m;
}

}  // namespace

unsigned lane() { return running->number % kWarp; }

int64_t block_barrier(int64_t value, Site site, const char* name) {
  Block& block = *running->block;
  Barrier& b = block.barrier;
  if (b.arrived == 0) {
    b.site = site;
  } else if (!same(b.site, site)) {
    fail(std::string("divergent ") + name + ": " + who(*running) + " is at " + where(site) +
         ", others at " + where(b.site));
  }
  const uint64_t phase = b.phase;
  release(&b.tag[phase % 2]);
  b.sum += value;
  ++b.arrived;
  complete_if_all_came(b, block.alive);
  wait_for_change(&b.phase, phase, name, site);
  acquire(&b.tag[phase % 2]);
  return b.result;
}

void shuffle(uint32_t mask, const void* value, size_t bytes, int source, void* result, Site site,
             const char* name) {
  Meeting& m = meet(mask, value, bytes, site, name);
  if (source >= 0) {
    if (!(m.arrived >> source & 1))
      fail(std::string(name) + " at " + where(site) + " reads lane " + std::to_string(source) +
           ", which is not there, " + who(*running));
    copy_bytes(result, m.values[source], bytes);
  }
  leave(m);
}

uint32_t ballot(uint32_t mask, bool vote, Site site, const char* name) {
  Meeting& m = meet(mask, &vote, 1, site, name);
  uint32_t votes = 0;
  for (unsigned i = 0; i < kWarp; ++i) votes |= uint32_t{m.arrived >> i & 1 && m.values[i][0]} << i;
  leave(m);
  return votes;
}

void warp_barrier(uint32_t mask, Site site) {
  leave(meet(mask, nullptr, 0, site, "__syncwarp", true));
}

void leave_collectives(Thread& t) {
  Block& block = *t.block;
  Warp& warp = block.warps[t.number / kWarp];
  --block.alive;
  warp.alive &= ~(1u << t.number % kWarp);
  for (Meeting& m : warp.meetings) complete_if_all_came(m, warp.alive);
  complete_if_all_came(block.barrier, block.alive);
}

// ---- Shared memory: the dynamic part first, as aligned as TMA wants it, then static arrays.

constexpr size_t kRedZone = 128, kPoison = 0xff;
constexpr size_t kSize = kMostShared + 2 * kStaticShared;
// Poisoned anew with what the last block had, which may have written further.
constexpr size_t kBeyond = 4096;

SharedMemory::SharedMemory() : used_(kSize) {
  void* p = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  base_ = static_cast<char*>(p);
}

SharedMemory::~SharedMemory() {
#if defined(DLX_SIMT_ASAN)
  __asan_unpoison_memory_region(base_, kSize);
#endif
  munmap(base_, kSize);
}

void SharedMemory::reset(size_t dynamic_bytes) {
#if defined(DLX_SIMT_TSAN)  // new pages: accesses by the last block are no races with this one
  munmap(base_, kSize);
  base_ = static_cast<char*>(
      mmap(base_, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
  used_ = kSize;
#endif
#if defined(DLX_SIMT_ASAN)
  __asan_unpoison_memory_region(base_, kSize);
#endif
  std::memset(base_, kPoison, std::min(used_ + kBeyond, kSize));
  arrays_.clear();
  used_ = dynamic_ = (dynamic_bytes + kRedZone - 1) / kRedZone * kRedZone;
#if defined(DLX_SIMT_ASAN)
  __asan_poison_memory_region(base_ + dynamic_, kSize - dynamic_);
#endif
}

void* SharedMemory::find_or_add(const void* tag, size_t bytes, size_t alignment) {
  for (const auto& [name, array] : arrays_)
    if (name == tag) return array;
  const size_t at = (used_ + alignment - 1) / alignment * alignment;
  if (at + bytes - dynamic_ > kStaticShared) fail("more than 48 KiB of static shared memory");
  if (at + bytes > kMostShared) fail("more shared memory than a block can have");
  used_ = at + bytes;
#if defined(DLX_SIMT_ASAN)
  __asan_unpoison_memory_region(base_ + at, bytes);
  used_ += kRedZone;
#endif
  arrays_.emplace_back(tag, base_ + at);
  return base_ + at;
}

void* shared_static(const void* tag, size_t bytes, size_t alignment) {
  return running->block->shared.find_or_add(tag, bytes, alignment);
}

void* shared_dynamic() { return running->block->shared.base(); }

uint32_t shared_offset(const void* p) {
  return static_cast<uint32_t>(static_cast<const char*>(p) - running->block->shared.base());
}

}  // namespace simt

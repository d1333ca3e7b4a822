// cuda/core/runtime.h on the emulator. A stream keeps what it is given and does it when something
// waits for it, so that a wait which is missing shows. Device memory can be read and written by
// kernels and copies only. Two devices. Built without sanitizers.
#include "cuda/core/runtime.h"

#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <map>
#include <vector>

#include "launch.h"
#include "stream_state.h"

namespace dlx::cuda {

std::recursive_mutex everything;

namespace {

constexpr int kDevices = 2;
constexpr int64_t kAddresses = int64_t{64} << 30, kPage = 4096;
constexpr int64_t kHugePage = 2 << 20;  // what makes protecting all memory cheap
constexpr int kPoison = 0xff;           // NaN
constexpr int64_t kAccess = 16;         // bytes of the widest access
constexpr int64_t kRedZone = 512;       // bytes around a block that nobody may write

constexpr size_t kQuarantine = 16;  // freed ranges of a size that stay unused

// A number that a test sets in the environment before it starts.
int64_t setting(const char* name, int64_t otherwise) {
  const char* text = std::getenv(name);
  return text ? std::atoll(text) : otherwise;
}

// Blocks end where a page does, as far as accesses of 16 bytes let them, and who reads what stands
// behind them ends the program.
bool guarded() {
  static const bool on = setting("DLX_SIMT_GUARDS", 0) != 0;
  return on;
}

int64_t rounded(int64_t bytes, int64_t to = kPage) { return (bytes + to - 1) / to * to; }

[[maybe_unused]] char* page_of(const char* p) {
  return const_cast<char*>(p) - reinterpret_cast<uintptr_t>(p) % kPage;
}

// Memory of one device. Addresses are not used again soon: who still has them fails.
struct Memory {
  char* base = nullptr;
  int64_t top = kPage, used = 0;
  std::map<const char*, int64_t> blocks;
  std::map<int64_t, std::deque<char*>> freed;  // by the bytes from one range to the next
  int open = 0;                                // how many may touch it now

  void protect(int access) {
#if !defined(DLX_SIMT_ASAN)
    if (!guarded()) {
      if (base) mprotect(base, static_cast<size_t>(rounded(top, kHugePage)), access);
    } else {
      for (const auto& [block, bytes] : blocks)
        mprotect(page_of(block), static_cast<size_t>(rounded(bytes)), access);
    }
#else
    (void)access;
#endif
  }
};

struct Device {
  Memory memory;
  std::vector<std::unique_ptr<StreamState>> streams;
};

Device devices[kDevices];
std::map<const char*, int64_t> pinned_blocks;
thread_local int current_device = 0;

int64_t device_memory() {
  static const int64_t bytes = setting("DLX_SIMT_MEMORY_MIB", 4096) << 20;
  return bytes;
}

// What other libraries call the legacy default stream and that of the thread, one per device here.
StreamState* resolved(Stream s) {
  if (reinterpret_cast<uintptr_t>(s) > 2) return s;
  static std::map<int, StreamState*> defaults;
  StreamState*& of_device = defaults[current_device];
  if (!of_device) of_device = create_stream();
  return of_device;
}

// The memory of a device is open as long as one of these lives.
struct Open {
  Memory& memory;
  explicit Open(Memory& m) : memory(m) {
    if (memory.open++ == 0) memory.protect(PROT_READ | PROT_WRITE);
  }
  ~Open() {
    if (--memory.open == 0) memory.protect(PROT_NONE);
  }
};

// CudaError where something wrote around a block. (AddressSanitizer has red zones of its own.)
void check_red_zones([[maybe_unused]] const char* block, [[maybe_unused]] int64_t bytes) {
#if !defined(DLX_SIMT_ASAN)
  static const std::vector<char> expected(kRedZone, static_cast<char>(kPoison));
  const char* page = page_of(block);
  const auto before = static_cast<size_t>(guarded() ? std::min(kRedZone, block - page) : kRedZone);
  const auto behind =
      guarded() ? static_cast<size_t>(page + rounded(bytes) - block - bytes) : expected.size();
  for (const auto& [zone, size] : {std::pair{block - before, before}, {block + bytes, behind}})
    if (std::memcmp(zone, expected.data(), size))
      throw CudaError("a kernel wrote " + std::string(zone < block ? "before" : "behind") +
                      " a block of " + std::to_string(bytes) + " bytes");
#endif
}

void check_red_zones(Memory& m) {
  const Open open(m);
  for (const auto& [block, bytes] : m.blocks) check_red_zones(block, bytes);
}

void advance(Stream s, uint64_t position) {
  if (simt::in_kernel()) throw CudaError("a kernel waits for a stream");
  const Open own(devices[s->device].memory);
  while (s->done < position) {
    auto work = std::move(s->work.front());
    s->work.pop_front();
    ++s->done;
    work();
  }
}

#if !defined(DLX_SIMT_ASAN)
// Freed pages: no longer there where blocks are guarded, else the system's again by huge ones.
void give_back(char* pages, int64_t bytes) {
  int64_t begin = reinterpret_cast<int64_t>(pages), end = begin + bytes;
  if (guarded()) {
    mprotect(pages, static_cast<size_t>(bytes), PROT_NONE);
  } else {
    begin = rounded(begin, kHugePage), end = end / kHugePage * kHugePage;
  }
  if (begin < end)
    madvise(reinterpret_cast<void*>(begin), static_cast<size_t>(end - begin), MADV_DONTNEED);
}
#endif

bool contains(const Memory& m, const void* p) {
  const char* at = static_cast<const char*>(p);
  auto next = m.blocks.upper_bound(at);
  if (next == m.blocks.begin()) return false;
  const auto& [begin, bytes] = *--next;
  return at <= begin + bytes;
}

Memory* memory_of(const void* p) {
  for (Device& d : devices)
    if (contains(d.memory, p)) return &d.memory;
  return nullptr;
}

void check_side(const void* p, bool on_device, const char* what) {
  if (!memory_of(p) == on_device)
    throw CudaError(std::string("copy: ") + what + " is no pointer to " +
                    (on_device ? "device memory" : "host memory"));
}

}  // namespace

int device_count() { return static_cast<int>(setting("DLX_SIMT_DEVICES", kDevices)); }
std::string reason_for_no_device() { return "DLX_SIMT_DEVICES=0"; }
bool has_code() { return setting("DLX_SIMT_HAS_CODE", 1) != 0; }
std::string built_for() { return "the emulator"; }

void synchronize_device() {
  refuse_in_capture("cudaDeviceSynchronize");
  const std::lock_guard lock(everything);
  for (const auto& s : devices[current_device].streams) advance(s.get(), s->added);
}
Properties properties(int device) {
  return {"emulated device " + std::to_string(device), 9, 0, 4, device_memory()};
}
void set_device(int device) {
  if (device < 0 || device >= kDevices)
    throw CudaError("invalid device ordinal " + std::to_string(device));
  current_device = device;
}

void* device_malloc(int64_t bytes) {
  refuse_in_capture("cudaMalloc");
  const std::lock_guard lock(everything);
  Memory& m = devices[current_device].memory;
  if (m.used + bytes > device_memory()) return nullptr;
#if defined(DLX_SIMT_ASAN)  // which puts red zones around it
  void* block = nullptr;
  if (posix_memalign(&block, 256, static_cast<size_t>(bytes))) return nullptr;
  char* p = static_cast<char*>(block);
#else
  if (!m.base) {
    void* all = mmap(nullptr, kAddresses + kHugePage, PROT_NONE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED) throw CudaError("no addresses for an emulated device");
    m.base = reinterpret_cast<char*>(rounded(reinterpret_cast<int64_t>(all), kHugePage));
    if (!guarded()) madvise(m.base, kAddresses, MADV_HUGEPAGE);
  }
  const int64_t apart = rounded(bytes) + kPage;
  char* p = m.base + m.top;
  if (auto& freed = m.freed[apart]; freed.size() > kQuarantine) {
    p = freed.front();
    freed.pop_front();
  } else {
    if (m.top + apart > kAddresses) return nullptr;
    m.top += apart;
  }
#endif
  char* const zone = guarded() ? p : p - kRedZone;
  if (guarded()) p += (rounded(bytes) - bytes) / kAccess * kAccess;
  m.blocks[p] = bytes;
  const Open open(m);
  m.protect(PROT_READ | PROT_WRITE);
#if defined(DLX_SIMT_ASAN)
  (void)zone;
  std::memset(p, kPoison, static_cast<size_t>(bytes));
#else
  std::memset(zone, kPoison, static_cast<size_t>(guarded() ? rounded(bytes) : apart));
#endif
  m.used += bytes;
  return p;
}

void device_free(void* p) {
  refuse_in_capture("cudaFree");
  const std::lock_guard lock(everything);
  Memory* m = memory_of(p);
  if (!m || !m->blocks.count(static_cast<char*>(p)))
    throw CudaError("free: no pointer that device_malloc gave");
  for (const auto& s : devices[m == &devices[0].memory ? 0 : 1].streams) advance(s.get(), s->added);
  const int64_t bytes = m->blocks[static_cast<char*>(p)];
  {
    const Open open(*m);
    check_red_zones(static_cast<char*>(p), bytes);
  }
  m->used -= bytes;
  m->blocks.erase(static_cast<char*>(p));
#if defined(DLX_SIMT_ASAN)
  std::free(p);
#else
  char* const pages = page_of(static_cast<char*>(p));
  give_back(pages, rounded(bytes));
  m->freed[rounded(bytes) + kPage].push_back(pages);
#endif
}

int device_of(const void* p) {
  const std::lock_guard lock(everything);
  for (int i = 0; i < kDevices; ++i)
    if (contains(devices[i].memory, p)) return i;
  return -1;
}

void* pinned_malloc(int64_t bytes) {
  refuse_in_capture("cudaMallocHost");
  const std::lock_guard lock(everything);
  char* p = static_cast<char*>(std::malloc(static_cast<size_t>(bytes)));
  pinned_blocks[p] = bytes;
  return p;
}

void pinned_free(void* p) {
  refuse_in_capture("cudaFreeHost");
  const std::lock_guard lock(everything);
  pinned_blocks.erase(static_cast<char*>(p));
  std::free(p);
}

static bool is_pinned(const void* p) {
  const char* at = static_cast<const char*>(p);
  const auto next = pinned_blocks.upper_bound(at);
  if (next == pinned_blocks.begin()) return false;
  const auto& [begin, bytes] = *std::prev(next);
  return at < begin + bytes;
}

MemoryInfo memory_info() {
  return {device_memory() - devices[current_device].memory.used, device_memory()};
}

Stream create_stream() {
  const std::lock_guard lock(everything);
  auto& streams = devices[current_device].streams;
  streams.push_back(std::make_unique<StreamState>(StreamState{current_device, {}}));
  return streams.back().get();
}

void destroy_stream(Stream s) {
  const std::lock_guard lock(everything);
  refuse_captured(s, "cudaStreamDestroy");
  advance(s, s->added);
  std::erase_if(devices[s->device].streams, [&](const auto& other) { return other.get() == s; });
}

void synchronize(Stream s) {
  const std::lock_guard lock(everything);
  refuse_captured(s, "cudaStreamSynchronize");
  refuse_in_capture("cudaStreamSynchronize");
  advance(s, s->added);
  check_red_zones(devices[s->device].memory);
}

void copy(Stream s, void* to, const void* from, int64_t bytes, Copy kind) {
  const std::lock_guard lock(everything);  // so that the kernel is none of another thread
  if (simt::in_kernel()) throw CudaError("a kernel copies");
  if (bytes == 0) return;
  check_side(to, kind != Copy::to_host, "the destination");
  check_side(from, kind != Copy::to_device, "the source");
  if (kind == Copy::on_device && memory_of(to) != memory_of(from))
    throw CudaError("copy: on one device, of memory of two");
  if (kind == Copy::between_devices && memory_of(to) == memory_of(from))
    throw CudaError("copy: between devices, of memory of one");
  // A graph would read or write that memory whenever it is launched: dlx keeps it out of graphs.
  if (!memory_of(from) || !memory_of(to)) refuse_captured(s, "cudaMemcpyAsync of host memory");
  const auto n = static_cast<size_t>(bytes);
  if (kind == Copy::to_device && is_pinned(from)) {
    simt::enqueue(s, [=] { std::memcpy(to, from, n); });
  } else if (kind == Copy::to_device) {
    const char* bytes_now = static_cast<const char*>(from);
    simt::enqueue(s, [=, staged = std::vector<char>(bytes_now, bytes_now + n)] {
      std::memcpy(to, staged.data(), n);
    });
  } else {
    simt::enqueue(s, [=] {
      if (kind == Copy::to_host) return void(std::memcpy(to, from, n));
      const Open source(*memory_of(from)), destination(*memory_of(to));
      std::memmove(to, from, n);
    });
  }
}

void fill(Stream s, void* to, uint8_t byte, int64_t bytes) {
  if (bytes) simt::check_device_pointer(s, to, "cudaMemsetAsync");
  simt::enqueue(s, [=] { std::memset(to, byte, static_cast<size_t>(bytes)); });
}

Event create_event(bool timed) {
  auto* e = new EventState;
  e->timed = timed;
  return e;
}
void destroy_event(Event e) { delete e; }

void record(Event e, Stream s) {
  const std::lock_guard lock(everything);
  s = resolved(s);
  e->captured = s->capture != nullptr;
  if (e->timed) {
    refuse_captured(s, "cudaEventRecord of a timed event");
    e->milliseconds = std::make_shared<double>(0);
    simt::enqueue(s, [at = e->milliseconds] {
      const auto now = std::chrono::steady_clock::now().time_since_epoch();
      *at = std::chrono::duration<double, std::milli>(now).count();
    });
  }
  e->stream = s, e->position = s->added;
}

void wait(Stream s, Event e) {
  if (!e->stream) return;
  const std::lock_guard lock(everything);
  s = resolved(s);
  if (s->capture && !e->captured)
    refuse_captured(s, "cudaStreamWaitEvent for work outside of the capture");
  if (e->captured && e->stream != s) refuse_captured(e->stream, "cudaStreamWaitEvent by a stream");
  if (e->captured) return;  // in order anyway
  simt::enqueue(s, [stream = e->stream, position = e->position] { advance(stream, position); });
}

static void refuse_captured(const EventState& e, const char* call) {
  refuse_in_capture(call);
  if (e.captured) throw CudaError(std::string(call) + ": the event was captured");
}

bool is_done(Event e) {
  refuse_captured(*e, "cudaEventQuery");
  return !e->stream || e->stream->done >= e->position;
}

void synchronize(Event e) {
  const std::lock_guard lock(everything);
  refuse_captured(*e, "cudaEventSynchronize");
  if (e->stream) advance(e->stream, e->position);
}

double milliseconds(Event from, Event to) {
  if (!from->milliseconds || !to->milliseconds) throw CudaError("an event without a time");
  return *to->milliseconds - *from->milliseconds;
}

}  // namespace dlx::cuda

namespace simt {

namespace {
std::vector<LaunchCount*>& counts() {
  static std::vector<LaunchCount*> all;
  return all;
}
}  // namespace

LaunchCount::LaunchCount(const char* kernel) : name(kernel) { counts().push_back(this); }
const std::vector<LaunchCount*>& launch_counts() { return counts(); }

void enqueue(dlx::cuda::Stream s, std::function<void()> work) {
  const std::lock_guard lock(dlx::cuda::everything);
  if (s->capture) return void(s->capture->work.push_back(std::move(work)));
  s->work.push_back(std::move(work));
  ++s->added;
}

void check_device_pointer(dlx::cuda::Stream s, const void* p, const char* kernel) {
  const std::lock_guard lock(dlx::cuda::everything);
  if (!dlx::cuda::contains(dlx::cuda::devices[s->device].memory, p))
    throw dlx::cuda::CudaError(std::string(kernel) +
                               ": an argument does not point into memory of its device");
  if (s->capture) s->capture->pointers.push_back({p, kernel});
}

}  // namespace simt

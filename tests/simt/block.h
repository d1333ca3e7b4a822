// What is known of a block while it runs: its threads, warps, barriers and shared memory.
#pragma once
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "emulator.h"
#include "fiber.h"

namespace simt {

enum class State : uint8_t { fresh, ready, yielded, waiting, done };

struct Block;

struct Thread {
  Fiber fiber;
  Index index;
  unsigned number = 0;
  State state = State::fresh;
  Block* block = nullptr;
  // Runs again once *phase is no longer what it was.
  const uint64_t* phase = nullptr;
  uint64_t phase_then = 0;
  const char* waits_in = "";
  Site site{};

  bool can_run() const {
    return state != State::done && !(state == State::waiting && *phase == phase_then);
  }
};

// A meeting of some lanes of a warp at one call.
struct Meeting {
  uint32_t mask = 0, arrived = 0, left = 0;  // mask 0: free
  uint64_t phase = 0;
  bool complete = false;
  const char* name = "";
  Site site{};
  alignas(16) unsigned char values[kWarp][kShuffleBytes];
  char tag = 0;  // for ThreadSanitizer
};

constexpr int kMeetings = 8;  // of disjoint masks, and those that not all have left yet

struct Warp {
  uint32_t alive = 0;
  Meeting meetings[kMeetings];
};

struct Barrier {
  uint64_t phase = 0;
  unsigned arrived = 0;
  int64_t sum = 0, result = 0;
  Site site{};
  char tag[2] = {};  // one a phase: who is ahead must not order who is behind
};

class SharedMemory {
 public:
  SharedMemory();
  ~SharedMemory();
  SharedMemory(const SharedMemory&) = delete;

  void reset(size_t dynamic_bytes);  // for the next block: poison, no static arrays
  void* find_or_add(const void* tag, size_t bytes, size_t alignment);
  char* base() const { return base_; }

 private:
  size_t dynamic_ = 0, used_;
  char* base_;
  std::vector<std::pair<const void*, void*>> arrays_;
};

struct Block {
  Index index;
  unsigned alive = 0;
  std::span<Thread> threads;  // of this launch
  std::vector<Warp> warps;
  Barrier barrier;
  SharedMemory shared;
  std::vector<Thread> all_threads = std::vector<Thread>(kMostThreads);
};

extern Thread* running;
extern uint64_t changes;         // counts what lets threads that wait run again
extern std::string first_error;  // of this launch
struct Abort {};                 // unwinds a fiber after the first error

std::string where(Site);
std::string who(const Thread&);

// Suspends the running thread until *phase differs from `then`.
void wait_for_change(const uint64_t* phase, uint64_t then, const char* name, Site);

// The running thread has left the kernel: whoever waits for it waits no more.
void leave_collectives(Thread&);

}  // namespace simt

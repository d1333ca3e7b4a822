// A fiber: a stack of its own that runs when it is resumed, until it suspends itself. One a CUDA
// thread; all share one thread of the system.
#pragma once
#include <cstddef>

namespace simt {

constexpr size_t kStackBytes = 64 << 10;

class Fiber {
 public:
  Fiber() = default;
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // Ready to run entry() from its begin; `number` staggers the stacks in the caches. entry() ends
  // by finish().
  void start(void (*entry)(), unsigned number);
  void resume();  // from the scheduler: until the fiber suspends or finishes

  // From within the running fiber.
  static void entered();  // the first thing that entry() calls
  void suspend();
  [[noreturn]] void finish();

 private:
  void* stack_pointer_ = nullptr;
  char* stack_ = nullptr;
  void* tsan_ = nullptr;  // the sanitizer's name for it
  bool finished_ = false;
};

// Order for ThreadSanitizer, which sees each fiber as a thread: what came before release(tag) in
// one is before what comes after acquire(tag) in another. Nothing in other builds.
void release(void* tag);
void acquire(void* tag);

}  // namespace simt

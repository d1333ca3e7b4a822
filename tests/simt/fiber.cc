// Built without sanitizers; DLX_SIMT_ASAN or DLX_SIMT_TSAN tell that the kernels are built with
// one.
#include "fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <new>
#include <vector>

#if defined(DLX_SIMT_ASAN)
extern "C" {
void __sanitizer_start_switch_fiber(void** fake_stack, const void* bottom, size_t size);
void __sanitizer_finish_switch_fiber(void* fake_stack, const void** bottom, size_t* size);
void __asan_unpoison_memory_region(const volatile void*, size_t);
}
#elif defined(DLX_SIMT_TSAN)
extern "C" {
void* __tsan_get_current_fiber();
void* __tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void*);
void __tsan_switch_to_fiber(void*, unsigned flags);
void __tsan_acquire(void*);
void __tsan_release(void*);
}
constexpr unsigned kNoOrder = 1;  // a switch alone orders nothing
#endif

// Saves the registers that a call preserves (System V ABI) and the stack pointer to *save, and goes
// on where `to` was saved.
#if !defined(__x86_64__)
#error "the SIMT emulator switches stacks in x86-64 assembly: write the switch for this CPU"
#endif
extern "C" void simt_switch(void** save, void* to);
__asm__(
    ".text\n.type simt_switch,@function\nsimt_switch:\n"
    "pushq %rbp\npushq %rbx\npushq %r12\npushq %r13\npushq %r14\npushq %r15\n"
    "movq %rsp,(%rdi)\nmovq %rsi,%rsp\n"
    "popq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rbx\npopq %rbp\nret\n"
    ".size simt_switch,.-simt_switch\n");

namespace simt {
namespace {

constexpr size_t kPage = 4096;
void* scheduler_pointer = nullptr;
std::vector<char*> free_stacks;
#if defined(DLX_SIMT_ASAN)
const void* scheduler_stack = nullptr;
size_t scheduler_stack_bytes = 0;
#elif defined(DLX_SIMT_TSAN)
void* scheduler_tsan = nullptr;
#endif

char* take_stack() {
  if (!free_stacks.empty()) {
    char* stack = free_stacks.back();
    free_stacks.pop_back();
    return stack;
  }
  void* stack = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (stack == MAP_FAILED) throw std::bad_alloc();
  mprotect(stack, kPage, PROT_NONE);  // an overflow faults
  return static_cast<char*>(stack);
}

void give_stack(char* stack) {
#if defined(DLX_SIMT_TSAN)
  munmap(stack, kStackBytes);  // with what was recorded of it: no false races with the next owner
#else
#if defined(DLX_SIMT_ASAN)
  __asan_unpoison_memory_region(stack, kStackBytes);  // frames that never returned left red zones
#endif
  free_stacks.push_back(stack);
#endif
}

}  // namespace

void Fiber::start(void (*entry)(), unsigned number) {
  stack_ = take_stack();
  finished_ = false;
  // Stacks lie powers of two apart and would fight for the same sets of the caches.
  const size_t stagger = number * size_t{320} % (kStackBytes / 4);
  auto* top = reinterpret_cast<uint64_t*>(stack_ + kStackBytes - stagger);
  *--top = 0;  // no caller; and the stack is aligned as after a call
  *--top = reinterpret_cast<uint64_t>(entry);  // where the switch returns to
  for (int i = 0; i < 6; ++i) *--top = 0;      // the registers that it restores
  stack_pointer_ = top;
#if defined(DLX_SIMT_TSAN)
  tsan_ = __tsan_create_fiber(0);
#endif
}

void Fiber::resume() {
#if defined(DLX_SIMT_ASAN)
  void* fake_stack = nullptr;
  __sanitizer_start_switch_fiber(&fake_stack, stack_, kStackBytes);
#elif defined(DLX_SIMT_TSAN)
  scheduler_tsan = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(tsan_, kNoOrder);
#endif
  simt_switch(&scheduler_pointer, stack_pointer_);
#if defined(DLX_SIMT_ASAN)
  __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
#endif
  if (!finished_) return;
#if defined(DLX_SIMT_TSAN)
  __tsan_destroy_fiber(tsan_);
#endif
  give_stack(stack_);
}

void Fiber::entered() {
#if defined(DLX_SIMT_ASAN)
  __sanitizer_finish_switch_fiber(nullptr, &scheduler_stack, &scheduler_stack_bytes);
#endif
}

void Fiber::suspend() {
#if defined(DLX_SIMT_ASAN)
  void* fake_stack = nullptr;
  __sanitizer_start_switch_fiber(finished_ ? nullptr : &fake_stack, scheduler_stack,
                                 scheduler_stack_bytes);
#elif defined(DLX_SIMT_TSAN)
  __tsan_switch_to_fiber(scheduler_tsan, kNoOrder);
#endif
  simt_switch(&stack_pointer_, scheduler_pointer);
#if defined(DLX_SIMT_ASAN)
  __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
#endif
}

void Fiber::finish() {
  finished_ = true;
  suspend();
  std::abort();  // nobody resumes a finished fiber
}

void release([[maybe_unused]] void* tag) {
#if defined(DLX_SIMT_TSAN)
  __tsan_release(tag);
#endif
}

void acquire([[maybe_unused]] void* tag) {
#if defined(DLX_SIMT_TSAN)
  __tsan_acquire(tag);
#endif
}

}  // namespace simt

// Running a grid: which thread goes on, deadlocks, errors. Built without sanitizers.
#include <algorithm>
#include <exception>
#include <mutex>

#include "block.h"

namespace simt {

Schedule schedule;
Builtins builtins;
Thread* running = nullptr;
uint64_t changes = 0;
std::string first_error;

namespace {

const Launch* current = nullptr;
char end_of_grid = 0;  // ThreadSanitizer's tag: orders a grid before what follows it
constexpr int kNamed = 4;
constexpr int64_t kMostSpins = 50'000'000;
std::mutex one_grid;

void thread_main() {
  Fiber::entered();
  Thread& t = *running;
  try {
    current->kernel(current->arguments);
  } catch (const Abort&) {
  } catch (const std::exception& e) {
    if (first_error.empty()) first_error = e.what();
  }
  leave_collectives(t);
  t.state = State::done;
  release(&end_of_grid);
  t.fiber.finish();
}

void resume(Thread& t) {
  if (t.state == State::fresh) t.fiber.start(thread_main, t.number);
  t.state = State::ready;
  running = &t;
  builtins.thread = t.index;
  builtins.block = t.block->index;
  t.fiber.resume();
  running = nullptr;
}

// A permutation of 0..n-1; n < 7919, a prime.
unsigned pick(unsigned i, unsigned n, unsigned shift) {
  switch (schedule.order) {
    case Order::forward:
      return i;
    case Order::reverse:
      return n - 1 - i;
    case Order::random:
      return static_cast<unsigned>((uint64_t{i} * 7919 + shift) % n);
  }
  return i;
}

unsigned next_random() {  // xorshift64, Marsaglia 2003
  uint64_t& s = schedule.seed;
  s ^= s << 13, s ^= s >> 7, s ^= s << 17;
  return static_cast<unsigned>(s % 65536);
}

void report_deadlock(const Block& block) {
  std::string message = "deadlock:";
  int waiting = 0;
  for (const Thread& t : block.threads) {
    if (t.state == State::done || waiting++ >= kNamed) continue;
    message += "\n  " + who(t) + " waits in " + t.waits_in + " at " + where(t.site);
  }
  first_error = message + "\n  (" + std::to_string(waiting) + " threads wait)";
}

// Runs what can run of one warp until nothing of it can. What happened to its threads.
struct Progress {
  unsigned finished = 0;
  bool any = false, yielded = false;
};

Progress run_warp(Block& block, unsigned warp, unsigned shift) {
  Progress progress;
  const unsigned first = warp * kWarp;
  const unsigned lanes = std::min<unsigned>(kWarp, unsigned(block.threads.size()) - first);
  for (bool again = true; again;) {
    const uint64_t before = changes;
    for (unsigned i = 0; i < lanes; ++i) {
      Thread& t = block.threads[first + pick(i, lanes, shift)];
      if (!first_error.empty() && t.state == State::fresh) {  // it never began
        t.state = State::done;
        ++progress.finished;
        continue;
      }
      // After an error every thread is woken: wait_for_change() throws.
      if (t.state == State::done || (first_error.empty() && !t.can_run())) continue;
      resume(t);
      progress.any = true;
      progress.finished += t.state == State::done;
      progress.yielded |= t.state == State::yielded;
    }
    again = changes != before;
  }
  return progress;
}

void run_block(Block& block) {
  auto left = static_cast<unsigned>(block.threads.size());
  const auto warps = static_cast<unsigned>(block.warps.size());
  for (int64_t spins = 0; left;) {
    bool any = false, yielded = false;
    const unsigned shift = schedule.order == Order::random ? next_random() : 0;
    for (unsigned w = 0; w < warps; ++w) {
      const Progress progress = run_warp(block, pick(w, warps, shift), shift);
      left -= progress.finished;
      any |= progress.any || progress.finished;
      yielded |= progress.yielded;
    }
    if (!any) report_deadlock(block);
    if (yielded && ++spins > kMostSpins && first_error.empty())
      first_error = "livelock: threads wait for memory that nobody writes";
  }
}

void begin_block(Block& block, uint64_t number, const Launch& launch) {
  block.index = {static_cast<unsigned>(number % launch.grid.x),
                 static_cast<unsigned>(number / launch.grid.x % launch.grid.y),
                 static_cast<unsigned>(number / launch.grid.x / launch.grid.y)};
  block.alive = static_cast<unsigned>(block.threads.size());
  block.barrier = {};
  block.shared.reset(launch.dynamic_shared);
  for (unsigned w = 0; w < block.warps.size(); ++w) {
    const unsigned lanes = std::min(kWarp, block.alive - w * kWarp);
    block.warps[w].alive = lanes == kWarp ? ~0u : (1u << lanes) - 1;
    for (Meeting& m : block.warps[w].meetings) m.mask = 0;
  }
  for (Thread& t : block.threads) t.state = State::fresh;
}

void check_configuration(const Launch& l) {
  const uint64_t threads = l.block.count();
  if (l.grid.count() == 0 || l.grid.x > 0x7fffffffu || l.grid.y > 65535 || l.grid.z > 65535)
    throw KernelError("launch: no GPU takes a grid of " + std::to_string(l.grid.x) + " x " +
                      std::to_string(l.grid.y) + " x " + std::to_string(l.grid.z) + " blocks");
  if (threads == 0 || threads > kMostThreads || l.block.z > 64)
    throw KernelError("launch: no GPU takes blocks of " + std::to_string(threads) + " threads");
  if (l.dynamic_shared > kMostShared)
    throw KernelError("launch: " + std::to_string(l.dynamic_shared) +
                      " bytes of dynamic shared memory");
}

}  // namespace

bool in_kernel() { return running != nullptr; }

void fail(const std::string& message) {
  if (first_error.empty()) first_error = message;
  throw Abort{};
}

std::string where(Site s) { return std::string(s.file) + ":" + std::to_string(s.line); }

std::string who(const Thread& t) {
  const auto text = [](Index i) {
    return "(" + std::to_string(i.x) + "," + std::to_string(i.y) + "," + std::to_string(i.z) + ")";
  };
  return "block" + text(t.block->index) + " thread" + text(t.index);
}

void wait_for_change(const uint64_t* phase, uint64_t then, const char* name, Site site) {
  Thread& t = *running;
  while (*phase == then && first_error.empty()) {
    t.state = State::waiting;
    t.phase = phase, t.phase_then = then, t.waits_in = name, t.site = site;
    t.fiber.suspend();
  }
  if (!first_error.empty()) throw Abort{};
}

void yield() {
  running->state = State::yielded;
  running->fiber.suspend();
  if (!first_error.empty()) throw Abort{};
}

void run(const Launch& launch) {
  check_configuration(launch);
  const std::lock_guard<std::mutex> lock(one_grid);
  current = &launch;
  first_error.clear();
  builtins.block_extent = launch.block;
  builtins.grid_extent = launch.grid;

  static Block& block = *new Block;  // kept: most grids are small
  const auto threads = static_cast<unsigned>(launch.block.count());
  block.warps.resize((threads + kWarp - 1) / kWarp);
  block.threads = std::span(block.all_threads).first(threads);
  for (unsigned i = 0; i < threads; ++i) {
    Thread& t = block.threads[i];
    t.number = i;
    t.block = &block;
    t.index = {i % launch.block.x, i / launch.block.x % launch.block.y,
               i / launch.block.x / launch.block.y};
  }
  const uint64_t blocks = launch.grid.count();
  for (uint64_t i = 0; i < blocks && first_error.empty(); ++i) {
    begin_block(block, schedule.order == Order::reverse ? blocks - 1 - i : i, launch);
    run_block(block);
  }
  acquire(&end_of_grid);
  current = nullptr;
  if (!first_error.empty()) throw KernelError(first_error);
}

}  // namespace simt

// The promises of core/parallel.h: every chunk once, same chunks always, no deadlock, safe after
// fork.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "core/parallel.h"
#include "core/test_hooks.h"

using namespace dlx;

#define EXPECT(condition)                                                   \
  do {                                                                      \
    if (!(condition)) {                                                     \
      std::printf("%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
      std::exit(1);                                                         \
    }                                                                       \
  } while (0)

// Runs `threads` chunks that each wait until all have begun: true when as many threads took part.
bool meet(int threads) {
  std::atomic<int> begun{0};
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  parallel_for(threads, 1, [&](int64_t, int64_t) {
    ++begun;
    while (begun < threads && std::chrono::steady_clock::now() < end) std::this_thread::yield();
  });
  return begun == threads && hooks::workers_used() == threads &&
         std::chrono::steady_clock::now() < end;
}

struct Tally {
  int64_t n, grain;
  std::vector<std::atomic<int>> hits;
  std::atomic<bool> legal{true};
};

void count(void* state, int64_t begin, int64_t end, int worker) {
  Tally& tally = *static_cast<Tally*>(state);
  if (begin % tally.grain != 0 || end != std::min(begin + tally.grain, tally.n) || worker < 0 ||
      worker >= num_threads())
    tally.legal = false;
  ++tally.hits[begin / tally.grain];
}

bool every_chunk_once(int64_t n, int64_t grain) {
  Tally tally{n, grain, std::vector<std::atomic<int>>(n / grain + 1)};
  parallel_run(n, grain, count, &tally);
  for (int64_t chunk = 0; chunk <= n / grain; ++chunk)
    if (tally.hits[chunk] != (chunk * grain < n ? 1 : 0)) return false;
  return tally.legal;
}

// In a forked child: exit status 0 when `body` is true, within five seconds.
template <class F>
bool true_in_child(const F& body) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(5);
    _exit(body() ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

template <class Error, class F>
std::string message_of(const F& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

bool contains(const std::string& text, const char* part) { return text.find(part) != text.npos; }

void test_environment() {  // first: the size is read once
  EXPECT(true_in_child([] {
    setenv("DLX_NUM_THREADS", "3", 1);
    return num_threads() == 3 && meet(3);
  }));
  for (const char* wrong : {"0", "257", "-1", "two", "2x"})
    EXPECT(true_in_child([&] {
      setenv("DLX_NUM_THREADS", wrong, 1);
      return contains(message_of<std::invalid_argument>(num_threads), wrong);
    }));
  EXPECT(num_threads() >= 1 && num_threads() <= kMaxThreads);
}

void test_every_chunk_once() {
  for (int threads : {1, 2, 3, 8, 2}) {
    set_num_threads(threads);
    EXPECT(num_threads() == threads);
    for (int64_t n : {0, 1, 2, 7, 64, 1000, 1001})
      for (int64_t grain : {1, 3, 64, 1000, 5000}) EXPECT(every_chunk_once(n, grain));
  }
}

void test_split_by_threads_is_visible() {
  set_num_threads(2);
  hooks::split_by_threads = true;
  EXPECT(!every_chunk_once(1000, 3));
  hooks::split_by_threads = false;
}

void test_all_threads_take_part() {
  for (int threads : {2, 4, 16, 3}) {
    set_num_threads(threads);
    EXPECT(meet(threads));
    std::this_thread::sleep_for(std::chrono::milliseconds(2));  // they park
    EXPECT(meet(threads));
  }
  set_num_threads(2);
  for (int i = 0; i < 2000; ++i) EXPECT(meet(2));
}

// The first chunk of each worker; whoever has one waits until all have.
struct FirstChunks {
  std::vector<std::atomic<int64_t>> begin;
  std::atomic<int> workers{0};
};

void note_first(void* state, int64_t begin, int64_t, int worker) {
  FirstChunks& first = *static_cast<FirstChunks*>(state);
  if (first.begin[worker] >= 0) return;
  first.begin[worker] = begin;
  ++first.workers;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  while (first.workers < num_threads() && std::chrono::steady_clock::now() < end)
    std::this_thread::yield();
}

void test_threads_begin_with_their_own_part() {
  for (int threads : {2, 3}) {
    set_num_threads(threads);
    FirstChunks first{std::vector<std::atomic<int64_t>>(threads)};
    for (auto& begin : first.begin) begin = -1;
    parallel_run(80 * threads, 10, note_first, &first);
    for (int worker = 0; worker < threads; ++worker) EXPECT(first.begin[worker] == 80 * worker);
  }
}

void test_thread_count_is_checked() {
  for (int n : {0, -1, 257}) {
    const auto set = [&] { set_num_threads(n); };
    EXPECT(contains(message_of<std::invalid_argument>(set), std::to_string(n).c_str()));
  }
  const auto nested = [] { parallel_for(2, 1, [](int64_t, int64_t) { set_num_threads(1); }); };
  EXPECT(message_of<std::logic_error>(nested) != "");
}

// Scratch sized by num_threads() is large enough as long as a KeepThreads lives.
void test_thread_count_is_kept() {
  set_num_threads(2);
  std::thread other;
  {
    const KeepThreads keep;
    other = std::thread([] { set_num_threads(3); });
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT(num_threads() == 2);
    EXPECT(every_chunk_once(1000, 3));
  }
  other.join();
  EXPECT(num_threads() == 3);
}

void test_one_chunk_stays_on_the_caller() {
  std::thread::id runner;
  parallel_for(10, 10, [&](int64_t, int64_t) { runner = std::this_thread::get_id(); });
  EXPECT(runner == std::this_thread::get_id() && hooks::workers_used() == 1);
}

void test_nested_runs_inline() {
  set_num_threads(4);
  std::atomic<int64_t> items{0};
  std::atomic<bool> same_thread{true};
  parallel_for(20, 1, [&](int64_t, int64_t) {
    const auto outer = std::this_thread::get_id();
    parallel_for(30, 7, [&](int64_t begin, int64_t end) {
      if (std::this_thread::get_id() != outer || begin % 7 != 0) same_thread = false;
      items += end - begin;
    });
  });
  EXPECT(items == 600 && same_thread);
}

void test_concurrent_callers() {
  set_num_threads(3);
  std::atomic<bool> right{true};
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i)
    callers.emplace_back([&] {
      for (int run = 0; run < 300; ++run)
        if (!every_chunk_once(50 + run, 3)) right = false;
    });
  // The size may change meanwhile: set_num_threads waits for its turn. (Back to 3, so that the
  // bodies' check of `worker` holds.)
  for (int i = 0; i < 20; ++i) set_num_threads(3);
  for (auto& caller : callers) caller.join();
  EXPECT(right);
}

void test_exceptions_reach_the_caller() {
  set_num_threads(2);
  for (int64_t bad : {0, 1, 57, 99}) {
    const auto run = [&] {
      parallel_for(100, 1, [&](int64_t begin, int64_t) {
        if (begin == bad) throw std::runtime_error("chunk " + std::to_string(begin));
      });
    };
    EXPECT(message_of<std::runtime_error>(run) == "chunk " + std::to_string(bad));
  }
  const auto on_worker = [] {
    std::atomic<int> begun{0};
    const auto caller = std::this_thread::get_id();
    parallel_for(2, 1, [&](int64_t, int64_t) {
      ++begun;
      while (begun < 2) std::this_thread::yield();
      if (std::this_thread::get_id() != caller) throw std::runtime_error("on a worker");
    });
  };
  EXPECT(message_of<std::runtime_error>(on_worker) == "on a worker");
  EXPECT(every_chunk_once(1000, 3) && meet(2));
}

void test_effective_grain() {
  EXPECT(effective_grain(100) == 100);
  hooks::set_forced_grain(7);
  EXPECT(effective_grain(100) == 7 && effective_grain(5) == 5);
  hooks::set_forced_grain(0);
}

#ifndef __SANITIZE_THREAD__  // which does not follow threads into a forked child
void test_fork() {
  set_num_threads(2);
  EXPECT(meet(2));
  const auto works = [] { return num_threads() == 2 && meet(2) && every_chunk_once(1000, 3); };
  EXPECT(true_in_child(works));
  EXPECT(true_in_child([&] { return works() && true_in_child(works); }));
  EXPECT(works());

  std::atomic<bool> stop{false};  // fork while another thread is inside parallel_run
  std::thread busy([&] {
    while (!stop) every_chunk_once(500, 3);
  });
  for (int i = 0; i < 30; ++i) EXPECT(true_in_child(works));
  stop = true;
  busy.join();
  EXPECT(works());
}

// Sleeps whoever has nothing to do, but not at once. A busy machine may get in the way of a single
// try, and takes a slice of the core that it is offered.
void test_workers_stay_awake_for_a_while() {
  using namespace std::chrono;
  set_num_threads(2);
  const auto asleep_after = [](microseconds pause) {
    EXPECT(meet(2));
    for (const auto end = steady_clock::now() + pause; steady_clock::now() < end;) {
    }
    return hooks::workers_asleep() == 1;
  };
  const auto ever = [&](bool asleep, microseconds pause) {
    for (int i = 0; i < 1000; ++i)
      if (asleep_after(pause) == asleep) return true;
    return false;
  };
  EXPECT(ever(false, microseconds(90)));
  EXPECT(ever(true, milliseconds(20)));
}

// A child without the fork handler counts on workers that do not exist. The caller does not wait
// for them; only the second thread is missed.
void test_caller_never_waits_for_unstarted_chunks() {
  set_num_threads(2);
  EXPECT(meet(2));
  hooks::disable_fork_handler = true;
  EXPECT(true_in_child([] { return every_chunk_once(1000, 3) && hooks::workers_used() == 1; }));
  EXPECT(!true_in_child([] { return meet(2); }));
  hooks::disable_fork_handler = false;
}
#endif

// --no-fork: without what forks or is a matter of microseconds, for qemu-user, which breaks when a
// process with threads forks.
int main(int argc, char** argv) {
  [[maybe_unused]] const bool forks = argc < 2 || std::strcmp(argv[1], "--no-fork") != 0;
#ifndef __SANITIZE_THREAD__
  if (forks) test_environment();
#endif
  test_every_chunk_once();
  test_split_by_threads_is_visible();
  test_all_threads_take_part();
  test_threads_begin_with_their_own_part();
  test_thread_count_is_checked();
  test_thread_count_is_kept();
  test_one_chunk_stays_on_the_caller();
  test_nested_runs_inline();
  test_concurrent_callers();
  test_exceptions_reach_the_caller();
  test_effective_grain();
#ifndef __SANITIZE_THREAD__
  if (forks) {
    test_workers_stay_awake_for_a_while();
    test_fork();
    test_caller_never_waits_for_unstarted_chunks();
  }
#endif
  std::puts("ok");
}

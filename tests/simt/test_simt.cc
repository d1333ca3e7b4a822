// The emulator itself: right kernels give right numbers under every schedule, wrong ones are found.
// Built by nvcc the first half runs on a GPU. Arguments: none (everything), or the name of a broken
// kernel that a sanitizer has to report.
#include <functional>
#include <numeric>

#include "kernel_test.h"
#include "samples.h"

using namespace dlx::cuda;

namespace {

template <auto kernel>
void sums(const char* name) {
  const int n = 1000, blocks = (n + samples::kThreads - 1) / samples::kThreads;
  std::vector<float> x = drawn(n), expected(blocks);
  for (int i = 0; i < n; ++i) x[i] = std::floor(x[i]), expected[i / samples::kThreads] += x[i];
  const OnDevice<float> in(x), out(blocks);
  launch_grid<kernel>(blocks, samples::kThreads, 0, test_stream(), in, out, n);
  expect_equal(out.values(), expected, name);
}

void transposes() {
  const int n = 37, m = 53;
  const std::vector<float> x = drawn(n * m);
  std::vector<float> expected(n * m);
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < m; ++j) expected[j * n + i] = x[i * m + j];
  const OnDevice<float> in(x), out(n * m);
  launch_grid<samples::transpose>(dim3((m + 15) / 16, (n + 15) / 16), dim3(16, 16), 0,
                                  test_stream(), in, out, n, m);
  expect_equal(out.values(), expected, "transpose");
}

void histograms() {
  const int n = 5000, bins = 300;
  std::vector<int> x(n), expected(bins);
  for (int i = 0; i < n; ++i) ++expected[x[i] = i * 7919 % bins * i % bins];
  const OnDevice<int> in(x), out(std::vector<int>(bins, 0));
  launch_grid<samples::histogram>(4, samples::kThreads, bins * sizeof(int), test_stream(), in, out,
                                  n, bins);
  expect_equal(out.values(), expected, "histogram");
}

void warps() {
  const std::vector<float> x = drawn(32), row = drawn(2 * samples::kThreads);
  std::vector<int> above;
  for (int i = 0; i < 32; ++i)
    if (x[i] > 0) above.push_back(i);
  std::vector<float> turned(row.size());
  for (size_t i = 0; i < row.size(); ++i) turned[i] = row[i / 32 * 32 + (i + 1) % 32];
  const OnDevice<float> in(x), rows(row), out(row.size());
  const OnDevice<int> positions(32), count(1);
  launch_grid<samples::positions_above_zero>(1, 32, 0, test_stream(), in, positions, count);
  expect_equal(count.values(), {static_cast<int>(above.size())}, "ballot");
  expect_equal(positions.values(), above, "ballot");
  launch_grid<samples::turn_rows>(2, samples::kThreads, 0, test_stream(), rows, out);
  expect_equal(out.values(), turned, "syncwarp");

  std::vector<int> y(64), scanned(64);
  std::iota(y.begin(), y.end(), -20);
  for (int i = 0, sum = 0; i < 64; ++i) {
    sum = i % 8 ? sum + y[i] : y[i];
    scanned[i] = sum - y[i / 8 * 8];
  }
  const OnDevice<int> ints(y), result(64), any(1), negatives(1);
  launch_grid<samples::scan_by_eights>(1, 64, 0, test_stream(), ints, result, any, negatives);
  expect_equal(result.values(), scanned, "shuffle in groups");
  expect_equal(any.values(), {1}, "syncthreads_or");
  expect_equal(negatives.values(), {20}, "syncthreads_count");
}

// What a stream gets between begin_capture and end_capture happens at each launch of the graph, and
// not before.
void graphs() {
  const int n = 3 * samples::kThreads;
  const std::vector<float> ones(n, 1.0f), threes(n, 3.0f);
  const auto sum = static_cast<float>(samples::kThreads);
  const OnDevice<float> x(ones), copied(std::vector<float>(n, -1.0f)), sums(ones.size());
  const Stream captured = create_stream();
  begin_capture(captured);
  const int64_t bytes = n * static_cast<int64_t>(sizeof(float));
  copy(captured, copied, x, bytes, Copy::on_device);
  launch_grid<samples::block_sums>(3, samples::kThreads, 0, captured, copied, sums, n);
  fill(captured, static_cast<float*>(copied), 0, sizeof(float));
  const Graph graph = end_capture(captured);
  synchronize(captured);
  expect_equal(copied.values(), std::vector<float>(n, -1.0f), "a captured copy before a launch");
  for (const auto& values : {ones, threes}) {
    copy(test_stream(), x, values.data(), bytes, Copy::to_device);
    launch_graph(graph, test_stream());
    std::vector<float> expected = values;
    expected[0] = 0;
    expect_equal(copied.values(), expected, "a copy and a fill in a graph");
    const float each = sum * values[1];
    expect_equal(sums.values(), {each, each, each}, "sums in a graph");
  }
  launch_graph(graph, test_stream());
  destroy_graph(graph);  // the launch goes on
  synchronize(test_stream());
  destroy_stream(captured);
}

void right_kernels() {
  sums<samples::block_sums>("sums by a tree");
  sums<samples::block_sums_by_shuffles>("sums by shuffles");
  transposes();
  histograms();
  warps();
  graphs();
}

}  // namespace

#if defined(__CUDACC__)

int main() {
  if (device_count() == 0) fail("no GPU: " + reason_for_no_device());
  right_kernels();
  report_success();
}

#else
#include "broken.h"

namespace {

using Body = std::function<void()>;

void expect_error(const char* name, const char* words, const Body& body) {
  try {
    body();
    synchronize(test_stream());
  } catch (const std::runtime_error& e) {
    if (std::string(e.what()).find(words) == std::string::npos)
      fail(std::string(name) + ": says '" + e.what() + "', expected '" + words + "'");
    return;
  }
  fail(std::string(name) + ": was not found");
}

void wrong_kernels() {
  using samples::kThreads;
  const OnDevice<float> y(kThreads);
  const auto expect = [&]<auto kernel>(const char* name, const char* words) {
    expect_error(name, words, [&] {
      launch_grid<kernel>(1, kThreads, 0, test_stream(), static_cast<float*>(y));
    });
  };
  expect.operator()<broken::barrier_in_a_branch>("barrier_in_a_branch", "divergent __syncthreads");
  expect.operator()<broken::lane_outside_of_mask>("lane_outside_of_mask", "not in the mask");
  expect.operator()<broken::half_a_warp>("half_a_warp", "deadlock");
  expect.operator()<broken::shuffle_from_who_left>("shuffle_from_who_left", "reads lane 3");
  expect.operator()<broken::too_much_shared>("too_much_shared", "48 KiB");

  std::vector<float> on_host(4);
  expect_error("a host pointer", "does not point into memory of its device", [&] {
    launch_grid<broken::too_much_shared>(1, 1, 0, test_stream(), on_host.data());
  });
  expect_error("a copy the wrong way", "no pointer to host memory",
               [&] { copy(test_stream(), y, y, 4, Copy::to_device); });
  expect_error("too many threads", "blocks of 1025 threads", [&] {
    launch_grid<broken::half_a_warp>(1, 1025, 0, test_stream(), static_cast<float*>(y));
  });
}

// A barrier that is missing shows as a number that depends on the order of the threads.
[[maybe_unused]] void missing_barrier() {
  const std::vector<float> x = drawn(samples::kThreads);
  const std::vector<float> reversed(x.rbegin(), x.rend());
  int wrong = 0;
  for (const auto order : {simt::Order::forward, simt::Order::reverse, simt::Order::random}) {
    simt::schedule = {order, 1};
    const OnDevice<float> in(x), out(x.size());
    launch_grid<broken::no_barrier>(1, samples::kThreads, 0, test_stream(), in, out);
    wrong += out.values() != reversed;
  }
  if (wrong == 0) fail("no_barrier: was not found");
}

// Work waits in its stream; another stream sees it only after an event.
void streams_and_events() {
  const Stream other = create_stream();
  const OnDevice<float> x(std::vector<float>(4, 1.0f));
  float seen[4] = {};
  copy(test_stream(), seen, x, sizeof seen, Copy::to_host);
  if (seen[0] != 0) fail("a copy happened before anything waited for it");
  const Event event = create_event();
  record(event, test_stream());
  if (is_done(event)) fail("an event is done before its stream");
  wait(other, event);
  synchronize(other);
  if (seen[3] != 1 || !is_done(event)) fail("a stream did not wait for an event");
  destroy_event(event);
  destroy_stream(other);
}

// What may not be done while a stream is captured is an error, and the graph is lost.
void wrong_captures() {
  const OnDevice<float> x(std::vector<float>(4, 1.0f));
  const Stream s = create_stream(), other = create_stream();
  synchronize(test_stream());
  const Event event = create_event();
  record(event, other);
  float on_host[4] = {};
  const auto expect = [&](const char* name, const char* words, const Body& body) {
    begin_capture(s);
    expect_error(name, words, body);
    expect_error(name, "previous error", [&] { end_capture(s); });
    fill(s, static_cast<float*>(x), 0xff, 16);  // the stream works as before
    synchronize(s);
    if (!std::isnan(x.values()[3])) fail("a stream does nothing after a lost capture");
    fill(s, static_cast<float*>(x), 0, 16);
    synchronize(s);
  };
  const char* refused = "not permitted when stream is capturing";
  expect("cudaMalloc", refused, [] { device_malloc(4); });
  expect("cudaFree", refused, [&] { device_free(x); });
  expect("cudaMallocHost", refused, [] { pinned_malloc(4); });
  expect("cudaStreamSynchronize", refused, [&] { synchronize(s); });
  expect("cudaStreamSynchronize", refused, [&] { synchronize(other); });
  expect("cudaDeviceSynchronize", refused, [] { synchronize_device(); });
  expect("cudaEventQuery", refused, [&] { is_done(event); });
  expect("cudaEventSynchronize", refused, [&] { synchronize(event); });
  expect("cudaStreamWaitEvent", refused, [&] { wait(s, event); });
  expect("cudaStreamBeginCapture", refused, [&] { begin_capture(s); });
  expect("copy from the host", refused, [&] { copy(s, x, on_host, 16, Copy::to_device); });
  expect("copy to the host", refused, [&] { copy(s, on_host, x, 16, Copy::to_host); });
  expect("a stream that joins", refused, [&] {
    record(event, s);
    wait(other, event);
  });
  expect_error("no capture", "not capturing", [&] { end_capture(s); });

  begin_capture(s);
  record(event, s);
  wait(s, event);
  fill(other, static_cast<float*>(x), 0xff, 16);  // is not captured
  const Graph empty = end_capture(s);
  expect_error("a captured event", "was captured", [&] { is_done(event); });
  destroy_graph(empty);
  synchronize(other);
  if (!std::isnan(x.values()[3])) fail("a fill beside a capture was captured");

  Graph stale = nullptr;
  {
    const OnDevice<float> gone(4);
    begin_capture(s);
    fill(s, static_cast<float*>(gone), 0, 16);
    stale = end_capture(s);
  }
  expect_error("a graph of freed memory", "does not point into memory of its device",
               [&] { launch_graph(stale, s); });
  destroy_graph(stale);
  destroy_event(event);
  destroy_stream(s);
  destroy_stream(other);
}

void memory_comes_back() {
  const int64_t before = memory_info().free;
  {
    const OnDevice<float> x(1000);
  }
  if (memory_info().free != before) fail("device memory was not freed");
  if (device_malloc(memory_info().total + 1)) fail("more memory than there is");
}

// For a sanitizer to stop.
void run_broken(const std::string& name) {
  using samples::kThreads;
  const OnDevice<float> x(2 * kThreads), y(2 * kThreads);
  const OnDevice<int> word(std::vector<int>(1, 0));
  float* to = y;
  if (name == "beyond_the_end") {
    launch_grid<broken::beyond_the_end>(3, kThreads, 0, test_stream(), x, y, 2 * kThreads);
  } else if (name == "beyond_shared") {
    launch_grid<broken::beyond_shared>(1, kThreads, 0, test_stream(), to);
  } else if (name == "no_barrier") {
    launch_grid<broken::no_barrier>(1, kThreads, 0, test_stream(), x, y);
  } else if (name == "all_blocks_one_word") {
    launch_grid<broken::all_blocks_one_word>(2, 1, 0, test_stream(), static_cast<int*>(word));
  } else {
    fail("no broken kernel is named " + name);
  }
  synchronize(test_stream());
}

}  // namespace

int main(int count, char** arguments) {
  if (count > 1) {
    run_broken(arguments[1]);
    std::printf("%s: no sanitizer stopped it\n", arguments[1]);
    return 0;
  }
  under_every_schedule([] {
    right_kernels();
    wrong_kernels();
    streams_and_events();
    wrong_captures();
    memory_comes_back();
  });
#if !defined(DLX_SIMT_TSAN)  // which would report it
  missing_barrier();
#endif
  report_success();
}
#endif

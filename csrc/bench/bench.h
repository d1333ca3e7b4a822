// What the families share: arrays of numbers, the loop around one op, and what its row shows.
#pragma once
#include <benchmark/benchmark.h>

#include <chrono>
#include <initializer_list>
#include <string>
#include <vector>

#include "core/check.h"
#include "core/cpu_features.h"
#include "core/launch.h"
#include "core/parallel.h"

namespace dlx::bench {

// Each registers the rows of its family.
void add_gemm();
void add_conv();
void add_pointwise();
void add_reduce();
void add_pool();
void add_norm();
void add_softmax();
void add_optimizer();
void add_random();
void add_threads();

Array zeros(const Dims& shape, DType dtype = DType::float32);
Array random(const Dims& shape, DType dtype = DType::float32);  // uniform in [-1, 1), float32 or 64
Array generator();                                              // the cell of random ops

// The arrays that a pass reads and writes, all of about one size. Neither: nobody asks for the
// memory, the op computes.
struct Mix {
  int reads = 0, writes = 0;
};

// The least time for `cost` on the threads set now: at the peak of dtype's multiply-adds, or at the
// bandwidth of that mix and working set, with or without streaming stores, whichever takes longer.
// The bandwidth is one of separate arrays: what works in place can be faster.
double limit_seconds(const Cost& cost, DType dtype, Mix mix);

// Times op: GFLOP/s and GB/s by its own count of both, and the share of the limit in percent. The
// number of threads is the row's argument.
template <class Shape>
void run(benchmark::State& state, const Op& op, const Shape& shape,
         const std::vector<const Array*>& inputs, const std::vector<Array*>& outputs, Mix mix) {
  using Clock = std::chrono::steady_clock;
  set_num_threads(static_cast<int>(state.range(0)));
  const Cost cost = op.cost(&shape);
  const double limit = limit_seconds(cost, outputs[0]->dtype, mix);
  const Launch call{op, &shape, sizeof shape, inputs, outputs};
  // Both threads of a virtual machine may share a CPU until they have been busy for a while.
  const auto warm = Clock::now() + std::chrono::milliseconds(50);
  do {
    launch_bytes(current_ctx(), call);
  } while (num_threads() > 1 && Clock::now() < warm);
  const auto start = Clock::now();
  for (auto _ : state) launch_bytes(current_ctx(), call);
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count() /
                         static_cast<double>(state.iterations());
  state.counters["GFLOP/s"] = static_cast<double>(cost.flops) / seconds * 1e-9;
  state.counters["GB/s"] = static_cast<double>(cost.bytes) / seconds * 1e-9;
  state.counters["%limit"] = 100 * limit / seconds;
}

// The row `name` on one thread and on every CPU: f(state), which allocates its arrays and calls
// run.
template <class F>
void add(const std::string& name, const F& f) {
  auto* row = benchmark::RegisterBenchmark(name.c_str(), f);
  row->ArgName("threads")->Unit(benchmark::kMicrosecond)->Arg(1);
  if (usable_cpus() > 1) row->Arg(usable_cpus());
}

}  // namespace dlx::bench

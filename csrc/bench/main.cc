// dlx_bench: the ops alone, without Python. `--benchmark_filter=conv`, `--benchmark_list_tests`,
// and the other options of Google Benchmark.
#include <algorithm>
#include <cstring>
#include <map>
#include <tuple>

#include "bench/bench.h"
#include "core/machine_limits.h"
#include "ops/random.h"

namespace dlx::bench {

Array zeros(const Dims& shape, DType dtype) {
  Array a = empty(shape, dtype, {});
  std::memset(a.data(), 0, static_cast<size_t>(a.bytes()));
  return a;
}

Array generator() { return zeros({2}, DType::int64); }

Array random(const Dims& shape, DType dtype) {
  Array a = empty(shape, dtype, {}), cell = generator();
  launch(current_ctx(), ops::random_uniform, RandomUniformShape::make(shape, dtype, -1, 1), {},
         {&a, &cell});
  return a;
}

namespace {

const MachineLimits& limits() {
  static std::map<int, MachineLimits> measured;  // by threads
  const auto [at, fresh] = measured.try_emplace(num_threads());
  if (fresh) at->second = measure_machine_limits();
  return at->second;
}

double bandwidth(Mix mix, int64_t array_bytes) {
  static std::map<std::tuple<int, int, int, int64_t>, double> measured;
  const auto [at, fresh] =
      measured.try_emplace({num_threads(), mix.reads, mix.writes, array_bytes});
  if (fresh) at->second = Bandwidth({mix.reads, mix.writes, array_bytes, true}).measure(0.05);
  return at->second;
}

}  // namespace

double limit_seconds(const Cost& cost, DType dtype, Mix mix) {
  const double gflops = dtype == DType::float64 ? limits().gflops_f64 : limits().gflops_f32;
  const double computing = static_cast<double>(cost.flops) * 1e-9 / gflops;
  const int arrays = mix.reads + mix.writes;
  if (arrays == 0) return computing;
  const double moving =
      static_cast<double>(cost.bytes) * 1e-9 / bandwidth(mix, cost.bytes / arrays);
  return std::max(computing, moving);
}

}  // namespace dlx::bench

int main(int argc, char** argv) {
  using namespace dlx::bench;
  char tabular[] = "--benchmark_counters_tabular=true";
  std::vector<char*> args(argv, argv + argc);
  args.insert(args.begin() + 1, tabular);
  int count = static_cast<int>(args.size());
  args.push_back(nullptr);
  benchmark::Initialize(&count, args.data());
  if (benchmark::ReportUnrecognizedArguments(count, args.data())) return 1;
  benchmark::AddCustomContext("instruction set",
                              dlx::kIsaName[static_cast<int>(dlx::current_isa())]);
  add_gemm();
  add_conv();
  add_pointwise();
  add_reduce();
  add_pool();
  add_norm();
  add_softmax();
  add_optimizer();
  add_random();
  add_threads();
  benchmark::RunSpecifiedBenchmarks();
}

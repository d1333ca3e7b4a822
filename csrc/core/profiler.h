// The first observer at the door: what every op of one thread did and how long it took.
#pragma once
#include <chrono>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "core/cpu_features.h"
#include "core/launch.h"

namespace dlx {

struct ProfileRow {
  int64_t calls = 0, bytes = 0;
  int64_t flops = 0, flops_f64 = 0;  // all, and those of float64 among them: their peak is another
  double seconds = 0;
};

class Profiler final : public Observer {
 public:
  // By name and by the instruction set of the kernel.
  using Rows = std::map<std::pair<std::string, Isa>, ProfileRow>;

  void before(const Launch&) override { start_ = Clock::now(); }
  void after(const Launch&) override;
  Rows rows() const;

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_;
  mutable std::mutex mutex_;  // of rows_: other threads look while a launch runs without the GIL
  std::map<std::pair<const Op*, Isa>, ProfileRow> rows_;  // a key that costs nothing to compare
};

}  // namespace dlx

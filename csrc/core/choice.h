// An op's choice among algorithms. A table of the op's own decides by shape; tests force one of
// them wherever it applies, so that each is checked and not only those the table picks.
#pragma once
#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

namespace dlx {

class Choice {
 public:
  // A static object: `static Choice choice("conv2d", {"panels", "direct"});`
  Choice(const char* op, std::initializer_list<const char*> algorithms);
  Choice(const Choice&) = delete;

  // The index `chosen`, or the forced one if it is in the set of bits `applicable`.
  int pick(int chosen, uint32_t applicable) {
    const int forced = forced_.load(std::memory_order_relaxed);
    if (forced >= 0 && applicable >> forced & 1) {
      taken_.fetch_add(1, std::memory_order_relaxed);
      chosen = forced;
    }
    latest_.store(chosen, std::memory_order_relaxed);
    return chosen;
  }

  const std::string op;
  const std::vector<std::string> algorithms;

  // How often the algorithm forced until now was taken; then forces `algorithm`, none if -1. Only
  // while no op runs: pick() must answer alike for a workspace and for the run in it.
  int64_t force(int algorithm);
  int64_t taken() const { return taken_.load(std::memory_order_relaxed); }

  // What pick() answered last, -1 before its first call. Where algorithms are asked one after the
  // other whether they take a shape, the last answer is the one that holds.
  int latest() const { return latest_.load(std::memory_order_relaxed); }

  static const std::vector<Choice*>& all();

 private:
  std::atomic<int> forced_{-1};
  std::atomic<int> latest_{-1};
  std::atomic<int64_t> taken_{0};
};

}  // namespace dlx

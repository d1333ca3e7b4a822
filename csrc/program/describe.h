// A program as data, for those that show it: python/dlx/_jit_view.py.
#pragma once
#include <chrono>
#include <string>
#include <vector>

#include "core/launch.h"

namespace dlx {

struct DescribedArray {
  DType dtype;
  Dims shape;
  std::string where;  // "slot 3", "constant", "result", "arena"
  int32_t arena = -1;
  int64_t place = 0;  // of its first element: in the arena
};

struct DescribedCall {
  std::string op;  // "fused(add, relu)"
  Device device;
  size_t inputs;
  std::vector<DescribedArray> arrays;  // inputs, then outputs
  Cost cost;
  std::string line, layer;
};

// Memory in an arena, in use between two calls, both included.
struct DescribedBlock {
  int32_t arena;
  int64_t place, bytes;
  int32_t first, last;
  int32_t maker;  // the call that writes it first; -1: none
};

struct DescribedArena {
  Device device;
  int64_t bytes;
};

struct Description {
  std::vector<DescribedCall> calls;
  std::vector<DescribedBlock> blocks;
  std::vector<DescribedArena> arenas;
  std::string graph;  // how a GPU gets the launches; "": there is none
};

// Stands at the door during replays of one program, whose calls it times.
class CallTimer final : public Observer {
 public:
  void before(const Launch&) override { start_ = Clock::now(); }
  void after(const Launch&) override;
  void start_replay() { next_ = 0; }
  std::vector<double> seconds;  // of each call, all replays together
  int64_t replays = 0;

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_;
  size_t next_ = 0;
};

}  // namespace dlx

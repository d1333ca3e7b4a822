// The second observer at the door: records the launches of one thread, and replays them below the
// door, without Python, on new data.
#pragma once
#include <map>
#include <vector>

#include "core/launch.h"

namespace dlx {

// Memory older than the recording (parameters, optimizer state, the generator's cell) is used in
// place by every replay. Memory made during it is the program's own, and what the host wrote there
// (numbers made into arrays) is part of the program.
class Program final : public Observer {
 public:
  ~Program() override;

  void start(Ctx&);
  void stop(bool complete);  // false: the step failed, the program cannot be replayed

  void before(const Launch&) override;
  void host_read(const Array&) override;
  void cell_moves(const Array&) override;

  // Step i reads values[i] where it was recorded reading `tensor`. values: dense, (steps, ...).
  struct Feed {
    Array tensor, values;
  };
  // All steps in one call, the door closed to every thread: nobody sees or shares half a step.
  void replay(int64_t steps, const std::vector<Feed>& feeds);

  std::vector<const char*> launches() const;  // names of the ops

 private:
  struct Memory {
    Storage* pinned = nullptr;  // used in place; null: own
    Array own;                  // since the first replay
    int64_t bytes = 0;
    Device device;
    std::vector<char> initial;  // what the host wrote before the first launch; into its own memory
    bool written = false;
  };
  struct Buffer {
    size_t memory;
    int64_t offset;  // in bytes
  };
  struct Call {
    const Op* op;
    std::vector<char> shape;
    Device device;
    std::vector<Buffer> buffers;
  };

  Buffer buffer_of(const Array&, bool overwritten);
  const char* last() const { return calls_.empty() ? "its start" : calls_.back().op->name; }

  Ctx* ctx_ = nullptr;                // while recording
  uint64_t first_id_ = 0;             // of the storages made during the recording
  std::map<uint64_t, size_t> index_;  // storage id -> memory
  std::vector<Memory> memories_;
  std::vector<Call> calls_;
  bool complete_ = false;
  std::atomic<bool> replaying_{false};
};

}  // namespace dlx

// A recorded step that can be replayed: launches without the dead ones, memory planned by liveness
// into an arena, inputs and state bound anew by every replay. Knows no device and no Python.
#pragma once
#include <map>
#include <mutex>

#include "program/describe.h"
#include "program/record.h"
#include "program/step_graph.h"

namespace dlx {

// A place outside of the program that holds a value before and after the step: an argument, a
// parameter, a buffer, a gradient.
struct StepSlot {
  RecordedArray before;  // memory -1: the program does not use the value, or there is none
  RecordedArray after;   // where the value is afterwards
  bool moves = false;    // to other memory, or another view of it; after.memory -1: to none
  Device device;
  bool given = false;   // there is a value before
  bool varies = false;  // it is another one at every call: an argument
  // Number of the launch before which that value is another, or goes; -1: none.
  int32_t leaves = -1;
};

// What may be done to a record before it is replayed; the bits of results are the same with all.
struct StepOptions {
  bool fuse = true;          // launches into one another, and run again what is cheap
  int64_t memory_limit = 0;  // bytes of arena and results; 0: none
  bool graph = true;         // a GPU gets the launches once, where that is possible
};

class StepProgram {
 public:
  // outputs: what the step returns. Memory that is older than the recording is that of a slot, and
  // offsets in it count from the slot's value on. std::runtime_error where the limit is too low.
  StepProgram(Record record, std::vector<StepSlot> slots, std::vector<RecordedArray> outputs,
              StepOptions options = {});

  // Empty where these values can take the place of the recorded ones: same shapes, dtypes, devices
  // and layouts. Else what differs.
  std::string misfit(const std::vector<Array*>& slots) const;

  // One replay: what each memory is this time, kept alive to its end whatever other threads do.
  struct Bound {
    std::unique_lock<std::mutex> lock;  // not owned: another thread replays the program
    std::vector<StorageRef> storages;
    std::vector<char*> data;
    mutable size_t launched = 0;  // by run(): launches that have come to their end
  };
  // slots[k]: the value of slot k, which fits; null where there is none.
  Bound bind(Ctx&, const std::vector<Array*>& slots);
  void run(Ctx&, const Bound&) const;
  std::vector<Array> outputs(const Bound&) const;  // in memory of their own
  // After an error in run(): the number of the launch that failed, and a value from before it, if
  // it is still there; an Array without memory if not.
  int32_t failed(const Bound&) const;
  Array value_left(const Bound&, const RecordedArray&) const;
  void move_slots(const Bound&, const std::vector<Array*>& slots) const;

  int64_t launches() const { return static_cast<int64_t>(record_.calls.size()); }
  int64_t dead_launches() const { return dead_; }
  int64_t arena_bytes() const { return arena_bytes_; }
  int64_t result_bytes() const { return result_bytes_; }  // outputs and moved slots, per replay
  int64_t unplanned_bytes() const { return unplanned_bytes_; }  // of what is in the arena
  Cost cost() const { return cost_; }
  const StepGraph* graph() const { return graph_.get(); }  // null: it is not wanted
  void name_layers(std::vector<std::string> names) { record_.layers = std::move(names); }
  Description describe() const;
  std::unique_lock<std::mutex> hold() { return std::unique_lock(mutex_); }  // no replay meanwhile

 private:
  enum class Kind : uint8_t { slot, constant, arena, result };
  struct Memory {
    Kind kind = Kind::arena;
    int32_t slot = -1;              // that holds it before the step
    bool written = false;           // by a launch
    int32_t first = -1, last = -1;  // launch
    int32_t arena = -1;             // of arenas_
    int64_t place = 0;              // in it
    int32_t shares = -1;    // the memory whose place this one takes over: its input dies here
    int32_t recycled = -1;  // result: the slot whose old memory nobody needs any more
    StorageRef own;         // constant
  };

  void plan_memory();
  void shrink(const std::vector<bool>& kept, int64_t limit);
  void find_lifetimes();
  void share_in_place();
  void place_in_arenas();
  void make_constants();
  void make_graph();
  void run_observed(Ctx&, const Bound&, const RecordedCall&) const;
  void run_observed(Ctx&, const Bound&, const RecordedCall&,
                    std::map<int32_t, Array>& within) const;
  Array value(const Bound&, const RecordedArray&) const;

  Record record_;
  std::vector<StepSlot> slots_;
  std::vector<RecordedArray> outputs_;
  std::vector<Memory> memories_;
  struct Arena {
    Device device;
    int64_t bytes;
    Array memory;  // since the first replay
  };
  std::vector<Arena> arenas_;  // one for each device that the step computes on
  std::unique_ptr<StepGraph> graph_;
  int64_t arena_bytes_ = 0, result_bytes_ = 0, unplanned_bytes_ = 0, dead_ = 0;
  Cost cost_;
  std::mutex mutex_;
};

}  // namespace dlx

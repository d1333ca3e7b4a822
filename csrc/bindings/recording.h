// One recorded call of a function under dlx.jit: its launches, and what they are to Python's
// Tensors.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "bindings/tensor_base.h"
#include "bindings/whereabouts.h"
#include "program/step_program.h"

namespace dlx {

namespace py = pybind11;

// A value and where it is, without owning it.
struct Place {
  bool given = false;
  uint64_t storage = 0;
  Array meta;
  Device device;
  int64_t offset = 0;

  Place() = default;
  explicit Place(const Array&);
  bool is(const Array&) const;
  RecordedArray in(const Record&) const;
};

// A cell before the call: its value, and its gradient's.
struct CellBefore {
  Place value, grad;
  py::weakref grad_object;  // an address may come again
  const NodeObject* node;
  bool requires_grad, shared;
};

TensorObject* cell_in(const py::handle&);  // a Tensor that has a value

// A cell gets another value or gradient in the course of the call, before this launch.
struct CellChange {
  int32_t launch;
  size_t slot;  // 2 * cell: its value, 2 * cell + 1: its gradient
  Place place;  // not given: none
  RecordedArray now = {};
};

// What the call returned: a value.
struct Output {
  RecordedArray array;
  py::object node;  // released: the value was part of a graph that backward() freed
  int index = 0;
};

// One call of the function. cells: its Tensors, the arguments first, then all state that it can
// reach; reached: arguments that it can reach as state, too; before: an earlier one of the same
// cells, or null; alike: to be equal to it if the function does the same.
class Recording {
 public:
  Recording(std::vector<py::object> cells, size_t arguments, const std::vector<size_t>& reached,
            const Recording* before, bool alike);
  void start();
  void stop();
  static bool is_under_way();  // whether this thread is between a start() and its stop()

  // After the call that returned these Tensors: why it cannot be replayed, or "".
  std::string finish(const std::vector<py::object>& returned);
  // Of the memory that outlives the call and is nowhere that a replay could reach; "" if none does.
  std::string escaped() const;
  // Where Python first used numbers that it made into a Tensor; "" if it made none.
  std::string line_of_numbers() const;
  // What was needed to judge this call alone goes.
  void settle();
  // Empty where both did the same; else the first difference, with its source line.
  std::string difference(const Recording& other) const;

  std::vector<py::object> cells_;
  size_t arguments_;
  std::vector<py::object> reached_;  // of each argument: itself where it is state, too
  std::vector<CellBefore> before_;
  std::vector<StepSlot> slots_;  // of each cell its value and its gradient
  std::vector<bool> new_grads_;  // of each cell: its gradient is another Tensor afterwards
  std::vector<Output> outputs_;
  std::vector<CellChange> changes_;  // in order; what an error in a replay leaves behind
  std::unique_ptr<Recorder> recorder_;
  std::unique_ptr<Whereabouts> whereabouts_ = std::make_unique<Whereabouts>();

 private:
  bool writes(size_t cell) const;
  static std::string refuse(const char* why, const TensorObject* t);
  void add_slot(const Place& before, const Array* after);
  // Once it is known what the step uses: memory from before is counted from its slot's value on, so
  // that it may be another part of another block next time.
  void locate_slots();
  // Before a launch: what the cells hold now.
  void look_at_cells();

  std::vector<StorageRef> holds_;  // so that the call finds it shared
  std::vector<uint64_t> seen_;     // of each slot: the storage last seen in it, 0: none
};

}  // namespace dlx

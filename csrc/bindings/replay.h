// A recorded call of a function under dlx.jit that runs without Python.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "bindings/recording.h"
#include "program/describe.h"

namespace dlx {

class Replay {
 public:
  Replay(Recording&, StepOptions);

  enum class Outcome : uint8_t { done, misfit, busy };
  // One replay with these Tensors as arguments; appends the Tensors that the call returns. busy:
  // another thread replays. misfit: these Tensors, or state as it is now, cannot take the place of
  // the recorded ones, `why` says why. Nothing has changed in both cases.
  Outcome run(std::span<PyObject* const> arguments, std::vector<py::object>& returned,
              std::string& why);
  // Why these Tensors, and state as it is now, cannot take the place of the recorded ones; or "".
  std::string misfit(std::span<PyObject* const> arguments) const;

  const StepProgram& program() const { return program_; }
  Description describe();
  void time(int64_t replays);  // each call of the next ones
  const CallTimer& timer() const { return timer_; }
  size_t arguments() const { return arguments_; }

 private:
  // Of a replay that is under way.
  struct Cells {
    std::vector<TensorObject*> all;
    std::vector<Array*> slots;  // of each cell its value and its gradient
  };
  std::string gather(std::span<PyObject* const> arguments, Cells&) const;
  bool plays_its_part(PyObject* argument, size_t k) const;
  void finish(const StepProgram::Bound&, Cells&) const;
  // Cells, and their gradients from before, which others hold, too.
  using Replaced = std::vector<std::pair<size_t, py::object>>;
  void leave_behind(const StepProgram::Bound&, Cells&, const Replaced&) const;
  void name_layers();
  void run_timed(Ctx&, const StepProgram::Bound&);
  std::unique_lock<std::mutex> hold_program();

  std::vector<py::object> state_;  // cells that are no arguments
  size_t arguments_;
  std::vector<py::object> reached_;  // of each argument: itself where it is state, too
  std::vector<CellBefore> before_;
  std::vector<StepSlot> slots_;
  std::vector<bool> new_grads_;
  std::vector<Output> outputs_;
  std::vector<CellChange> changes_;
  std::unique_ptr<Whereabouts> whereabouts_;  // null once the layers have names
  StepProgram program_;
  CallTimer timer_;
  int64_t to_time_ = 0;
};

}  // namespace dlx

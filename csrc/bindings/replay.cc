#include "bindings/replay.h"

#include <algorithm>

namespace dlx {
namespace {

std::vector<RecordedArray> arrays_of(const std::vector<Output>& outputs) {
  std::vector<RecordedArray> arrays;
  for (const Output& o : outputs) arrays.push_back(o.array);
  return arrays;
}

Array* grad_of(const TensorObject* t) { return t->grad ? &as_tensor(t->grad)->array : nullptr; }

}  // namespace

Replay::Replay(Recording& r, StepOptions options)
    : state_(r.cells_.begin() + static_cast<std::ptrdiff_t>(r.arguments_), r.cells_.end()),
      arguments_(r.arguments_),
      reached_(r.reached_),
      before_(r.before_),
      slots_(r.slots_),
      new_grads_(r.new_grads_),
      outputs_(r.outputs_),
      changes_(r.changes_),
      whereabouts_(std::move(r.whereabouts_)),
      program_(r.recorder_->record(), r.slots_, arrays_of(outputs_), options) {}

Replay::Outcome Replay::run(std::span<PyObject* const> arguments, std::vector<py::object>& returned,
                            std::string& why) {
  // Kept from call to call: the room for the pointers.
  static thread_local Cells spare;
  Cells cells = std::move(spare);
  why = gather(arguments, cells);
  if (!why.empty()) return Outcome::misfit;
  Ctx& ctx = current_ctx();
  Replaced replaced;
  for (size_t k = 0; k < cells.all.size(); ++k) {
    // As eager: whoever kept an old gradient keeps its values.
    PyObject*& grad = cells.all[k]->grad;
    if (!grad || !new_grads_[k] || Py_REFCNT(grad) == 1) continue;
    PyObject* other = wrap(as_tensor(grad)->array);
    replaced.emplace_back(k, py::reinterpret_steal<py::object>(std::exchange(grad, other)));
    cells.slots[2 * k + 1] = grad_of(cells.all[k]);
  }
  {
    const StepProgram::Bound now = program_.bind(ctx, cells.slots);
    if (!now.lock) return Outcome::busy;
    if (ctx.num_observers > 0) name_layers();
    try {
      const GilRelease release(program_.cost().flops + program_.cost().bytes > 200'000);
      if (to_time_ > 0) [[unlikely]]
        run_timed(ctx, now);
      else
        program_.run(ctx, now);
    } catch (...) {
      leave_behind(now, cells, replaced);
      throw;
    }
    finish(now, cells);
    std::vector<Array> values = program_.outputs(now);
    for (size_t i = 0; i < values.size(); ++i) {
      PyObject* node = outputs_[i].node.ptr();
      PyObject* o =
          node ? wrap(std::move(values[i]), reinterpret_cast<NodeObject*>(node), outputs_[i].index)
               : wrap(std::move(values[i]));
      returned.push_back(py::reinterpret_steal<py::object>(o));
    }
  }
  spare = std::move(cells);
  return Outcome::done;
}

// State and gradients are afterwards where the call leaves them.
void Replay::finish(const StepProgram::Bound& now, Cells& cells) const {
  for (size_t k = 0; k < cells.all.size(); ++k) {
    const StepSlot& slot = slots_[2 * k + 1];
    if (!slot.moves) continue;
    PyObject*& grad = cells.all[k]->grad;
    if (slot.after.memory < 0)
      Py_CLEAR(grad);
    else if (!grad)
      grad = wrap(Array());
    cells.slots[2 * k + 1] = grad_of(cells.all[k]);
  }
  program_.move_slots(now, cells.slots);
}

// As an eager call does that ends at the same launch.
void Replay::leave_behind(const StepProgram::Bound& now, Cells& cells,
                          const Replaced& replaced) const {
  for (const auto& [k, grad] : replaced) {  // it is the same Tensor, and has what it has become
    as_tensor(grad.ptr())->array = as_tensor(cells.all[k]->grad)->array;
    Py_SETREF(cells.all[k]->grad, py::object(grad).release().ptr());
  }
  for (const CellChange& change : changes_) {
    if (change.launch > program_.failed(now)) break;
    TensorObject* cell = cells.all[change.slot / 2];
    Array value = program_.value_left(now, change.now);
    if (change.slot % 2 == 0) {
      if (value.storage) cell->array = std::move(value);
      continue;
    }
    // Another Tensor than before: somebody may hold that.
    PyObject* grad = value.storage ? wrap(std::move(value)) : nullptr;
    Py_XSETREF(cell->grad, grad);
  }
}

std::string Replay::misfit(std::span<PyObject* const> arguments) const {
  Cells cells;
  return gather(arguments, cells);
}

std::string Replay::gather(std::span<PyObject* const> arguments, Cells& cells) const {
  DLX_CHECK(arguments.size() == arguments_, "replay: expected ", arguments_, " Tensors, got ",
            arguments.size());
  cells.all.clear();
  cells.slots.clear();
  for (size_t k = 0; k < arguments_; ++k) {
    if (!plays_its_part(arguments[k], k)) return "another Tensor is state";
    cells.all.push_back(cell_in(arguments[k]));
  }
  for (const py::object& o : state_) cells.all.push_back(cell_in(o));
  for (size_t k = 0; k < cells.all.size(); ++k) {
    TensorObject* t = cells.all[k];
    if (t->requires_grad != before_[k].requires_grad) return "requires_grad differs";
    if (!is_leaf(t)) return "a Tensor is part of a recorded graph";
    if (t->grad && !before_[k].grad.given) return "a gradient was None";
    cells.slots.push_back(&t->array);
    cells.slots.push_back(grad_of(t));
  }
  return program_.misfit(cells.slots);
}

// A record cannot tell an argument from state where both are one Tensor: that Tensor has to come
// again, and one that is state must not come for one that was not.
bool Replay::plays_its_part(PyObject* argument, size_t k) const {
  if (reached_[k]) return argument == reached_[k].ptr();
  return std::none_of(state_.begin(), state_.end(),
                      [&](const py::object& cell) { return cell.ptr() == argument; });
}

void Replay::run_timed(Ctx& ctx, const StepProgram::Bound& now) {
  timer_.start_replay();
  add_observer(ctx, &timer_);
  try {
    program_.run(ctx, now);
  } catch (...) {
    remove_observer(ctx, &timer_);
    throw;
  }
  remove_observer(ctx, &timer_);
  ++timer_.replays;
  --to_time_;
}

void Replay::time(int64_t replays) {
  DLX_CHECK(replays > 0, "time: expected at least 1 replay, got ", replays);
  const std::unique_lock lock = hold_program();
  timer_ = CallTimer();
  to_time_ = replays;
}

Description Replay::describe() {
  const std::unique_lock lock = hold_program();
  name_layers();
  return program_.describe();
}

// A thread that replays may need the GIL to end.
std::unique_lock<std::mutex> Replay::hold_program() {
  const GilRelease release(true);
  return program_.hold();
}

// Names cost time, which recording a step should not: they are made for those that look.
// The program is this thread's.
void Replay::name_layers() {
  if (!whereabouts_) return;
  std::vector<std::string> names;
  for (size_t i = 0; i < whereabouts_->count(); ++i)
    names.push_back(whereabouts_->text_of(static_cast<int32_t>(i)));
  program_.name_layers(std::move(names));
  whereabouts_.reset();
}

}  // namespace dlx

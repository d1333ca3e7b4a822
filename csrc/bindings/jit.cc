// What dlx.jit (python/dlx/_jit.py) needs of C: recordings of a call, replays of it.
#include <pybind11/stl.h>

#include <algorithm>

#include "bindings/tensor_base.h"
#include "bindings/whereabouts.h"
#include "core/device.h"
#include "ops/copy.h"
#include "program/step_program.h"

namespace dlx {
namespace {

namespace py = pybind11;

// A value and where it is, without owning it.
struct Place {
  bool given = false;
  uint64_t storage = 0;
  Array meta;
  Device device;
  int64_t offset = 0;

  Place() = default;
  explicit Place(const Array& a)
      : given(true), storage(a.storage->id), meta(a.meta()), device(a.device()), offset(a.offset) {
    meta.strides = a.strides;
  }
  bool is(const Array& a) const {
    return given && storage == a.storage->id && offset == a.offset && meta.shape == a.shape &&
           meta.strides == a.strides && meta.dtype == a.dtype;
  }
  RecordedArray in(const Record& record) const {
    const auto found = given ? record.index.find(storage) : record.index.end();
    return {found == record.index.end() ? -1 : found->second, offset * size_of(meta.dtype),
            meta.shape, meta.strides, meta.dtype};
  }
};

// A cell before the call: its value, and its gradient's.
struct CellBefore {
  Place value, grad;
  py::weakref grad_object;  // an address may come again
  const NodeObject* node;
  bool requires_grad, shared;
};

// The same elements in the same layout, in memory of their own.
Array private_copy(const Array& a) {
  int64_t below = 0, above = 0;
  for (int i = 0; i < a.shape.ndim && a.size() > 0; ++i)
    (a.strides[i] < 0 ? below : above) += (a.shape[i] - 1) * std::abs(a.strides[i]);
  Array copy = empty({below + 1 + above}, a.dtype, a.device());
  copy.offset = below;
  copy.shape = a.shape;
  copy.strides = a.strides;
  launch(current_ctx(), ops::copy, CopyShape::make(a.shape, a.dtype, a.strides, a.strides), {&a},
         {&copy});
  return copy;
}

TensorObject* cell_in(const py::handle& o) {
  DLX_CHECK_AS(TypeError, is_tensor(o.ptr()), "jit: expected a Tensor");
  array_of(o.ptr());
  return as_tensor(o.ptr());
}

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
            const Recording* before, bool alike)
      : cells_(std::move(cells)), arguments_(arguments), reached_(arguments) {
    for (size_t k : reached) reached_.at(k) = cells_.at(k);
    std::unordered_map<uint64_t, int> seen;
    for (size_t k = 0; k < cells_.size(); ++k) {
      TensorObject* t = cell_in(cells_[k]);
      // What is written while somebody else sees it is copied first. Whether somebody does is no
      // part of the step: a snapshot of the state may have been taken before one call only.
      if (before && k >= arguments && before->writes(k)) {
        const bool shared = !t->array.is_writable();
        if (shared && !before->before_[k].shared) t->array = private_copy(t->array);
        if (!shared && before->before_[k].shared && alike) holds_.push_back(t->array.storage);
      }
      // Memory of two cells: which one is read could not be told apart.
      for (TensorObject* holder : {t, t->grad ? as_tensor(t->grad) : nullptr})
        if (holder && ++seen[holder->array.storage->id] > 1)
          holder->array = private_copy(holder->array);
      before_.push_back({Place(t->array), t->grad ? Place(as_tensor(t->grad)->array) : Place(),
                         t->grad ? py::weakref(t->grad) : py::weakref(), t->node, t->requires_grad,
                         !t->array.is_writable()});
    }
  }
  bool writes(size_t cell) const {
    if (2 * cell >= slots_.size()) return false;
    const StepSlot& slot = slots_[2 * cell];
    const auto memory = static_cast<size_t>(slot.before.memory);
    return slot.moves || (slot.before.memory >= 0 && recorder_->record().memories[memory].written);
  }

  void start() {
    whereabouts_->start();
    recorder_ = std::make_unique<Recorder>(
        current_ctx(), line_of_launch,
        [this](const std::string& line) { return whereabouts_->at_launch(line); });
  }
  void stop() {
    if (recorder_) recorder_->stop();
    whereabouts_->stop();
    holds_.clear();
  }

  // After the call that returned these Tensors: why it cannot be replayed, or "".
  std::string finish(const std::vector<py::object>& returned) {
    if (!recorder_->refusal().empty()) return recorder_->refusal();
    slots_.clear();
    outputs_.clear();
    new_grads_.clear();
    for (size_t k = 0; k < cells_.size(); ++k) {
      const TensorObject* t = as_tensor(cells_[k].ptr());
      const CellBefore& before = before_[k];
      if (t->requires_grad != before.requires_grad || (t->node != before.node && !is_leaf(t)))
        return refuse("the function changes the graph of a Tensor that it did not make (", t);
      if (t->grad && needs_grad(as_tensor(t->grad)))
        return refuse("a gradient is itself part of a graph (", t);
      add_slot(before.value, &t->array);
      add_slot(before.grad, t->grad ? &as_tensor(t->grad)->array : nullptr);
      new_grads_.push_back(t->grad &&
                           (!before.grad_object || before.grad_object().ptr() != t->grad));
    }
    for (const py::object& o : returned) {
      const TensorObject* t = cell_in(o);
      Output output{recorder_->hold(t->array), {}, 0};
      if (needs_grad(t)) {
        if (!t->node || !t->node->released)
          return refuse(
              "the returned Tensor is part of a graph, which a replay does not make: "
              "call backward() inside, or call the function under dlx.no_grad() (",
              t);
        output.node = py::reinterpret_borrow<py::object>(reinterpret_cast<PyObject*>(t->node));
        output.index = t->output_index;
      }
      outputs_.push_back(std::move(output));
    }
    locate_slots();
    return recorder_->refusal();
  }

  // Of the memory that outlives the call and is nowhere that a replay could reach; "" if none does.
  std::string escaped() const {
    const Record& record = recorder_->record();
    std::vector<bool> known(record.memories.size());
    const auto know = [&](const RecordedArray& a) {
      if (a.memory >= 0) known[static_cast<size_t>(a.memory)] = true;
    };
    for (const Output& o : outputs_) know(o.array);
    for (const StepSlot& slot : slots_) know(slot.moves ? slot.after : slot.before);
    for (size_t i = 0; i < known.size(); ++i) {
      const RecordedMemory& m = record.memories[i];
      if (!known[i] && !m.older && recorder_->alive(m.storage))
        return message("a Tensor of ", m.bytes, " bytes, made by ", record.maker_of(i), " at ",
                       record.line(m.line),
                       " is kept beyond the call; a replay would not renew it: return it");
    }
    return "";
  }

  // Where Python first used numbers that it made into a Tensor; "" if it made none.
  std::string line_of_numbers() const {
    for (const RecordedMemory& m : recorder_->record().memories)
      if (m.from_host) return recorder_->record().line(m.line);
    return "";
  }

  // What was needed to judge this call alone goes.
  void settle() {
    recorder_->end_watch();
    std::fill_n(cells_.begin(), arguments_, py::object());
  }

  std::string difference(const Recording& other) const {
    const std::string text = recorder_->record().difference(other.recorder_->record());
    if (!text.empty()) return text;
    const auto same_slot = [](const StepSlot& a, const StepSlot& b) {
      return a.moves == b.moves && a.given == b.given && a.before.memory == b.before.memory &&
             (!a.moves || a.after == b.after);
    };
    const auto same_output = [](const Output& a, const Output& b) {
      return a.array == b.array && bool(a.node) == bool(b.node);
    };
    if (!std::equal(slots_.begin(), slots_.end(), other.slots_.begin(), other.slots_.end(),
                    same_slot) ||
        new_grads_ != other.new_grads_)
      return "state or gradients that the two calls leave in different places";
    if (!std::equal(outputs_.begin(), outputs_.end(), other.outputs_.begin(), other.outputs_.end(),
                    same_output))
      return "Tensors that the two calls return";
    return "";
  }

  std::vector<py::object> cells_;
  size_t arguments_;
  std::vector<py::object> reached_;  // of each argument: itself where it is state, too
  std::vector<CellBefore> before_;
  std::vector<StepSlot> slots_;  // of each cell its value and its gradient
  std::vector<bool> new_grads_;  // of each cell: its gradient is another Tensor afterwards
  std::vector<Output> outputs_;
  std::unique_ptr<Recorder> recorder_;
  std::unique_ptr<Whereabouts> whereabouts_ = std::make_unique<Whereabouts>();
  std::vector<StorageRef> holds_;  // so that the call finds it shared

 private:
  static std::string refuse(const char* why, const TensorObject* t) {
    return message(why, t->array.dtype, " of shape ", t->array.shape, ")");
  }

  void add_slot(const Place& before, const Array* after) {
    StepSlot slot;
    slot.given = before.given;
    slot.device = before.device;
    slot.moves = after ? !before.is(*after) : before.given;
    slot.after.memory = -1;
    if (after && slot.moves) slot.after = recorder_->hold(*after);
    slots_.push_back(std::move(slot));
  }

  // Once it is known what the step uses: memory from before is counted from its slot's value on, so
  // that it may be another part of another block next time.
  void locate_slots() {
    Record& record = recorder_->record();
    std::vector<int64_t> base(record.memories.size());
    std::vector<bool> located(record.memories.size());
    for (size_t k = 0; k < slots_.size(); ++k) {
      const CellBefore& cell = before_[k / 2];
      RecordedArray& before = slots_[k].before;
      before = (k % 2 ? cell.grad : cell.value).in(record);
      if (before.memory < 0) continue;
      located[static_cast<size_t>(before.memory)] = true;
      base[static_cast<size_t>(before.memory)] = before.offset;
    }
    const auto rebase = [&](RecordedArray& a) {
      if (a.memory >= 0) a.offset -= base[static_cast<size_t>(a.memory)];
    };
    for (RecordedCall& call : record.calls)
      for (RecordedArray& a : call.arrays) rebase(a);
    for (Output& o : outputs_) rebase(o.array);
    for (StepSlot& slot : slots_) rebase(slot.before), rebase(slot.after);
    for (size_t i = 0; i < located.size(); ++i)
      if (record.memories[i].older && !located[i])
        recorder_->refuse(message(
            "a Tensor that it does not know is used at ", record.line(record.memories[i].line),
            ": it is no argument, and no parameter, buffer, optimizer state or Tensor that the "
            "function, its globals or its objects name; make it an argument"));
  }
};

// A recorded call that runs without Python.
class Replay {
 public:
  Replay(Recording& r, bool fuse)
      : cells_(r.cells_.begin() + static_cast<std::ptrdiff_t>(r.arguments_), r.cells_.end()),
        arguments_(r.arguments_),
        reached_(r.reached_),
        before_(r.before_),
        slots_(r.slots_),
        new_grads_(r.new_grads_),
        outputs_(r.outputs_),
        whereabouts_(std::move(r.whereabouts_)),
        program_(r.recorder_->record(), r.slots_, arrays_of(outputs_), {fuse}) {}

  // The returned Tensors; a str where these Tensors do not fit, None while another thread replays.
  py::object replay(const std::vector<py::object>& arguments) {
    DLX_CHECK(arguments.size() == arguments_, "replay: expected ", arguments_, " Tensors, got ",
              arguments.size());
    std::vector<TensorObject*> cells;
    const std::string misfit = gather(arguments, cells);
    if (!misfit.empty()) return py::str(misfit);
    // As eager: whoever kept an old gradient keeps its values.
    for (size_t k = 0; k < cells.size(); ++k)
      if (PyObject*& grad = cells[k]->grad; grad && new_grads_[k] && Py_REFCNT(grad) > 1)
        Py_SETREF(grad, wrap(as_tensor(grad)->array));
    std::vector<Array*> slots = slots_of(cells);

    Ctx& ctx = current_ctx();
    StepProgram::Bound now = program_.bind(ctx, slots);
    if (!now.lock) return py::none();
    if (ctx.num_observers > 0) name_layers();
    {
      const GilRelease release(program_.cost().flops + program_.cost().bytes > 200'000);
      program_.run(ctx, now);
    }
    for (size_t k = 0; k < cells.size(); ++k) {
      const StepSlot& slot = slots_[2 * k + 1];
      if (!slot.moves) continue;
      PyObject*& grad = cells[k]->grad;
      if (slot.after.memory < 0)
        Py_CLEAR(grad);
      else if (!grad)
        grad = wrap(Array());
      slots[2 * k + 1] = grad ? &as_tensor(grad)->array : nullptr;
    }
    program_.move_slots(now, slots);
    py::list returned;
    std::vector<Array> values = program_.outputs(now);
    for (size_t i = 0; i < values.size(); ++i) {
      PyObject* node = outputs_[i].node.ptr();
      PyObject* o =
          node ? wrap(std::move(values[i]), reinterpret_cast<NodeObject*>(node), outputs_[i].index)
               : wrap(std::move(values[i]));
      returned.append(py::reinterpret_steal<py::object>(o));
    }
    return returned;
  }

  // Why these Tensors, and state as it is now, cannot take the place of the recorded ones; or "".
  std::string misfit(const std::vector<py::object>& arguments) const {
    std::vector<TensorObject*> cells;
    return gather(arguments, cells);
  }

  const StepProgram& program() const { return program_; }

 private:
  // Names cost time, which recording a step should not: they are made for those that look.
  // The program is this thread's.
  void name_layers() {
    if (!whereabouts_) return;
    std::vector<std::string> names;
    for (size_t i = 0; i < whereabouts_->count(); ++i)
      names.push_back(whereabouts_->text_of(static_cast<int32_t>(i)));
    program_.name_layers(std::move(names));
    whereabouts_.reset();
  }

  std::string gather(const std::vector<py::object>& arguments,
                     std::vector<TensorObject*>& cells) const {
    for (size_t k = 0; k < arguments_; ++k) {
      if (!plays_its_part(arguments[k], reached_[k])) return "another Tensor is state";
      cells.push_back(cell_in(arguments[k]));
    }
    for (const py::object& o : cells_) cells.push_back(cell_in(o));
    for (size_t k = 0; k < cells.size(); ++k) {
      const TensorObject* t = cells[k];
      if (t->requires_grad != before_[k].requires_grad) return "requires_grad differs";
      if (!is_leaf(t)) return "a Tensor is part of a recorded graph";
      if (t->grad && !before_[k].grad.given) return "a gradient was None";
    }
    return program_.misfit(slots_of(cells));
  }

  // Of each cell its value and its gradient.
  static std::vector<Array*> slots_of(const std::vector<TensorObject*>& cells) {
    std::vector<Array*> slots;
    for (TensorObject* t : cells) {
      slots.push_back(&t->array);
      slots.push_back(t->grad ? &as_tensor(t->grad)->array : nullptr);
    }
    return slots;
  }

  // A record cannot tell an argument from state where both are one Tensor: that Tensor has to come
  // again, and one that is state must not come for one that was not.
  bool plays_its_part(const py::object& argument, const py::object& reached) const {
    if (reached) return argument.is(reached);
    return std::none_of(cells_.begin(), cells_.end(),
                        [&](const py::object& cell) { return cell.is(argument); });
  }

  static std::vector<RecordedArray> arrays_of(const std::vector<Output>& outputs) {
    std::vector<RecordedArray> arrays;
    for (const Output& o : outputs) arrays.push_back(o.array);
    return arrays;
  }

  std::vector<py::object> cells_;
  size_t arguments_;
  std::vector<py::object> reached_;
  std::vector<CellBefore> before_;
  std::vector<StepSlot> slots_;
  std::vector<bool> new_grads_;
  std::vector<Output> outputs_;
  std::unique_ptr<Whereabouts> whereabouts_;  // null once the layers have names
  StepProgram program_;
};

// The number in a Tensor of one int64, which the program that is being recorded does not depend on.
int64_t peek(const Array& a) {
  DLX_CHECK(a.size() == 1 && a.dtype == DType::int64, "peek: expected one int64, got ", a.dtype,
            " of shape ", a.shape);
  const Unobserved alone(current_ctx());
  const Array host = moved(current_ctx(), a, Device{});
  return *static_cast<const int64_t*>(host.data());
}

}  // namespace

void bind_jit(py::module_& m) {
  m.def("peek", peek);
  py::class_<Recording>(m, "Recording", "One call of a function, as its launches saw it.")
      .def(py::init<std::vector<py::object>, size_t, const std::vector<size_t>&, const Recording*,
                    bool>())
      .def("start", &Recording::start)
      .def("stop", &Recording::stop)
      .def("finish", &Recording::finish)
      .def("escaped", &Recording::escaped)
      .def("line_of_numbers", &Recording::line_of_numbers)
      .def("settle", &Recording::settle)
      .def("difference", &Recording::difference);
  py::class_<Replay>(m, "Replay", "A recorded call that runs without Python.")
      .def(py::init<Recording&, bool>())
      .def("replay", &Replay::replay)
      .def("misfit", &Replay::misfit)
      .def("text", [](const Replay& r) { return r.program().text(); })
      .def("numbers", [](const Replay& r) {
        const StepProgram& p = r.program();
        py::dict numbers;
        numbers["launches"] = p.launches();
        numbers["dead_launches"] = p.dead_launches();
        numbers["arena_bytes"] = p.arena_bytes();
        numbers["unplanned_bytes"] = p.unplanned_bytes();
        numbers["result_bytes"] = p.result_bytes();
        return numbers;
      });
}

}  // namespace dlx

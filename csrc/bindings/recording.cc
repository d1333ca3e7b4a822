#include "bindings/recording.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "ops/copy.h"

namespace dlx {
namespace {

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

constinit thread_local bool under_way = false;

// Whether backward() through this node fails, as every way on leads into what one has freed before.
bool is_released(const NodeObject* last) {
  std::vector<const NodeObject*> open{last};
  std::unordered_set<const NodeObject*> seen{last};
  while (!open.empty()) {
    const NodeObject* node = open.back();
    open.pop_back();
    if (node->released) continue;
    bool leads_on = false;
    for (int i = 0; i < node->inputs; ++i)
      if (const NodeObject* before = node->slots[i].node) {
        leads_on = true;
        if (seen.insert(before).second) open.push_back(before);
      }
    if (!leads_on) return false;
  }
  return true;
}

}  // namespace

Place::Place(const Array& a)
    : given(true), storage(a.storage->id), meta(a.meta()), device(a.device()), offset(a.offset) {
  meta.strides = a.strides;
}

bool Place::is(const Array& a) const {
  return given && storage == a.storage->id && offset == a.offset && meta.shape == a.shape &&
         meta.strides == a.strides && meta.dtype == a.dtype;
}

RecordedArray Place::in(const Record& record) const {
  const auto found = given ? record.index.find(storage) : record.index.end();
  return {found == record.index.end() ? -1 : found->second, offset * size_of(meta.dtype),
          meta.shape, meta.strides, meta.dtype};
}

TensorObject* cell_in(const py::handle& o) {
  DLX_CHECK_AS(TypeError, is_tensor(o.ptr()), "jit: expected a Tensor");
  array_of(o.ptr());
  return as_tensor(o.ptr());
}

Recording::Recording(std::vector<py::object> cells, size_t arguments,
                     const std::vector<size_t>& reached, const Recording* before, bool alike)
    : cells_(std::move(cells)), arguments_(arguments), reached_(arguments) {
  for (size_t k : reached) reached_.at(k) = cells_.at(k);
  std::unordered_map<uint64_t, int> seen;
  before_.reserve(cells_.size());
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

bool Recording::writes(size_t cell) const {
  if (2 * cell >= slots_.size()) return false;
  const StepSlot& slot = slots_[2 * cell];
  const auto memory = static_cast<size_t>(slot.before.memory);
  return slot.moves || (slot.before.memory >= 0 && recorder_->record().memories[memory].written);
}

bool Recording::is_under_way() { return under_way; }

void Recording::start() {
  under_way = true;
  whereabouts_->start();
  recorder_ =
      std::make_unique<Recorder>(current_ctx(), line_of_launch, [this](const std::string& line) {
        look_at_cells();
        return whereabouts_->at_launch(line);
      });
  for (const CellBefore& cell : before_) {
    seen_.push_back(cell.value.storage);
    seen_.push_back(cell.grad.storage);
  }
}

void Recording::look_at_cells() {
  const py::gil_scoped_acquire gil;
  const auto launch = static_cast<int32_t>(recorder_->record().calls.size());
  for (size_t k = 0; k < cells_.size(); ++k) {
    const auto* t = reinterpret_cast<const TensorObject*>(cells_[k].ptr());
    const Array* grad = t->grad ? &as_tensor(t->grad)->array : nullptr;
    const std::pair<size_t, const Array*> held[] = {{2 * k, &t->array}, {2 * k + 1, grad}};
    for (const auto& [slot, array] : held) {
      const uint64_t storage = array && array->storage ? array->storage->id : 0;
      if (std::exchange(seen_[slot], storage) != storage)
        changes_.push_back({launch, slot, storage ? Place(*array) : Place()});
    }
  }
}

void Recording::stop() {
  under_way = false;
  if (recorder_) recorder_->stop();
  whereabouts_->stop();
  holds_.clear();
}

std::string Recording::finish(const std::vector<py::object>& returned) {
  if (!recorder_->refusal().empty()) return recorder_->refusal();
  slots_.clear();
  outputs_.clear();
  new_grads_.clear();
  slots_.reserve(2 * cells_.size());
  for (size_t k = 0; k < cells_.size(); ++k) {
    const TensorObject* t = as_tensor(cells_[k].ptr());
    const CellBefore& before = before_[k];
    if (t->requires_grad != before.requires_grad || (t->node != before.node && !is_leaf(t)))
      return refuse("the function changes the graph of a Tensor that it did not make (", t);
    if (t->grad && needs_grad(as_tensor(t->grad)))
      return refuse("a gradient is itself part of a graph (", t);
    add_slot(before.value, &t->array);
    slots_.back().varies = k < arguments_ && !reached_[k];
    add_slot(before.grad, t->grad ? &as_tensor(t->grad)->array : nullptr);
    new_grads_.push_back(t->grad && (!before.grad_object || before.grad_object().ptr() != t->grad));
  }
  for (const py::object& o : returned) {
    const TensorObject* t = cell_in(o);
    Output output{recorder_->hold(t->array), {}, 0};
    if (needs_grad(t)) {
      if (!t->node || !is_released(t->node))
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

std::string Recording::escaped() const {
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

std::string Recording::line_of_numbers() const {
  for (const RecordedMemory& m : recorder_->record().memories)
    if (m.from_host) return recorder_->record().line(m.line);
  return "";
}

void Recording::settle() {
  recorder_->end_watch();
  std::fill_n(cells_.begin(), arguments_, py::object());
}

std::string Recording::difference(const Recording& other) const {
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

std::string Recording::refuse(const char* why, const TensorObject* t) {
  return message(why, t->array.dtype, " of shape ", t->array.shape, ")");
}

void Recording::add_slot(const Place& before, const Array* after) {
  StepSlot slot;
  slot.given = before.given;
  slot.device = before.device;
  slot.moves = after ? !before.is(*after) : before.given;
  slot.after.memory = -1;
  if (after && slot.moves) slot.after = recorder_->hold(*after);
  slots_.push_back(std::move(slot));
}

void Recording::locate_slots() {
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
  for (CellChange& change : changes_) {
    change.now = change.place.in(record);
    rebase(change.now);
    StepSlot& slot = slots_[change.slot];
    if (slot.leaves < 0) slot.leaves = change.launch;
  }
  for (size_t i = 0; i < located.size(); ++i)
    if (record.memories[i].older && !located[i])
      recorder_->refuse(message(
          "a Tensor that it does not know is used at ", record.line(record.memories[i].line),
          ": it is no argument, and no parameter, buffer, optimizer state or Tensor that the "
          "function, its globals or its objects name; make it an argument"));
}

}  // namespace dlx

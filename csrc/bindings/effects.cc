// What dlx.remat needs to run a function twice: what the first run wrote, so that it can be undone,
// and whether the second one does the same.
#include <pybind11/stl.h>

#include <algorithm>

#include "bindings/tensor_base.h"

namespace dlx {
namespace {

namespace py = pybind11;

class Effects;

// Of one thread: those that are started, the outermost first, and what stands at the door for them.
struct Started final : Observer {
  std::vector<Effects*> all;
  void before(const Launch&) override;
};
Started& started() {
  thread_local Started of_thread;
  return of_thread;
}

py::object borrowed(const void* o) {
  return py::reinterpret_borrow<py::object>(static_cast<PyObject*>(const_cast<void*>(o)));
}

// One run of a function. Of a second one, what is older is what was older than the first.
class Effects {
 public:
  explicit Effects(const Effects* first)
      : first_id_(first ? first->first_id_ : empty({}, DType::uint8, {}).storage->id) {}
  ~Effects() { stop(); }
  Effects(const Effects&) = delete;

  void start() {
    Started& now = started();
    if (now.all.empty()) add_observer(current_ctx(), &now);
    now.all.push_back(this);
  }
  void stop() {
    Started& now = started();
    const auto at = std::find(now.all.begin(), now.all.end(), this);
    if (at == now.all.end()) return;
    now.all.erase(at);
    if (now.all.empty()) remove_observer(current_ctx(), &now);
  }

  void launch(const Launch& call) {
    did_.push_back({&call.op, {}});
    for (const Array* a : call.inputs)
      if (a->storage && a->storage->id < first_id_) did_.back().older.push_back(hold(a->storage));
  }
  void write(TensorObject* cell) {
    for (const Write& w : writes_)
      if (w.cell.ptr() == reinterpret_cast<PyObject*>(cell)) return;
    writes_.push_back({borrowed(cell), py::reinterpret_steal<py::object>(as_it_is(cell)),
                       cell->array.storage->id < first_id_});
  }

  // (cell, its value before it was written), in the order of the first writes; `older` ones lay in
  // memory from before the run.
  py::list writes(bool older) const {
    py::list list;
    for (const Write& w : writes_)
      if (w.older || !older) list.append(py::make_tuple(w.cell, w.before));
    return list;
  }
  void forget_writes() { writes_.clear(); }

  // "" where both runs launched the same ops on the same older memory.
  std::string difference(const Effects& other) const {
    for (size_t i = 0; i < std::max(did_.size(), other.did_.size()); ++i) {
      if (i < did_.size() && i < other.did_.size() && did_[i] == other.did_[i]) continue;
      const auto name = [&](const Effects& e) {
        return i < e.did_.size() ? e.did_[i].op->name : "nothing";
      };
      const bool same_op = std::string_view(name(*this)) == name(other);
      return same_op ? message("op ", i, ", ", name(*this), ", reads a Tensor that has changed")
                     : message("op ", i, " was ", name(*this), ", now it is ", name(other));
    }
    return "";
  }

  static PyObject* as_it_is(TensorObject* t) {
    NodeObject* node = t->requires_grad ? leaf_node(t) : is_leaf(t) ? nullptr : t->node;
    return node ? wrap(t->array, node, t->output_index) : wrap(t->array);
  }

 private:
  struct Did {
    const Op* op;
    std::vector<uint64_t> older;  // ids of memory that it reads
    bool operator==(const Did&) const = default;
  };
  struct Write {
    py::object cell, before;
    bool older;
  };

  // What is held is not written in place: who writes it gets other memory, with another id.
  uint64_t hold(const StorageRef& storage) {
    const auto same = [&](const StorageRef& s) { return s.get() == storage.get(); };
    if (std::none_of(held_.begin(), held_.end(), same)) held_.push_back(storage);
    return storage->id;
  }

  uint64_t first_id_;  // of the storages made during the first run
  std::vector<Did> did_;
  std::vector<StorageRef> held_;
  std::vector<Write> writes_;
};

void Started::before(const Launch& call) {
  for (Effects* e : all) e->launch(call);
}

}  // namespace

void note_write(TensorObject* cell) {
  for (Effects* e : started().all) e->write(cell);
}

void bind_effects(py::module_& m) {
  py::class_<Effects>(m, "Effects", "What one run of a function launches and writes.")
      .def(py::init<const Effects*>(), py::arg("first").none(true))
      .def("start", &Effects::start)
      .def("stop", &Effects::stop)
      .def("writes", &Effects::writes)
      .def("forget_writes", &Effects::forget_writes)
      .def("difference", &Effects::difference);
  m.def("as_it_is", [](py::handle t) {
    DLX_CHECK_AS(TypeError, is_tensor(t.ptr()), "as_it_is: expected a Tensor");
    return py::reinterpret_steal<py::object>(Effects::as_it_is(as_tensor(t.ptr())));
  });
  m.def("next_node_sequence", next_node_sequence);
}

}  // namespace dlx

#include "bindings/replayed_call.h"

#include <algorithm>

#include "core/precision.h"

namespace dlx {
namespace {

// Making guards takes as long as ten calls of Reach.changed(): not at every call, where a number
// changes at every call.
constexpr int kMostQuickGuards = 100;

bool is_alike(PyObject* value, PyObject* before) {
  if (value == before) return true;
  const bool by_value = PyLong_Check(value) || PyFloat_CheckExact(value) || PyUnicode_Check(value);
  return by_value && Guards::equal(value, before);
}

}  // namespace

bool ArgumentKind::describe(PyObject* value, std::vector<PyObject*>& tensors) {
  if (is_tensor(value)) {
    const auto known = std::find(tensors.begin(), tensors.end(), value);
    again_ = static_cast<size_t>(known - tensors.begin());
    kind_ = known == tensors.end() ? Kind::tensor : Kind::again;
    if (kind_ == Kind::again) return true;
    const TensorObject* t = as_tensor(value);
    if (!t->array.storage) return false;
    meta_ = t->array.meta();
    meta_.strides = t->array.strides;
    device_ = t->array.device();
    needs_grad_ = needs_grad(t), leaf_ = is_leaf(t), has_grad_ = t->grad;
    tensors.push_back(value);
    return true;
  }
  const bool tuple = PyTuple_CheckExact(value), list = PyList_CheckExact(value);
  if (tuple || list) {
    kind_ = tuple ? Kind::tuple : Kind::list;
    items_.resize(static_cast<size_t>(PySequence_Fast_GET_SIZE(value)));
    for (size_t i = 0; i < items_.size(); ++i)
      if (!items_[i].describe(PySequence_Fast_ITEMS(value)[i], tensors)) return false;
    return true;
  }
  if (PyDict_CheckExact(value)) {
    kind_ = Kind::dict;
    Py_ssize_t at = 0;
    PyObject *key, *item;
    while (PyDict_Next(value, &at, &key, &item)) {
      keys_.push_back(py::reinterpret_borrow<py::object>(key));
      if (!items_.emplace_back().describe(item, tensors)) return false;
    }
    return true;
  }
  other_ = py::reinterpret_borrow<py::object>(value);
  return !PyTuple_Check(value) && !PyList_Check(value) && !PyDict_Check(value);
}

bool ArgumentKind::matches(PyObject* value, std::vector<PyObject*>& tensors) const {
  switch (kind_) {
    case Kind::tensor: {
      if (!is_tensor(value)) return false;
      const TensorObject* t = as_tensor(value);
      const Array& a = t->array;
      if (!a.storage || a.dtype != meta_.dtype || !(a.shape == meta_.shape) ||
          !(a.strides == meta_.strides) || a.device() != device_ || needs_grad(t) != needs_grad_ ||
          is_leaf(t) != leaf_ || bool(t->grad) != has_grad_ ||
          std::find(tensors.begin(), tensors.end(), value) != tensors.end())
        return false;
      tensors.push_back(value);
      return true;
    }
    case Kind::again:
      return value == tensors[again_];
    case Kind::other:
      return is_alike(value, other_.ptr());
    case Kind::tuple:
    case Kind::list:
      if (!(kind_ == Kind::tuple ? PyTuple_CheckExact(value) : PyList_CheckExact(value)) ||
          static_cast<size_t>(PySequence_Fast_GET_SIZE(value)) != items_.size())
        return false;
      for (size_t i = 0; i < items_.size(); ++i)
        if (!items_[i].matches(PySequence_Fast_ITEMS(value)[i], tensors)) return false;
      return true;
    case Kind::dict: {
      if (!PyDict_CheckExact(value) || static_cast<size_t>(PyDict_GET_SIZE(value)) != items_.size())
        return false;
      Py_ssize_t at = 0;
      PyObject *key, *item;
      for (size_t i = 0; PyDict_Next(value, &at, &key, &item); ++i)
        if (!is_alike(key, keys_[i].ptr()) || !items_[i].matches(item, tensors)) return false;
      return true;
    }
  }
  return false;
}

int ArgumentKind::visit(visitproc visit, void* arg) const {
  Py_VISIT(other_.ptr());
  for (const py::object& key : keys_) Py_VISIT(key.ptr());
  for (const ArgumentKind& item : items_)
    if (const int stop = item.visit(visit, arg)) return stop;
  return 0;
}

ResultKind::ResultKind(py::handle parts) {
  const auto all = py::reinterpret_borrow<py::tuple>(parts);
  kind_ = static_cast<Kind>(all[0].cast<int>());
  switch (kind_) {
    case Kind::returned:
    case Kind::argument:
      number_ = all[1].cast<size_t>();
      break;
    case Kind::constant:
      constant_ = all[1];
      break;
    case Kind::dict:
      for (py::handle key : all[2]) keys_.push_back(py::reinterpret_borrow<py::object>(key));
      [[fallthrough]];
    case Kind::tuple:
    case Kind::list:
      for (py::handle item : all[1]) items_.emplace_back(item);
  }
}

py::object ResultKind::make(const std::vector<py::object>& returned,
                            const std::vector<PyObject*>& arguments) const {
  switch (kind_) {
    case Kind::returned:
      return returned.at(number_);
    case Kind::argument:
      return py::reinterpret_borrow<py::object>(arguments.at(number_));
    case Kind::constant:
      return constant_;
    case Kind::tuple: {
      py::tuple tuple(items_.size());
      for (size_t i = 0; i < items_.size(); ++i) tuple[i] = items_[i].make(returned, arguments);
      return tuple;
    }
    case Kind::list: {
      py::list list(items_.size());
      for (size_t i = 0; i < items_.size(); ++i) list[i] = items_[i].make(returned, arguments);
      return list;
    }
    case Kind::dict: {
      py::dict dict;
      for (size_t i = 0; i < items_.size(); ++i)
        dict[keys_[i]] = items_[i].make(returned, arguments);
      return dict;
    }
  }
  return {};
}

int ResultKind::visit(visitproc visit, void* arg) const {
  Py_VISIT(constant_.ptr());
  for (const py::object& key : keys_) Py_VISIT(key.ptr());
  for (const ResultKind& item : items_)
    if (const int stop = item.visit(visit, arg)) return stop;
  return 0;
}

ReplayedCall::ReplayedCall(py::object replay, py::object reach, py::handle result_parts,
                           py::handle args, py::handle kwargs, py::object defaults)
    : replay_object_(std::move(replay)),
      reach_(std::move(reach)),
      defaults_(std::move(defaults)),
      guards_object_(reach_.attr("guards")),
      replay_(&replay_object_.cast<Replay&>()),
      guards_(&guards_object_.cast<const Guards&>()),
      recording_(recording),
      exact_(precision() == Precision::exact),
      has_kwargs_(PyDict_GET_SIZE(kwargs.ptr()) > 0),
      result_(result_parts) {
  device_ = py::reinterpret_borrow<py::list>(defaults_)[py::len(defaults_) - 1];
  std::vector<PyObject*> tensors;
  known_ = args_.describe(args.ptr(), tensors) &&
           (!has_kwargs_ || kwargs_.describe(kwargs.ptr(), tensors));
}

bool ReplayedCall::is_this_kind(PyObject* args, PyObject* kwargs,
                                std::vector<PyObject*>& tensors) const {
  PyObject* defaults = defaults_.ptr();
  if (!known_ || recording != recording_ || (precision() == Precision::exact) != exact_ ||
      PyList_GET_ITEM(defaults, PyList_GET_SIZE(defaults) - 1) != device_.ptr())
    return false;
  const bool has_kwargs = kwargs && PyDict_GET_SIZE(kwargs) > 0;
  return has_kwargs == has_kwargs_ && args_.matches(args, tensors) &&
         (!has_kwargs || kwargs_.matches(kwargs, tensors));
}

// As Reach.changed(), which is asked where the guards alone do not tell.
bool ReplayedCall::nothing_changed() {
  if (guards_->broken() >= 0) return false;
  if (quick_ && quick_->broken() < 0) return true;
  if (!reach_.attr("changed")().is_none()) return false;
  quick_ = nullptr;
  if (++quick_made_ > kMostQuickGuards) return true;
  quick_object_ = reach_.attr("quick_guards")();
  if (!quick_object_.is_none()) quick_ = &quick_object_.cast<const Guards&>();
  return true;
}

py::object ReplayedCall::run(PyObject* args, PyObject* kwargs) {
  std::vector<PyObject*> tensors;
  tensors.reserve(8);
  if (!is_this_kind(args, kwargs, tensors)) return {};
  // Lists and dicts among the arguments may change while another thread has the GIL.
  std::vector<py::object> held;
  held.reserve(tensors.size());
  for (PyObject* t : tensors) held.push_back(py::reinterpret_borrow<py::object>(t));
  if (!nothing_changed()) return {};
  std::vector<py::object> returned;
  std::string why;
  if (replay_->run(tensors, returned, why) != Replay::Outcome::done) return {};
  return result_.make(returned, tensors);
}

int ReplayedCall::visit(visitproc visit, void* arg) const {
  Py_VISIT(replay_object_.ptr());
  Py_VISIT(reach_.ptr());
  Py_VISIT(guards_object_.ptr());
  Py_VISIT(quick_object_.ptr());
  if (const int stop = args_.visit(visit, arg)) return stop;
  if (const int stop = kwargs_.visit(visit, arg)) return stop;
  return result_.visit(visit, arg);
}

}  // namespace dlx

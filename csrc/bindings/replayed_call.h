// A call of a function under dlx.jit from its arguments to its result, without Python.
#pragma once
#include <vector>

#include "bindings/guards.h"
#include "bindings/replay.h"

namespace dlx {

// An argument of one kind of call, as kind_of in python/dlx/_jit_kind.py tells kinds apart.
class ArgumentKind {
 public:
  // Whether this class can tell; `tensors` are those seen until now, and gets the new ones.
  bool describe(PyObject* value, std::vector<PyObject*>& tensors);
  bool matches(PyObject* value, std::vector<PyObject*>& tensors) const;
  int visit(visitproc, void* arg) const;

 private:
  enum class Kind : uint8_t { tensor, again, other, tuple, list, dict };
  Kind kind_ = Kind::other;
  py::object other_;                   // a number, a Module, ...
  size_t again_ = 0;                   // the number of the Tensor that comes again
  Array meta_;                         // tensor: shape, strides, dtype
  Device device_;                      //
  bool needs_grad_, leaf_, has_grad_;  //
  std::vector<ArgumentKind> items_;    // of tuple, list, dict
  std::vector<py::object> keys_;       // of dict
};

// What a call returned, to be made again. `parts`: what Result.parts in _jit_result.py gives.
class ResultKind {
 public:
  explicit ResultKind(py::handle parts);
  py::object make(const std::vector<py::object>& returned,
                  const std::vector<PyObject*>& arguments) const;
  int visit(visitproc, void* arg) const;

 private:
  enum class Kind : int { returned, argument, constant, tuple, list, dict };
  Kind kind_;
  size_t number_ = 0;  // of a Tensor
  py::object constant_;
  std::vector<ResultKind> items_;
  std::vector<py::object> keys_;
};

class ReplayedCall {
 public:
  // reach: a Reach of _jit_reach.py; defaults: the list whose last item is the default device.
  ReplayedCall(py::object replay, py::object reach, py::handle result_parts, py::handle args,
               py::handle kwargs, py::object defaults);

  // The result; null where this call is of another kind, or something has changed: then nothing
  // was done.
  py::object run(PyObject* args, PyObject* kwargs);
  int visit(visitproc, void* arg) const;
  void clear() {}  // what it holds leads back to it through objects that Python clears

 private:
  bool is_this_kind(PyObject* args, PyObject* kwargs, std::vector<PyObject*>& tensors) const;
  bool nothing_changed();

  py::object replay_object_, reach_, defaults_, device_, guards_object_, quick_object_;
  Replay* replay_;
  const Guards *guards_, *quick_ = nullptr;
  int quick_made_ = 0;
  bool recording_, exact_, known_ = true;
  ArgumentKind args_, kwargs_;
  bool has_kwargs_;
  ResultKind result_;
};

}  // namespace dlx

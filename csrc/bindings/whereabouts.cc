#include "bindings/whereabouts.h"

#include <algorithm>
#include <string_view>

#include "bindings/bind_all.h"
#include "bindings/node.h"
#include "core/check.h"

namespace dlx {
namespace {

namespace py = pybind11;

constexpr size_t kMostNodes = 1 << 16;  // that are remembered, the latest ones

// Python code that tells what goes on: Module.__call__, the walk back over the graph, and the
// function of dlx.jit below which nobody needs to look.
PyObject *module_call, *walk_back, *jit_record;

// The frames of the thread, innermost first, until visit(frame, code) is true.
template <class Visit>
void walk_frames(const Visit& visit) {
  PyFrameObject* frame = PyThreadState_GetFrame(PyThreadState_Get());
  while (frame) {
    PyCodeObject* code = PyFrame_GetCode(frame);
    const bool done = visit(frame, code);
    Py_DECREF(code);
    PyFrameObject* caller = done ? nullptr : PyFrame_GetBack(frame);
    Py_DECREF(frame);
    frame = caller;
  }
}

// The folder of the package dlx, with a slash at its end.
const std::string& library() {
  static const auto* const folder = [] {
    const auto file = py::module_::import("dlx").attr("__file__").cast<std::string>();
    return new std::string(file.substr(0, file.find_last_of("/\\") + 1));
  }();
  return *folder;
}

std::string line_of_caller() {
  std::string line = "an unknown line";
  walk_frames([&](PyFrameObject* frame, PyCodeObject* code) {
    const char* file = PyUnicode_AsUTF8(code->co_filename);
    if (!file || std::string_view(file).starts_with(library())) return false;
    line = message(file, ":", PyFrame_GetLineNumber(frame));
    return true;
  });
  PyErr_Clear();
  return line;
}

// A local variable of a frame, a new reference; null where it has no value.
PyObject* local(PyFrameObject* frame, const char* name) {
#if PY_VERSION_HEX >= 0x030C0000
  PyObject* value = PyFrame_GetVarString(frame, name);
#else
  PyObject* locals = PyObject_GetAttrString(reinterpret_cast<PyObject*>(frame), "f_locals");
  if (!locals) return PyErr_Clear(), nullptr;
  PyObject* value = Py_XNewRef(PyDict_GetItemString(locals, name));
  PyDict_Clear(locals);  // a copy that the frame would keep, and every Tensor in it alive
  Py_DECREF(locals);
#endif
  PyErr_Clear();
  return value;
}

class Gil {
 public:
  Gil() : state_(PyGILState_Ensure()) {}
  ~Gil() { PyGILState_Release(state_); }
  Gil(const Gil&) = delete;

 private:
  PyGILState_STATE state_;
};

}  // namespace

std::string line_of_launch() {
  const Gil gil;
  return line_of_caller();
}

Whereabouts::Layer Whereabouts::at_launch(const std::string& line) {
  const Gil gil;
  Layer layer = asking(line);
  const int64_t next = next_node_sequence();
  if (!made_.empty() && made_.back().sequence == next) made_.pop_back();
  made_.push_back({next, layer.path.empty() ? line : layer.path});
  if (made_.size() > kMostNodes) made_.pop_front();
  return layer;
}

Whereabouts::Layer Whereabouts::asking(const std::string& line) {
  std::vector<PyObject*> modules;
  int64_t sequence = -1;
  walk_frames([&](PyFrameObject* frame, PyCodeObject* code) {
    auto* at = reinterpret_cast<PyObject*>(code);
    if (at == module_call) {
      PyObject* self = local(frame, "self");
      if (self && (modules.empty() || modules.back() != self))
        modules.push_back(self);
      else
        Py_XDECREF(self);
    } else if (at == walk_back && modules.empty()) {
      PyObject* node = local(frame, "node");
      if (node && Py_TYPE(node) == node_type)
        sequence = reinterpret_cast<NodeObject*>(node)->sequence;
      Py_XDECREF(node);
    }
    return at == walk_back || at == jit_record;
  });
  Layer layer;
  if (!modules.empty()) {
    layer = {path_of(modules), true};
    for (PyObject* module : modules) Py_DECREF(module);
  } else if (sequence >= 0) {
    const auto later = std::upper_bound(made_.begin(), made_.end(), sequence,
                                        [](int64_t s, const Made& m) { return s < m.sequence; });
    if (later != made_.begin()) {
      const std::string& by = std::prev(later)->by;
      const bool higher_order = std::string_view(by).starts_with("backward of ");
      layer.path = higher_order || by == line ? by : "backward of " + by;
    }
  }
  return layer;
}

const std::string& Whereabouts::path_of(const std::vector<PyObject*>& modules) {
  const auto [at, is_new] = paths_.try_emplace(modules);
  if (!is_new) return at->second;
  py::list outermost_first;
  for (size_t i = modules.size(); i-- > 0;) {
    Py_INCREF(modules[i]);
    outermost_first.append(py::handle(modules[i]));
  }
  try {
    at->second = py::module_::import("dlx.nn._location")
                     .attr("path_of")(outermost_first)
                     .cast<std::string>();
  } catch (py::error_already_set&) {  // a Module that cannot be asked: its class has a name
    at->second = Py_TYPE(modules.front())->tp_name;
  }
  return at->second;
}

void Whereabouts::forget() {
  for (const auto& [modules, path] : paths_)
    for (PyObject* module : modules) Py_DECREF(module);
  paths_.clear();
  made_.clear();
}

void bind_whereabouts(py::module_& m) {
  m.def("set_landmark", [](const std::string& name, const py::object& code) {
    PyObject*& landmark = name == "module_call" ? module_call
                          : name == "walk_back" ? walk_back
                                                : jit_record;
    Py_XSETREF(landmark, Py_NewRef(code.ptr()));
  });
}

}  // namespace dlx

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

// The globals of the Python files that tell where they are while their `_watched` is true.
std::vector<py::dict>& tellers() {
  static auto* const all = new std::vector<py::dict>();
  return *all;
}
int watchers = 0;
int64_t epoch = 0;  // rises when the first watcher comes: what was told before is void

// What Python has told of this thread. The Modules live, as they are being called.
struct Told {
  std::vector<PyObject*> modules;  // that are being called, outermost first
  int64_t node = -1;               // whose backward runs; those called within it are the modules
  size_t node_height = 0;          // from here on
  int64_t epoch = 0;
};
Told& told() {
  thread_local Told of_thread;
  if (of_thread.epoch != epoch) {
    of_thread = Told();
    of_thread.epoch = epoch;
  }
  return of_thread;
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
  PyFrameObject* frame = PyThreadState_GetFrame(PyThreadState_Get());
  std::string line = "an unknown line";
  while (frame) {
    PyCodeObject* code = PyFrame_GetCode(frame);
    const char* file = PyUnicode_AsUTF8(code->co_filename);
    const bool found = file && !std::string_view(file).starts_with(library());
    if (found) line = std::string(file) + ':' + std::to_string(PyFrame_GetLineNumber(frame));
    Py_DECREF(code);
    PyFrameObject* caller = found ? nullptr : PyFrame_GetBack(frame);
    Py_DECREF(frame);
    frame = caller;
  }
  return line;
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

void Whereabouts::start() {
  if (std::exchange(started_, true)) return;
  let_go();
  if (watchers++ > 0) return;
  ++epoch;
  for (py::dict& globals : tellers()) globals["_watched"] = py::bool_(true);
}

void Whereabouts::stop() {
  if (!std::exchange(started_, false)) return;
  if (--watchers == 0)
    for (py::dict& globals : tellers()) globals["_watched"] = py::bool_(false);
  made_.clear();
  called_.clear();
  backward_of_layer_.clear();
  backward_of_line_.clear();
  for (Layer& layer : layers_)
    for (PyObject*& module : layer.modules) {
      PyObject* weak = PyWeakref_NewRef(module, nullptr);
      if (!weak) throw py::error_already_set();
      Py_SETREF(module, weak);
    }
}

Whereabouts::~Whereabouts() {
  stop();
  let_go();
}

void Whereabouts::let_go() {
  for (const Layer& layer : layers_)
    for (PyObject* module : layer.modules) Py_DECREF(module);
  layers_.clear();
}

int32_t Whereabouts::at_launch(const std::string& line) {
  const Gil gil;
  const Told& now = told();
  const size_t from = now.node >= 0 ? std::min(now.node_height, now.modules.size()) : 0;
  int32_t layer = -1;
  if (now.modules.size() > from)
    layer = number_of({now.modules.begin() + static_cast<std::ptrdiff_t>(from), now.modules.end()});
  else if (now.node >= 0)
    layer = backward_of(now.node);
  const int64_t next = next_node_sequence();
  if (!made_.empty() && made_.back().sequence == next) made_.pop_back();
  made_.push_back({next, layer, line});
  if (made_.size() > kMostNodes) made_.pop_front();
  return layer;
}

int32_t Whereabouts::number_of(std::vector<PyObject*> modules) {
  const auto [at, is_new] = called_.try_emplace(modules, static_cast<int32_t>(layers_.size()));
  if (is_new) {
    for (PyObject* module : modules) Py_INCREF(module);
    layers_.push_back({std::move(modules), "", false});
  }
  return at->second;
}

int32_t Whereabouts::backward_of(int64_t sequence) {
  const auto later = std::upper_bound(made_.begin(), made_.end(), sequence,
                                      [](int64_t s, const Made& m) { return s < m.sequence; });
  if (later == made_.begin()) return -1;
  const Made& by = *std::prev(later);
  if (by.layer >= 0 && layers_[static_cast<size_t>(by.layer)].backward) return by.layer;
  const auto next = static_cast<int32_t>(layers_.size());
  int32_t& known = by.layer >= 0 ? backward_of_layer_.try_emplace(by.layer, next).first->second
                                 : backward_of_line_.try_emplace(by.line, next).first->second;
  if (known == next) {
    Layer layer = by.layer >= 0 ? layers_[static_cast<size_t>(by.layer)] : Layer{{}, by.line, true};
    layer.backward = true;
    for (PyObject* module : layer.modules) Py_INCREF(module);
    layers_.push_back(std::move(layer));
  }
  return known;
}

std::string Whereabouts::text_of(int32_t number) const {
  if (number < 0) return "";
  const Layer& layer = layers_[static_cast<size_t>(number)];
  std::string text = layer.line;
  if (!layer.modules.empty()) {
    py::list modules;
    for (PyObject* module : layer.modules)
      modules.append(PyWeakref_Check(module) ? py::handle(module)()
                                             : py::reinterpret_borrow<py::object>(module));
    text = py::module_::import("dlx.nn._location").attr("path_of")(modules).cast<std::string>();
  }
  return layer.backward ? "backward of " + text : text;
}

void bind_whereabouts(py::module_& m) {
  m.def("tell_whereabouts", [](py::dict globals) {
    globals["_watched"] = py::bool_(watchers > 0);
    tellers().push_back(std::move(globals));
  });
  m.def("enter_module", [](const py::handle& module) { told().modules.push_back(module.ptr()); });
  m.def("leave_module", [](const py::handle& module) {
    std::vector<PyObject*>& modules = told().modules;
    if (!modules.empty() && modules.back() == module.ptr()) modules.pop_back();
  });
  m.def("at_node", [](int64_t sequence) {
    Told& now = told();
    now.node = sequence;
    now.node_height = now.modules.size();
  });
}

}  // namespace dlx

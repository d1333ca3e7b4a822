// Observers as Python sees them: dlx.profile()'s counters, dlx.debug.nan_trap.
#include <pybind11/stl.h>

#include "bindings/tensor_base.h"
#include "bindings/whereabouts.h"
#include "core/nan_trap.h"
#include "core/profiler.h"

namespace dlx {
namespace {

namespace py = pybind11;

// While an observer stands at a thread's door its Python object stays alive, whoever forgets it.
template <class T>
void keep_alive(T& observer, bool alive) {
  const py::object self = py::cast(&observer, py::return_value_policy::reference);
  alive ? self.inc_ref() : self.dec_ref();
}

class PythonProfiler {
 public:
  void start() {
    DLX_CHECK_AS(std::runtime_error, !ctx_, "profile: entered twice");
    add_observer(current_ctx(), &profiler_);
    ctx_ = &current_ctx();
    keep_alive(*this, true);
  }
  void stop() {
    DLX_CHECK_AS(std::runtime_error, ctx_ == &current_ctx(), "profile: not entered on this thread");
    remove_observer(*std::exchange(ctx_, nullptr), &profiler_);
    keep_alive(*this, false);
  }
  // (name, isa, calls, seconds, flops, those of float64, bytes)
  py::list rows() const {
    py::list list;
    for (const auto& [key, row] : profiler_.rows())
      list.append(py::make_tuple(key.first, kIsaName[static_cast<int>(key.second)], row.calls,
                                 row.seconds, row.flops, row.flops_f64, row.bytes));
    return list;
  }

 private:
  Profiler profiler_;
  Ctx* ctx_ = nullptr;  // while it stands at the door
};

class PythonNanTrap {
 public:
  PythonNanTrap(bool inf, std::set<std::string> ignored)
      : trap_(
            inf, std::move(ignored),
            [this] {
              std::string line = line_of_launch();
              const int32_t layer = whereabouts_.at_launch(line);
              return NanTrap::Place{layer, std::move(line)};
            },
            [this](int32_t layer) {
              const py::gil_scoped_acquire gil;
              return whereabouts_.is_called(layer) ? "" : whereabouts_.text_of(layer);
            }) {}
  void start() {
    DLX_CHECK_AS(std::runtime_error, !ctx_, "nan_trap: entered twice");
    add_observer(current_ctx(), &trap_);
    whereabouts_.start();
    ctx_ = &current_ctx();
    keep_alive(*this, true);
  }
  void stop() {
    DLX_CHECK_AS(std::runtime_error, ctx_ == &current_ctx(),
                 "nan_trap: not entered on this thread");
    remove_observer(*std::exchange(ctx_, nullptr), &trap_);
    whereabouts_.stop();
    keep_alive(*this, false);
  }

 private:
  Whereabouts whereabouts_;
  NanTrap trap_;
  Ctx* ctx_ = nullptr;  // while it stands at the door
};

}  // namespace

void bind_observers(py::module_& m) {
  py::class_<PythonProfiler>(m, "Profiler", "Counts what the ops of this thread do.")
      .def(py::init<>())
      .def("start", &PythonProfiler::start)
      .def("stop", &PythonProfiler::stop)
      .def("rows", &PythonProfiler::rows);

  py::class_<PythonNanTrap>(m, "NanTrap", "Raises at the first launch that makes NaN.")
      .def(py::init<bool, std::set<std::string>>())
      .def("start", &PythonNanTrap::start)
      .def("stop", &PythonNanTrap::stop);
}

}  // namespace dlx

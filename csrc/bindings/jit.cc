// What dlx.jit (python/dlx/_jit.py) needs of C: recordings of a call, replays of it.
#include <pybind11/stl.h>

#include "bindings/bind_all.h"
#include "bindings/replay.h"
#include "core/device.h"

namespace dlx {
namespace {

// The number in a Tensor of one int64, which the program that is being recorded does not depend on.
int64_t peek(const Array& a) {
  DLX_CHECK(a.size() == 1 && a.dtype == DType::int64, "peek: expected one int64, got ", a.dtype,
            " of shape ", a.shape);
  const Unobserved alone(current_ctx());
  const Array host = moved(current_ctx(), a, Device{});
  return *static_cast<const int64_t*>(host.data());
}

std::vector<PyObject*> pointers(const std::vector<py::object>& objects) {
  std::vector<PyObject*> all;
  for (const py::object& o : objects) all.push_back(o.ptr());
  return all;
}

// The returned Tensors; a str where these Tensors do not fit, None while another thread replays.
py::object replay(Replay& program, const std::vector<py::object>& arguments) {
  std::vector<py::object> returned;
  std::string why;
  switch (program.run(pointers(arguments), returned, why)) {
    case Replay::Outcome::busy:
      return py::none();
    case Replay::Outcome::misfit:
      return py::str(why);
    case Replay::Outcome::done:
      break;
  }
  return py::cast(returned);
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
      .def(py::init([](Recording& r, bool fuse, int64_t memory_limit, bool graph) {
        return std::make_unique<Replay>(r, StepOptions{fuse, memory_limit, graph});
      }))
      .def("replay", replay)
      .def("misfit",
           [](const Replay& r, const std::vector<py::object>& arguments) {
             return r.misfit(pointers(arguments));
           })
      .def("numbers", [](const Replay& r) {
        const StepProgram& p = r.program();
        py::dict numbers;
        numbers["launches"] = p.launches();
        numbers["dead_launches"] = p.dead_launches();
        numbers["arena_bytes"] = p.arena_bytes();
        numbers["unplanned_bytes"] = p.unplanned_bytes();
        numbers["result_bytes"] = p.result_bytes();
        const StepGraph* graph = p.graph();
        numbers["graph_bytes"] = graph ? graph->bytes() : 0;
        numbers["graph_captures"] = graph ? graph->captures() : 0;
        numbers["graph_replays"] = graph ? graph->replays() : 0;
        return numbers;
      });
}

}  // namespace dlx

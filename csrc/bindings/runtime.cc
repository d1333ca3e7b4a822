// Memory, machine limits, test hooks.
#include <pybind11/stl.h>

#include "bindings/tensor_base.h"
#include "core/allocator.h"
#include "core/choice.h"
#include "core/guarded.h"
#include "core/machine_limits.h"
#include "core/test_hooks.h"

namespace dlx {

namespace py = pybind11;

py::dict as_dict(const MemoryStats& s) {
  py::dict d;
  d["live_bytes"] = s.live_bytes;
  d["peak_bytes"] = s.peak_bytes;
  d["cached_bytes"] = s.cached_bytes;
  d["allocations"] = s.allocations;
  d["cache_hits"] = s.cache_hits;
  return d;
}

Choice& choice_of(const std::string& op) {
  for (Choice* choice : Choice::all())
    if (choice->op == op) return *choice;
  throw py::key_error(op + " has one algorithm only");
}

void bind_runtime(py::module_& m) {
  m.def("memory_stats", [] { return as_dict(memory_stats()); });
  m.def("reset_peak_memory", reset_peak);
  m.def("empty_cache", empty_cache);
  m.def("machine_limits", [] {
    MachineLimits limits;
    {
      const GilRelease release(true);
      limits = machine_limits();
    }
    py::dict d;
    d["gflops_float32"] = limits.gflops_f32;
    d["gflops_float64"] = limits.gflops_f64;
    d["gflops_bfloat16"] = limits.gflops_bf16;
    d["copy_gbs"] = limits.copy_gbs;
    d["threads"] = limits.threads;
    d["isa"] = kIsaName[static_cast<int>(limits.isa)];
    return d;
  });

  m.def(
      "measure_gflops",
      [](DType dtype, double flops, double seconds) {
        const GilRelease release(true);
        return measure_gflops(dtype, flops, seconds);
      },
      py::arg("dtype"), py::arg("flops"), py::arg("seconds"));
  // Of `reads` parts read and `writes` written, of `bytes` each.
  py::class_<Bandwidth>(m, "Bandwidth")
      .def(py::init([](int reads, int writes, int64_t bytes, bool apart) {
             return std::make_unique<Bandwidth>(AccessMix{reads, writes, bytes, apart});
           }),
           py::arg("reads"), py::arg("writes"), py::arg("bytes"), py::arg("apart") = true)
      .def(
          "measure",
          [](const Bandwidth& self, double seconds) {  // GB/s
            const GilRelease release(true);
            return self.measure(seconds);
          },
          py::arg("seconds"));

  auto hook = [&](const char* name, std::atomic<bool>& flag) {
    m.def((std::string("hook_") + name).c_str(), [&flag](bool on) { return flag.exchange(on); });
  };
  hook("split_by_threads", hooks::split_by_threads);
  hook("disable_parking", hooks::disable_parking);
  hook("disable_fork_handler", hooks::disable_fork_handler);
  hook("disable_free_list", hooks::disable_free_list);
  hook("poison_outputs", hooks::poison_outputs);
  m.def("check_guards", check_guards);
  m.def("hook_forced_grain", [](int64_t grain) {
    const int64_t before = hooks::forced_grain;
    hooks::set_forced_grain(grain);
    return before;
  });
  m.def("workers_used", hooks::workers_used);

  m.def("algorithms", [] {  // {op: names}
    py::dict d;
    for (const Choice* choice : Choice::all()) d[choice->op.c_str()] = py::cast(choice->algorithms);
    return d;
  });
  m.def("force_algorithm",
        [](const std::string& op, int algorithm) { return choice_of(op).force(algorithm); });
  m.def("latest_algorithm", [](const std::string& op) { return choice_of(op).latest(); });
  m.def("close_door", [](bool closed) { door_closed += closed ? 1 : -1; });
}

}  // namespace dlx

// A recorded step as Python data: python/dlx/_jit_view.py writes text and pictures of it.
#include <pybind11/stl.h>

#include "bindings/bind_all.h"
#include "bindings/replay.h"

namespace dlx {
namespace {

namespace py = pybind11;

py::tuple as_tuple(const DescribedArray& a) {
  return py::make_tuple(name_of(a.dtype), a.shape, a.shape.product() * size_of(a.dtype), a.where,
                        a.arena, a.place);
}

// {calls: [(op, device, inputs, outputs, flops, bytes, line, layer)], each array (dtype, shape,
// bytes, where, arena, place); blocks: [(arena, place, bytes, first, last, maker)]; arenas:
// [(device, bytes)]; graph: how a GPU gets the launches, "" without one; seconds: of each call, of
// all timed replays; replays: how many those are}
py::dict describe(Replay& replay) {
  const Description all = replay.describe();
  py::list calls, blocks, arenas;
  for (const DescribedCall& c : all.calls) {
    py::list inputs, outputs;
    for (size_t k = 0; k < c.arrays.size(); ++k)
      (k < c.inputs ? inputs : outputs).append(as_tuple(c.arrays[k]));
    calls.append(py::make_tuple(c.op, message(c.device), inputs, outputs, c.cost.flops,
                                c.cost.bytes, c.line, c.layer));
  }
  for (const DescribedBlock& b : all.blocks)
    blocks.append(py::make_tuple(b.arena, b.place, b.bytes, b.first, b.last, b.maker));
  for (const DescribedArena& a : all.arenas)
    arenas.append(py::make_tuple(message(a.device), a.bytes));
  py::dict dict;
  dict["calls"] = calls;
  dict["blocks"] = blocks;
  dict["arenas"] = arenas;
  dict["graph"] = all.graph;
  dict["seconds"] = py::cast(replay.timer().seconds);
  dict["replays"] = replay.timer().replays;
  return dict;
}

}  // namespace

void bind_describe(py::module_& m) {
  m.def("describe", describe, "A Replay as data.");
  m.def("time_replays", [](Replay& replay, int64_t count) { replay.time(count); });
}

}  // namespace dlx

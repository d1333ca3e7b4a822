#include "program/describe.h"

#include "core/check.h"
#include "core/device.h"
#include "program/step_program.h"

namespace dlx {

Description StepProgram::describe() const {
  Description all;
  std::vector<int32_t> makers(memories_.size(), -1);
  const auto described = [&](const RecordedArray& a) {
    const Memory& m = memories_[static_cast<size_t>(a.memory)];
    DescribedArray array{a.dtype, a.shape, "", -1, 0};
    switch (m.kind) {
      case Kind::slot:
        array.where = message("slot ", m.slot);
        break;
      case Kind::constant:
        array.where = "constant";
        break;
      case Kind::result:
        array.where = "result";
        break;
      case Kind::arena:
        array.where = "arena";
        array.arena = m.arena;
        array.place = m.place + a.offset;
        break;
    }
    return array;
  };
  for (const RecordedCall& call : record_.calls) {
    const Origin origin = record_.origin_of(call);
    DescribedCall c{call.label(),
                    call.device,
                    call.inputs,
                    {},
                    call.op->cost ? call.op->cost(call.shape.data()) : Cost{},
                    std::string(origin.line),
                    std::string(origin.layer)};
    for (size_t k = 0; k < call.arrays.size(); ++k) {
      const RecordedArray& a = call.arrays[k];
      c.arrays.push_back(described(a));
      int32_t& maker = makers[static_cast<size_t>(a.memory)];
      if (k >= call.inputs && maker < 0) maker = static_cast<int32_t>(all.calls.size());
    }
    all.calls.push_back(std::move(c));
  }
  for (size_t i = 0; i < memories_.size(); ++i) {
    const Memory& m = memories_[i];
    if (m.kind == Kind::arena && m.first >= 0)
      all.blocks.push_back(
          {m.arena, m.place, record_.memories[i].bytes, m.first, m.last, makers[i]});
  }
  for (const Arena& a : arenas_) all.arenas.push_back({a.device, a.bytes});
  if (graph_) all.graph = graph_->text();
  return all;
}

void CallTimer::after(const Launch& call) {
  const Device device = call.outputs[0]->device();
  if (device.kind != DeviceKind::cpu) cuda_backend()->synchronize(device);
  const std::chrono::duration<double> taken = Clock::now() - start_;
  if (next_ == seconds.size()) seconds.push_back(0);
  seconds[next_++] += taken.count();
}

}  // namespace dlx

// What stands at the door sees the launches of a replay, too.
#include <algorithm>

#include "program/step_program.h"

namespace dlx {

void StepProgram::run_observed(Ctx& ctx, const Bound& now, const RecordedCall& call) const {
  const bool apart = std::any_of(ctx.observers, ctx.observers + ctx.num_observers,
                                 [](const Observer* o) { return o->wants_parts(); });
  std::map<int32_t, Array> within;
  if (!apart || call.parts.empty()) return run_observed(ctx, now, call, within);
  for (const RecordedCall& part : call.parts) run_observed(ctx, now, part, within);
}

// within: memory of values that only other parts of one call see.
void StepProgram::run_observed(Ctx& ctx, const Bound& now, const RecordedCall& call,
                               std::map<int32_t, Array>& within) const {
  std::vector<Array> arrays;
  for (const RecordedArray& a : call.arrays) {
    const auto m = static_cast<size_t>(a.memory);
    if (now.storages[m]) {
      arrays.push_back(value(now, a));
      continue;
    }
    const RecordedMemory& memory = record_.memories[m];
    Array& own = within[a.memory];
    if (!own.storage) own = empty({memory.bytes}, DType::uint8, memory.device);
    Array array;
    array.storage = own.storage;
    array.offset = a.offset / size_of(a.dtype);
    array.shape = a.shape;
    array.strides = a.strides;
    array.dtype = a.dtype;
    arrays.push_back(array);
  }
  std::vector<const Array*> inputs;
  std::vector<Array*> outputs;
  const auto first_output = static_cast<std::ptrdiff_t>(call.inputs);
  for (size_t k = call.inputs; k < arrays.size(); ++k) outputs.push_back(&arrays[k]);
  for (size_t k = 0; k < call.inputs; ++k) {
    // A number among pointwise operands: the output stands in for it, one Array for both.
    const auto output =
        std::find(call.arrays.begin() + first_output, call.arrays.end(), call.arrays[k]);
    inputs.push_back(
        &arrays[output == call.arrays.end() ? k
                                            : static_cast<size_t>(output - call.arrays.begin())]);
  }
  const Origin origin = record_.origin_of(call);
  launch_bytes(
      ctx, {*call.op, call.shape.data(), call.shape.size(), inputs, outputs, call.same, &origin});
}

}  // namespace dlx

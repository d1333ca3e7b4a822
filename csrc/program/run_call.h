// One launch of a record, below the door.
#pragma once
#include "core/device.h"
#include "program/record.h"

namespace dlx {

// A move between two GPUs, which share no stream: it waits for what `from` has got until now, and
// what that gets afterwards, which may be written to the same place, waits for it.
inline void run_between(Ctx& ctx, const RecordedCall& call, Device from, void* const* buffers) {
  const bool gpus = from.kind != DeviceKind::cpu && call.device.kind != DeviceKind::cpu;
  if (gpus) order_devices(from, call.device);
  run_kernel(ctx, *call.op, call.shape.data(), call.shape.size(), buffers, call.device);
  if (gpus) order_devices(call.device, from);
}

inline void run_call(Ctx& ctx, const Record& record, const RecordedCall& call,
                     void* const* buffers) {
  if (call.op->crosses) [[unlikely]] {
    const auto source = static_cast<size_t>(call.arrays[0].memory);
    return run_between(ctx, call, record.memories[source].device, buffers);
  }
  run_kernel(ctx, *call.op, call.shape.data(), call.shape.size(), buffers, call.device);
}

}  // namespace dlx

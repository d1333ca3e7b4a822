// What a device keeps while dlx uses it: one stream in which all of its work is in order, its
// memory, and the slot for the first error that a kernel finds.
#pragma once
#include "core/array.h"
#include "core/launch.h"
#include "cuda/core/runtime.h"

namespace dlx::cuda {

// In device memory. Written once by the first thread that fails; the kernel clamps and goes on.
struct ErrorReport {
  int filled;
  int64_t row, value, limit;
};

struct Context {
  int device;
  Stream stream;
  ErrorReport* error;
};

// Made at the first use. std::runtime_error where there is no such device.
Context& context_of(Device);
inline Context& context(const Ctx& ctx) { return context_of(ctx.device); }

}  // namespace dlx::cuda

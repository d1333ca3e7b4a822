// What a device keeps while dlx uses it: streams. A thread's kernels go to the stream that is
// current for it.
#pragma once
#include "core/array.h"
#include "core/launch.h"
#include "cuda/core/runtime.h"

namespace dlx::cuda {

// Lives as long as the process: memory knows the streams that have used it.
struct Context : DeviceStream {
  int device = 0;
  Stream stream = nullptr;
};

// The current one of this thread; a device's first use makes its first. std::runtime_error where
// there is no such device, or no code for it.
Context& context_of(Device);
inline Context& context(const Ctx& ctx) { return context_of(ctx.device); }

Context* make_current(Context&);    // for its device; the one before
Context& take_context(int device);  // one that nobody else has
void put_back_context(Context&);

// What `later` gets from now on comes after what `earlier` has got until now.
void order(const Context& earlier, const Context& later);

// Where the kernels of this launch report: core/error_report.h.
struct ErrorReport;
inline ErrorReport* error_of(const Ctx& ctx) {
  return static_cast<ErrorReport*>(ctx.error_on_device);
}

}  // namespace dlx::cuda

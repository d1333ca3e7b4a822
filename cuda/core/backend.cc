// The functions that the core asks of CUDA, and the contexts of the devices.
#include <mutex>

#include "core/check.h"
#include "core/device.h"
#include "cuda/core/allocator.h"
#include "cuda/core/context.h"

namespace dlx {
namespace cuda {
namespace {

constexpr int kMostDevices = 128;

Context* make_context(int device) {
  const int count = device_count();
  DLX_CHECK_AS(std::runtime_error, device < count, "cuda:", device, ": not available: ",
               count == 0 ? reason_for_no_device() : message("there are ", count),
               "; run `dlx info`");
  set_device(device);
  auto* c = new Context{device, create_stream(), nullptr};  // lives as long as the process
  c->error = static_cast<ErrorReport*>(device_malloc(sizeof(ErrorReport)));
  fill(c->stream, c->error, 0, sizeof(ErrorReport));
  return c;
}

bool take_error(Device device, ErrorSlot* slot) {
  Context& c = context_of(device);
  ErrorReport report{};
  copy(c.stream, &report, c.error, sizeof report, Copy::to_host);
  synchronize(c.stream);
  if (!report.filled) return false;
  fill(c.stream, c.error, 0, sizeof report);
  slot->report(report.row, report.value, report.limit);
  return true;
}

}  // namespace

Context& context_of(Device device) {
  static std::mutex mutex;
  static Context* contexts[kMostDevices] = {};
  const std::lock_guard lock(mutex);
  Context*& c = contexts[device.index];
  if (!c) c = make_context(device.index);
  return *c;
}

}  // namespace cuda

extern const DeviceBackend backend_of_cuda;
const DeviceBackend backend_of_cuda{
    .count = cuda::device_count,
    .reason_for_none = cuda::reason_for_no_device,
    .allocate =
        [](Device d, int64_t bytes) {
          cuda::context_of(d);  // says why where there is none
          return cuda::device_allocate(d.index, bytes);
        },
    .release = [](Device d, void* block,
                  int64_t bytes) { cuda::device_release(d.index, block, bytes); },
    .copy_to_host =
        [](Device d, void* to, const void* from, int64_t bytes) {
          cuda::Context& c = cuda::context_of(d);
          cuda::copy(c.stream, to, from, bytes, cuda::Copy::to_host);
          cuda::synchronize(c.stream);
        },
    .fill = [](Device d, void* to, uint8_t byte,
               int64_t bytes) { cuda::fill(cuda::context_of(d).stream, to, byte, bytes); },
    .enter = [](Device d) { cuda::set_device(cuda::context_of(d).device); },
    .take_error = cuda::take_error,
    .synchronize = [](Device d) { cuda::synchronize(cuda::context_of(d).stream); },
    .name = [](Device d) { return cuda::properties(d.index).name; },
    .memory_stats = [](Device d) { return cuda::device_memory_stats(d.index); },
    .reset_peak = [](Device d) { cuda::reset_device_peak(d.index); },
    .empty_cache = [](Device d) { cuda::empty_device_cache(d.index); },
};

}  // namespace dlx

#include "cuda/core/context.h"

#include <mutex>
#include <vector>

#include "core/allocator.h"
#include "core/check.h"

namespace dlx::cuda {
namespace {

constexpr int kMostDevices = 128;  // as many as an index of a Device can name

std::mutex mutex;
Context* first_of[kMostDevices] = {};
std::vector<Context*> idle;
thread_local Context* current_of[kMostDevices] = {};

Context* make_context(int device) {
  const int count = device_count();
  DLX_CHECK_AS(std::runtime_error, device < count, "cuda:", device, ": not available: ",
               count == 0 ? reason_for_no_device() : message("there are ", count, " GPUs"),
               "; run `dlx info`");
  set_device(device);
  if (!has_code()) {
    const Properties p = properties(device);
    throw std::runtime_error(
        message("cuda:", device, ": not available: ", p.name, " has compute capability ", p.major,
                ".", p.minor, ", and this build of dlx has code for ", built_for(),
                " only; build it with DLX_CUDA_ARCHS=", p.major, p.minor, "; run `dlx info`"));
  }
  auto* c = new Context;
  c->device = device;
  c->stream = create_stream();
  return c;
}

}  // namespace

Context& context_of(Device device) {
  if (Context* c = current_of[device.index]) return *c;
  const std::lock_guard lock(mutex);
  Context*& first = first_of[device.index];
  if (!first) first = make_context(device.index);
  current_of[device.index] = first;
  return *first;
}

Context* make_current(Context& c) {
  Context& before = context_of({DeviceKind::cuda, static_cast<int8_t>(c.device)});
  current_of[c.device] = &c;
  return &before;
}

Context& take_context(int device) {
  const std::lock_guard lock(mutex);
  for (auto at = idle.begin(); at != idle.end(); ++at) {
    if ((*at)->device != device) continue;
    Context* c = *at;
    idle.erase(at);
    return *c;
  }
  return *make_context(device);
}

void put_back_context(Context& c) {
  const std::lock_guard lock(mutex);
  idle.push_back(&c);
}

void order(const Context& earlier, const Context& later) {
  set_device(earlier.device);
  const Event done = create_event();
  record(done, earlier.stream);
  wait(later.stream, done);
  destroy_event(done);
}

}  // namespace dlx::cuda

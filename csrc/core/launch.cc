#include "core/launch.h"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <vector>

#include "core/allocator.h"
#include "core/check.h"
#include "core/device.h"
#include "core/parallel.h"
#include "ops/copy.h"

namespace dlx {

std::atomic<int> door_closed{0};

namespace {

// Memory for the time of one launch; 0 bytes cost nothing.
struct Scratch {
  Scratch(Device where, int64_t n)
      : device(where), bytes(n), data(n ? allocate_on(device, n) : nullptr) {}
  ~Scratch() {
    if (data) release_on(device, data, bytes);
  }
  Scratch(const Scratch&) = delete;
  Device device;
  int64_t bytes;
  void* data;
};

bool all_dense(Inputs inputs) {
  return std::all_of(inputs.begin(), inputs.end(), [](const Array* a) { return a->is_dense(); });
}

#if DLX_WITH_CUDA
void check_devices(const Launch& call) {
  const Device device = call.outputs[0]->device();
  const auto check = [&](const Array* a) {
    DLX_CHECK_AS(std::runtime_error, a->device() == device || call.op.crosses, call.op.name,
                 ": expected arrays of one device, got ", a->device(), " and ", device,
                 "; x.to(device) moves one");
  };
  for (const Array* a : call.inputs) check(a);
  for (const Array* a : call.outputs) check(a);
}

void use(DeviceStream* now, Storage& s, bool writes) {
  if (s.device.kind != DeviceKind::cpu && s.stream.load() != now)
    cuda_backend()->streams.use(now, s, writes);
}

// The stream of this launch waits for others that have used its arrays.
void order_streams(const Launch& call) {
  Device device = call.outputs[0]->device();
  if (device.kind == DeviceKind::cpu) {
    if (!call.op.crosses) return;
    device = call.inputs[0]->device();
    if (device.kind == DeviceKind::cpu) return;
  }
  DeviceStream* now = cuda_backend()->streams.current(device);
  for (const Array* a : call.inputs) use(now, *a->storage.get(), false);
  for (const Array* a : call.outputs) use(now, *a->storage.get(), true);
}
#else
void check_devices(const Launch&) {}
void order_streams(const Launch&) {}
#endif

void launch_dense(Ctx& ctx, const Launch& call) {
  std::vector<Array> copies;
  std::vector<const Array*> inputs;
  for (const Array* a : call.inputs) copies.push_back(dense(ctx, *a));
  for (const Array& a : copies) inputs.push_back(&a);
  launch_bytes(
      ctx, {call.op, call.shape, call.shape_bytes, inputs, call.outputs, call.same, call.origin});
}

}  // namespace

bool launches_block() {
  static const bool block = [] {
    const char* set = std::getenv("DLX_LAUNCH_BLOCKING");
    return set && std::string_view(set) == "1";
  }();
  return block;
}

Ctx& current_ctx() {
  thread_local Ctx ctx;
  return ctx;
}

void add_observer(Ctx& ctx, Observer* observer) {
  DLX_CHECK(ctx.num_observers < kMaxObservers, "at most ", kMaxObservers,
            " observers can stand at the door");
  ctx.observers[ctx.num_observers++] = observer;
}

void remove_observer(Ctx& ctx, Observer* observer) {
  auto* end = std::remove(ctx.observers, ctx.observers + ctx.num_observers, observer);
  ctx.num_observers = static_cast<int>(end - ctx.observers);
}

void run_kernel(Ctx& ctx, const Op& op, const void* shape, size_t shape_bytes, void* const* buffers,
                Device device) {
  Kernel kernel = op.kernels[static_cast<int>(device.kind)];
  if (device.kind != DeviceKind::cpu) [[unlikely]] {
    DLX_CHECK_AS(std::runtime_error, kernel, op.name, ": has no kernel for cuda");
    cuda_backend()->enter(device);
    if (op.can_fail)
      ctx.error_on_device = cuda_backend()->error_slot(device, op, shape, shape_bytes);
  }
  ctx.device = device;
  std::optional<KeepThreads> keep;  // a workspace may be sized by their number
  const Workspace workspace_of = op.workspace[static_cast<int>(device.kind)];
  if (workspace_of) keep.emplace();
  const int64_t workspace_bytes = workspace_of ? workspace_of(shape) : 0;
  Scratch workspace(device, workspace_bytes);
  kernel(ctx, shape, buffers, workspace.data);
  if (device.kind != DeviceKind::cpu) {
    if (launches_block()) {
      cuda_backend()->synchronize(device);
      cuda_backend()->tell_errors(device, nullptr, "by its launch");
    }
    return;
  }
  if (op.can_fail && ctx.error.filled.load(std::memory_order_relaxed)) [[unlikely]] {
    ctx.error.filled.store(false);
    throw std::out_of_range(op.explain(shape, ctx.error));
  }
}

void issue_kernel(Ctx& ctx, const Op& op, const void* shape, void* const* buffers, Device device,
                  void* workspace, void* error_on_device) {
  cuda_backend()->enter(device);
  ctx.device = device;
  ctx.error_on_device = error_on_device;
  op.kernels[static_cast<int>(device.kind)](ctx, shape, buffers, workspace);
}

void launch_bytes(Ctx& ctx, const Launch& call) {
  DLX_CHECK_AS(std::runtime_error, door_closed.load(std::memory_order_relaxed) == 0, call.op.name,
               ": called while a recorded program replays");
  if (!call.op.strided && !all_dense(call.inputs)) [[unlikely]]
    return launch_dense(ctx, call);

  check_devices(call);
  order_streams(call);
  constexpr size_t kInline = 16;
  void* few[kInline];
  size_t count = call.inputs.size() + call.outputs.size();
  Scratch many(Device{}, count > kInline ? static_cast<int64_t>(count * sizeof(void*)) : 0);
  void** buffers = count > kInline ? static_cast<void**>(many.data) : few;
  void** next = buffers;
  for (const Array* a : call.inputs) *next++ = a->data();
  for (Array* a : call.outputs) *next++ = a->data();

  for (int i = 0; i < ctx.num_observers; ++i) ctx.observers[i]->before(call);
  run_kernel(ctx, call.op, call.shape, call.shape_bytes, buffers, call.outputs[0]->device());
  for (int i = ctx.num_observers - 1; i >= 0; --i) ctx.observers[i]->after(call);
}

#if DLX_WITH_CUDA
void use_on_current_stream(Storage& s, bool writes) {
  if (s.device.kind != DeviceKind::cpu) use(cuda_backend()->streams.current(s.device), s, writes);
}

void order_devices(Device earlier, Device later) {
  const DeviceStreams& streams = cuda_backend()->streams;
  DeviceStream* const first = streams.current(earlier);
  const DeviceEvent done = streams.new_event(first, false);
  streams.record(done, first);
  streams.wait(streams.current(later), done);
  streams.delete_event(done);
}
#else
void use_on_current_stream(Storage&, bool) {}
void order_devices(Device, Device) {}
#endif

Array copy_of(Ctx& ctx, const Array& a) {
  Array out = empty(a.shape, a.dtype, a.device());
  launch(ctx, ops::copy, CopyShape::make(a.shape, a.dtype, a.strides, out.strides), {&a}, {&out});
  return out;
}

Array dense(Ctx& ctx, const Array& a) { return a.is_dense() ? a : copy_of(ctx, a); }

void own(Ctx& ctx, Array& a) {
  if (a.is_writable() && a.is_dense()) return;
  a = copy_of(ctx, a);
}

void notify_host_read(Ctx& ctx, const Array& a) {
  for (int i = 0; i < ctx.num_observers; ++i) ctx.observers[i]->host_read(a);
}

}  // namespace dlx

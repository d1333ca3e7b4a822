// The functions that the core asks of CUDA, in one table.
#include "core/check.h"
#include "core/device.h"
#include "cuda/core/allocator.h"
#include "cuda/core/context.h"
#include "cuda/core/error_slots.h"
#include "cuda/core/graphs.h"
#include "cuda/core/pinned.h"
#include "cuda/core/uses.h"

namespace dlx {
namespace cuda {
namespace {

Context& as_context(DeviceStream* s) { return *static_cast<Context*>(s); }
Event as_event(DeviceEvent e) { return static_cast<Event>(e); }
Stream foreign(uintptr_t s) { return reinterpret_cast<Stream>(s); }

// Frees run in destructors: what a broken device still refuses is let be.
void release_storage(Storage& s) {
  const std::vector<Context*> users = take_uses(s);
  try {
    device_release(s.device.index, s.data, users);
  } catch (const CudaError&) {
  }
}

void wait_for_uses(Storage& s) noexcept {
  const std::vector<Context*> users = take_uses(s);
  try {
    for (const Context* c : users) synchronize(c->stream);
  } catch (const CudaError&) {
  }
}

void synchronize_all(Device d) {
  set_device(context_of(d).device);
  synchronize_device();
  let_go_of_copied();
}

void let_foreign_wait(uintptr_t other, DeviceStream* from) {
  const Context& c = as_context(from);
  set_device(c.device);
  const Event done = create_event();
  record(done, c.stream);
  wait(foreign(other), done);
  destroy_event(done);
}

void wait_for_foreign(DeviceStream* now, uintptr_t other) {
  const Context& c = as_context(now);
  set_device(c.device);
  const Event done = create_event();
  record(done, foreign(other));
  wait(c.stream, done);
  destroy_event(done);
}

constexpr DeviceStreams kStreams{
    .current = [](Device d) -> DeviceStream* { return &context_of(d); },
    .make_current = [](DeviceStream* s) -> DeviceStream* { return make_current(as_context(s)); },
    .take = [](Device d) -> DeviceStream* { return &take_context(d.index); },
    .put_back = [](DeviceStream* s) { put_back_context(as_context(s)); },
    .device =
        [](DeviceStream* s) {
          return Device{DeviceKind::cuda, static_cast<int8_t>(as_context(s).device)};
        },
    .native = [](DeviceStream* s) { return reinterpret_cast<uintptr_t>(as_context(s).stream); },
    .synchronize =
        [](DeviceStream* s) {
          synchronize(as_context(s).stream);
          let_go_of_copied();
        },
    .use = [](DeviceStream* now, Storage& s, bool writes) { use(as_context(now), s, writes); },
    .hand_over =
        [](Storage& s, DeviceStream* to) {
          take_uses(s);
          s.stream = to;
        },
    .wait_for_uses = wait_for_uses,
    .let_foreign_wait = let_foreign_wait,
    .wait_for_foreign = wait_for_foreign,
    .new_event = [](DeviceStream* s, bool timed) -> DeviceEvent {
      set_device(as_context(s).device);
      return create_event(timed);
    },
    .delete_event = [](DeviceEvent e) { destroy_event(as_event(e)); },
    .record = [](DeviceEvent e, DeviceStream* s) { record(as_event(e), as_context(s).stream); },
    .wait = [](DeviceStream* s, DeviceEvent e) { wait(as_context(s).stream, as_event(e)); },
    .is_done = [](DeviceEvent e) { return is_done(as_event(e)); },
    .synchronize_event = [](DeviceEvent e) { synchronize(as_event(e)); },
    .milliseconds = [](DeviceEvent from,
                       DeviceEvent to) { return milliseconds(as_event(from), as_event(to)); },
};

constexpr DeviceGraphs kGraphs{
    .capture = [](Device d, const std::function<void()>& issue) -> DeviceGraph {
      return capture(context_of(d).device, issue);
    },
    .launch = [](DeviceGraph g,
                 Device d) { launch_graph(static_cast<Graph>(g), context_of(d).stream); },
    .destroy =
        [](DeviceGraph g) noexcept {
          try {
            destroy_graph(static_cast<Graph>(g));
          } catch (const CudaError&) {  // a broken device, or the end of the process
          }
        },
    .copy = [](Device d, void* to, const void* from,
               int64_t bytes) { copy(context_of(d).stream, to, from, bytes, Copy::on_device); },
    .report_bytes = sizeof(ErrorReport),
    .reserve_error_slots = [](Device d, int count) { reserve_error_slots(context_of(d), count); },
    .most_error_slots = kErrorSlots,
};

}  // namespace
}  // namespace cuda

extern const DeviceBackend backend_of_cuda;
const DeviceBackend backend_of_cuda{
    .count = cuda::device_count,
    .reason_for_none = cuda::reason_for_no_device,
    .built_for = cuda::built_for,
    .allocate =
        [](Device d, int64_t bytes, const Array* owner) {
          return cuda::device_allocate(cuda::context_of(d), bytes, owner);
        },
    .release = [](Device d, void* block) { cuda::device_release(d.index, block, {}); },
    .release_storage = cuda::release_storage,
    .device_of = cuda::device_of,
    .pinned_allocate = cuda::pinned_allocate,
    .pinned_release = cuda::pinned_release,
    .keep_for_copy =
        [](DeviceStream* s, const StorageRef& memory) {
          cuda::keep_for_copy(cuda::as_context(s), memory);
        },
    .copy_to_host =
        [](Device d, void* to, const void* from, int64_t bytes) {
          cuda::Context& c = cuda::context_of(d);
          cuda::copy(c.stream, to, from, bytes, cuda::Copy::to_host);
          cuda::synchronize(c.stream);
          cuda::tell_errors(c.device, message("at a later read of ", bytes, " bytes"));
        },
    .fill = [](Device d, void* to, uint8_t byte,
               int64_t bytes) { cuda::fill(cuda::context_of(d).stream, to, byte, bytes); },
    .enter = [](Device d) { cuda::set_device(cuda::context_of(d).device); },
    .error_slot = [](Device d, const Op& op, const void* shape, size_t shape_bytes) -> void* {
      return cuda::error_slot(cuda::context_of(d), op, shape, shape_bytes);
    },
    .tell_errors =
        [](Device d, DeviceStream* only, const std::string& when) {
          cuda::tell_errors(d.index, when, static_cast<cuda::Context*>(only));
        },
    .synchronize = cuda::synchronize_all,
    .properties =
        [](Device d) {
          const cuda::Properties p = cuda::properties(d.index);
          return DeviceProperties{p.name, message(p.major, ".", p.minor), p.memory_bytes};
        },
    .memory_stats = [](Device d) { return cuda::device_memory_stats(d.index); },
    .reset_peak = [](Device d) { cuda::reset_device_peak(d.index); },
    .empty_cache =
        [](Device d) {
          cuda::empty_device_cache(d.index);
          cuda::empty_pinned_cache();
        },
    .streams = cuda::kStreams,
    .graphs = cuda::kGraphs,
};

}  // namespace dlx

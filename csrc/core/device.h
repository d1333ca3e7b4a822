// What the core knows of devices other than the CPU: memory and copies. cuda/core/backend.cc has
// the functions where this build has CUDA.
#pragma once
#include <functional>
#include <string>

#include "core/allocator.h"
#include "core/array.h"
#include "core/launch.h"

namespace dlx {

using DeviceEvent = void*;
using DeviceGraph = void*;

// Work is issued to the stream that is current for the thread. Whatever stream uses an array waits
// for those that wrote it, and who writes it for those that read it: numbers do not depend on
// streams, only time does.
struct DeviceStreams {
  DeviceStream* (*current)(Device);
  DeviceStream* (*make_current)(DeviceStream*);  // for its device; the one before
  DeviceStream* (*take)(Device);                 // one that nobody else has
  void (*put_back)(DeviceStream*);
  Device (*device)(DeviceStream*);
  uintptr_t (*native)(DeviceStream*);  // cudaStream_t
  void (*synchronize)(DeviceStream*);
  // Before `now` uses memory that another stream has used.
  void (*use)(DeviceStream* now, Storage&, bool writes);
  void (*hand_over)(Storage&, DeviceStream* to);  // which has waited for all work on it
  void (*wait_for_uses)(Storage&) noexcept;       // until no work uses it any more
  // A stream of another library waits for what `from` has got, or the other way round.
  void (*let_foreign_wait)(uintptr_t foreign, DeviceStream* from);
  void (*wait_for_foreign)(DeviceStream*, uintptr_t foreign);

  DeviceEvent (*new_event)(DeviceStream*, bool timed);  // for streams of its device
  void (*delete_event)(DeviceEvent);
  void (*record)(DeviceEvent, DeviceStream*);
  void (*wait)(DeviceStream*, DeviceEvent);
  bool (*is_done)(DeviceEvent);
  void (*synchronize_event)(DeviceEvent);
  double (*milliseconds)(DeviceEvent from, DeviceEvent to);
};

// Launches that a GPU does again as one.
struct DeviceGraphs {
  // What `issue` gives the current stream is kept instead of done. It launches kernels, copies on
  // the device and fills, nothing else; memory that they use is there as long as the graph.
  DeviceGraph (*capture)(Device, const std::function<void()>& issue);
  void (*launch)(DeviceGraph, Device);    // on the current stream
  void (*destroy)(DeviceGraph) noexcept;  // launches that are not done go on
  void (*copy)(Device, void* to, const void* from, int64_t bytes);  // both there
  int64_t report_bytes;  // where a launch that can fail reports; all 0: nothing was reported
  // The next `count` of error_slot, at most so many, lie one behind the other. May tell errors.
  void (*reserve_error_slots)(Device, int count);
  int most_error_slots;
};

struct DeviceProperties {
  std::string name, capability;
  int64_t memory_bytes;
};

struct DeviceBackend {
  int (*count)();
  std::string (*reason_for_none)();
  std::string (*built_for)();  // architectures
  // Memory for the current stream; never null; throws OutOfMemory. owner: the array, null: scratch.
  void* (*allocate)(Device, int64_t bytes, const Array* owner);
  void (*release)(Device, void* block);
  void (*release_storage)(Storage&);
  int (*device_of)(const void*);  // -1: no memory of a device
  void* (*pinned_allocate)(int64_t bytes);
  void (*pinned_release)(void*, int64_t bytes);
  void (*keep_for_copy)(DeviceStream*, const StorageRef&);  // until what the stream has got is done
  void (*copy_to_host)(Device, void* to, const void* from, int64_t bytes);  // done on return
  void (*fill)(Device, void* to, uint8_t byte, int64_t bytes);
  // This thread launches kernels of the device from now on.
  void (*enter)(Device);
  // Where the kernel of one launch that can fail reports. The shape is kept to explain it.
  void* (*error_slot)(Device, const Op&, const void* shape, size_t shape_bytes);
  // Throws what kernels of this thread's launches reported: to all streams, or to one. Waits for
  // those. copy_to_host does it too.
  void (*tell_errors)(Device, DeviceStream* only, const std::string& when);
  void (*synchronize)(Device);  // all its streams
  DeviceProperties (*properties)(Device);
  MemoryStats (*memory_stats)(Device);
  void (*reset_peak)(Device);
  void (*empty_cache)(Device);
  DeviceStreams streams;
  DeviceGraphs graphs;
};

const DeviceBackend* cuda_backend();  // null: this build has no CUDA
std::string reason_for_no_gpu();

void* allocate_on(Device, int64_t bytes, const Array* owner = nullptr);
void release_on(Device, void* block, int64_t bytes);

// After a copy from pinned memory, which goes on by itself: nothing writes it meanwhile.
void keep_for_copy(const Array& source, Device to);
Array moved(Ctx&, const Array& a, Device to);  // `a` itself where it is there, else a dense copy
Array on_host(Ctx&, const Array& a);           // its values, to be read now

}  // namespace dlx

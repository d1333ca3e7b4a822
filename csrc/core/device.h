// What the core knows of devices other than the CPU: memory and copies. cuda/core/backend.cc has
// the functions where this build has CUDA.
#pragma once
#include <string>

#include "core/allocator.h"
#include "core/array.h"
#include "core/launch.h"

namespace dlx {

struct DeviceBackend {
  int (*count)();
  std::string (*reason_for_none)();
  void* (*allocate)(Device, int64_t bytes);  // never null; throws OutOfMemory
  void (*release)(Device, void* block, int64_t bytes);
  void (*copy_to_host)(Device, void* to, const void* from, int64_t bytes);  // done on return
  void (*fill)(Device, void* to, uint8_t byte, int64_t bytes);
  // This thread launches kernels of the device from now on.
  void (*enter)(Device);
  // Waits for all work, then takes what a kernel reported since the last call; false: nothing.
  bool (*take_error)(Device, ErrorSlot*);
  void (*synchronize)(Device);
  std::string (*name)(Device);
  MemoryStats (*memory_stats)(Device);
  void (*reset_peak)(Device);
  void (*empty_cache)(Device);
};

const DeviceBackend* cuda_backend();  // null: this build has no CUDA

void* allocate_on(Device, int64_t bytes);
void release_on(Device, void* block, int64_t bytes);

Array moved(Ctx&, const Array& a, Device to);  // `a` itself where it is there, else a dense copy
Array on_host(Ctx&, const Array& a);           // its values, to be read now

}  // namespace dlx

// The caching allocator of device memory. A released block may still be in use by work that its
// stream has not done; it goes to later requests of the same stream only, whose work comes after.
#pragma once
#include <cstdint>
#include <string>

#include "core/allocator.h"

namespace dlx::cuda {

void* device_allocate(int device, int64_t bytes);  // never null; OutOfMemory names the largest live
void device_release(int device, void* block, int64_t bytes);
MemoryStats device_memory_stats(int device);
void reset_device_peak(int device);
void empty_device_cache(int device);  // waits for the device

}  // namespace dlx::cuda

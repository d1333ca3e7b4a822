// The caching allocator of device memory. A block belongs to the stream that asked for it:
// released, it serves later requests of that stream, whose work comes after. Where other streams
// have used it, it waits until they are done, as events tell.
#pragma once
#include <vector>

#include "core/allocator.h"
#include "cuda/core/context.h"

namespace dlx::cuda {

// Never null. OutOfMemory names the arrays that hold the most; owner: null for scratch memory.
void* device_allocate(Context&, int64_t bytes, const Array* owner);
void device_release(int device, void* block, const std::vector<Context*>& users);
MemoryStats device_memory_stats(int device);
void reset_device_peak(int device);
void empty_device_cache(int device);  // waits for the device

}  // namespace dlx::cuda

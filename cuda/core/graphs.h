// Work of a stream as one graph: given to the driver once, done again by one call.
#pragma once
#include <functional>

#include "cuda/core/context.h"

namespace dlx::cuda {

// What `issue` gives the stream that is current for this thread and device, kept instead of done.
// runtime.h says what it may not do: CudaError.
Graph capture(int device, const std::function<void()>& issue);

}  // namespace dlx::cuda

// launch_grid<kernel>(grid, block, shared_bytes, stream, arguments...): the one place where a grid
// begins. (The recorder and the profiler stand above it, at the door `launch`.)
#pragma once
#include <type_traits>
#include <utility>

#include "cuda/core/device.h"
#include "cuda/core/runtime.h"

#if defined(__CUDACC__)

namespace dlx::cuda {

void check_launch(cudaError_t, const char* kernel);

// Arguments become what the kernel takes, as in a call.
template <auto kernel, class... P>
void launch_as(void (*)(P...), dim3 grid, dim3 block, size_t shared_bytes, Stream stream,
               std::type_identity_t<P>... arguments) {
  constexpr size_t kGranted = 48 << 10;
  if (shared_bytes > kGranted) {
    check_launch(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                      static_cast<int>(shared_bytes)),
                 __PRETTY_FUNCTION__);
  }
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = reinterpret_cast<cudaStream_t>(stream);
  check_launch(cudaLaunchKernelEx(&config, kernel, arguments...), __PRETTY_FUNCTION__);
}

}  // namespace dlx::cuda

#else
#include "simt/launch.h"
#endif

namespace dlx::cuda {

template <auto kernel, class... A>
void launch_grid(dim3 grid, dim3 block, size_t shared_bytes, Stream stream, A&&... arguments) {
  launch_as<kernel>(kernel, grid, block, shared_bytes, stream, std::forward<A>(arguments)...);
}

}  // namespace dlx::cuda

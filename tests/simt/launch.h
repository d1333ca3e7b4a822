// launch_as<kernel>() of the emulator: the grid is put into its stream and runs when something
// waits for it. Every kernel that a program could launch is known from its start, and counted.
#pragma once
#include <functional>
#include <tuple>
#include <type_traits>
#include <vector>

#include "cuda/core/runtime.h"
#include "emulator.h"

namespace simt {

// One per kernel instantiation that launch_grid names.
struct LaunchCount {
  const char* name;  // as the compiler spells the kernel, among other text
  int64_t launches = 0;

  explicit LaunchCount(const char* kernel);
};
const std::vector<LaunchCount*>& launch_counts();

template <auto kernel>
struct Counted {
  static const char* name() { return __PRETTY_FUNCTION__; }
  static inline LaunchCount count{name()};
};

void enqueue(dlx::cuda::Stream, std::function<void()>);
// CudaError unless p points into memory of the stream's device.
void check_device_pointer(dlx::cuda::Stream, const void* p, const char* kernel);

template <class T>
void check_argument(dlx::cuda::Stream stream, const T& argument, const char* kernel) {
  if constexpr (std::is_pointer_v<T>)
    if (argument) check_device_pointer(stream, argument, kernel);
}

}  // namespace simt

namespace dlx::cuda {

template <auto kernel, class... P>
void launch_as(void (*)(P...), simt::Extent grid, simt::Extent block, size_t shared_bytes,
               Stream stream, std::type_identity_t<P>... arguments) {
  using Arguments = std::tuple<P...>;
  simt::LaunchCount& count = simt::Counted<kernel>::count;
  (simt::check_argument(stream, arguments, count.name), ...);
  simt::enqueue(stream, [=, &count, all = Arguments(arguments...)] {
    const auto call = [](const void* a) { std::apply(kernel, *static_cast<const Arguments*>(a)); };
    simt::run({grid, block, shared_bytes, call, &all});
    ++count.launches;
  });
}

}  // namespace dlx::cuda

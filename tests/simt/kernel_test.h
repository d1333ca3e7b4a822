// For tests of kernels, on the emulator and, built by nvcc, on a GPU: arrays on the device, random
// numbers, comparisons, every schedule.
#pragma once
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "cuda/core/context.h"
#include "cuda/core/launch_grid.h"

namespace dlx::cuda {

[[noreturn]] inline void fail(const std::string& what) {
  std::printf("FAILED: %s\n", what.c_str());
  std::exit(1);
}

// ThreadSanitizer takes its time for each thread, and has seen each kernel after one of each kind.
#if defined(DLX_SIMT_TSAN)
constexpr bool kFew = true;
#else
constexpr bool kFew = false;
#endif

// The kernels' one, of device 0.
inline Context& context_of(Device) {
  static Context context;
  if (!context.stream) {
    set_device(0);
    context.stream = create_stream();
  }
  return context;
}
inline Stream test_stream() { return context_of(Device{}).stream; }

template <class T>
class OnDevice {
 public:
  explicit OnDevice(const std::vector<T>& values) : n_(values.size()), data_(allocate(n_)) {
    copy(test_stream(), data_, values.data(), bytes(), Copy::to_device);
  }
  explicit OnDevice(size_t n) : n_(n), data_(allocate(n)) {}
  ~OnDevice() { device_free(data_); }
  OnDevice(const OnDevice&) = delete;
  operator T*() const { return data_; }
  std::vector<T> values() const {
    std::vector<T> found(n_);
    copy(test_stream(), found.data(), data_, bytes(), Copy::to_host);
    synchronize(test_stream());
    return found;
  }

 private:
  static T* allocate(size_t n) {
    return static_cast<T*>(device_malloc(static_cast<int64_t>(n * sizeof(T))));
  }
  int64_t bytes() const { return static_cast<int64_t>(n_ * sizeof(T)); }
  size_t n_;
  T* data_;
};

// Numerical Recipes' generator, in [-32, 32), multiples of 1/1024; the same in every run.
inline std::vector<float> drawn(size_t n) {
  static uint32_t state = 12345;
  std::vector<float> x(n);
  for (float& v : x) {
    state = state * 1664525u + 1013904223u;
    v = static_cast<float>(static_cast<int32_t>(state) >> 16) / 1024;
  }
  return x;
}

template <class T>
void expect_equal(const std::vector<T>& got, const std::vector<T>& expected,
                  const std::string& what) {
  if (got.size() < expected.size()) fail(what + ": too few elements");
  for (size_t i = 0; i < expected.size(); ++i)
    if (got[i] != expected[i])
      fail(what + ": element " + std::to_string(i) + " is " + std::to_string(got[i]) +
           ", expected " + std::to_string(expected[i]));
}

// |got - expected| <= bound, element by element.
template <class T>
void expect_close(const std::vector<T>& got, const std::vector<double>& expected,
                  const std::vector<double>& bound, const std::string& what) {
  if (got.size() < expected.size()) fail(what + ": too few elements");
  for (size_t i = 0; i < expected.size(); ++i)
    if (!(std::fabs(static_cast<double>(got[i]) - expected[i]) <= bound[i]))
      fail(what + ": element " + std::to_string(i) + " is " + std::to_string(got[i]) +
           ", expected " + std::to_string(expected[i]) + " within " + std::to_string(bound[i]));
}

// The orders in which the emulator lets threads run; a GPU has its own. ThreadSanitizer finds the
// same races under any of them.
template <class Body>
void under_every_schedule(const Body& body) {
#if defined(__CUDACC__)
  if (device_count() == 0) fail("no GPU: " + reason_for_no_device());
  body();
#elif defined(DLX_SIMT_TSAN)
  body();
#else
  for (const auto order : {simt::Order::forward, simt::Order::reverse, simt::Order::random}) {
    simt::schedule = {order, 7};
    body();
  }
#endif
}

inline void report_success() {
#if defined(__CUDACC__)
  std::printf("ok: calibrated on %s\n", properties(0).name.c_str());
#else
  int64_t launches = 0;
  for (const simt::LaunchCount* c : simt::launch_counts()) launches += c->launches;
  std::printf("ok: %zu kernels, %ld launches on the emulator\n", simt::launch_counts().size(),
              static_cast<long>(launches));
#endif
}

}  // namespace dlx::cuda

// Where kernels report indices out of range, and what the host needs to explain a report that it
// finds later: nothing waits for a launch. Errors are told to the thread that launched, at its next
// read or synchronisation; those of a thread that has ended to whoever reads next.
#pragma once
#include <cstdint>
#include <string>

#include "core/launch.h"

namespace dlx::cuda {

struct Context;

// One launch's, in device memory; all 0: nothing was reported.
struct ErrorReport {
  unsigned long long place;  // place_of the lowest row that failed
  unsigned long long value, limit;
  int locked;

  static constexpr unsigned long long place_of(int64_t row) {
    return static_cast<unsigned long long>(INT64_MAX - row);
  }
  int64_t row() const { return INT64_MAX - static_cast<int64_t>(place); }
};

// For one launch of op. Tells errors, after many launches without a read.
ErrorReport* error_slot(Context&, const Op&, const void* shape, size_t shape_bytes);

constexpr int kErrorSlots = 256;  // launches that may fail, until the host looks by itself

// The next `count` slots of this thread for the stream lie one behind the other; tells errors where
// there are not so many left. count: kErrorSlots at most.
void reserve_error_slots(Context&, int count);

// std::out_of_range where a launch of this thread on the device has failed, with what the op says
// and `when` behind it. Waits for the launches that may fail; `only`: those of one stream.
void tell_errors(int device, const std::string& when, const Context* only = nullptr);

}  // namespace dlx::cuda

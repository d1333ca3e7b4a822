// What a stream, an event and a graph of the emulated runtime are: runtime.cc, graphs.cc.
#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cuda/core/runtime.h"

namespace dlx::cuda {

// Work that is done again by each launch of a graph.
struct Captured {
  std::vector<std::function<void()>> work;
  struct Pointer {
    const void* address;  // into memory of the stream's device, which has to be there at a launch
    std::string user;
  };
  std::vector<Pointer> pointers;
  std::string invalid;  // the call that may not be made during a capture
};

struct StreamState {
  int device;
  std::deque<std::function<void()>> work;
  uint64_t added = 0, done = 0;
  std::shared_ptr<Captured> capture = nullptr;  // what it gets meanwhile is not done but kept
};

struct EventState {
  Stream stream = nullptr;
  uint64_t position = 0;  // of the stream: done when so much of it is
  bool timed = false;
  std::shared_ptr<double> milliseconds;  // when it was done
  bool captured = false;                 // recorded in a capture: it is part of a graph
};

struct GraphState {
  int device;
  std::shared_ptr<const Captured> captured;  // also of launches that are not done yet
};

// Of the whole emulator.
extern std::recursive_mutex everything;

// As cudaStreamCaptureModeThreadLocal has it: CudaError for a call that a thread may not make while
// it captures a stream. The capture is lost.
void refuse_in_capture(const char* call);
// The same for what waits for a stream that is being captured, or asks about it.
void refuse_captured(Stream, const char* call);

}  // namespace dlx::cuda

// The calls of a CUDA runtime that dlx makes, and no others: runtime.cu makes them on a GPU,
// tests/simt/runtime.cc on the emulator. Plain C++: whoever includes it needs no CUDA.
#pragma once
#include <cstdint>
#include <stdexcept>
#include <string>

namespace dlx::cuda {

// What the runtime refused, with its reason.
struct CudaError : std::runtime_error {
  using runtime_error::runtime_error;
};

struct StreamState;
struct EventState;
struct GraphState;
using Stream = StreamState*;  // of the device that was current when it was made
using Event = EventState*;
using Graph = GraphState*;

struct Properties {
  std::string name;
  int major, minor;  // compute capability
  int multiprocessors;
  int64_t memory_bytes;
};

// Never at import: the first of these calls starts the driver, which no forked child survives.
int device_count();                  // 0 where there is no driver or no GPU
std::string reason_for_no_device();  // why it is 0
Properties properties(int device);
void set_device(int device);  // of the calling thread
bool has_code();              // whether kernels of this build run on the current device
std::string built_for();      // the architectures that they are compiled for
void synchronize_device();    // until all streams of the current device are done

void* device_malloc(int64_t bytes);  // nullptr where there is not so much left
void device_free(void*);             // waits for whatever runs on the device
int device_of(const void*);          // -1 for memory of the host
void* pinned_malloc(int64_t bytes);  // host memory that copies go to and come from by themselves;
void pinned_free(void*);             // nullptr where there is not so much left
struct MemoryInfo {
  int64_t free, total;
};
MemoryInfo memory_info();  // of the current device

Stream create_stream();
void destroy_stream(Stream);
void synchronize(Stream);  // until all its work is done

// In order with the rest of the stream. A copy from host memory that is not pinned has read it when
// the call returns, one from pinned memory when the stream gets there; one to the host has written
// it when the stream is synchronised.
enum class Copy { to_device, to_host, on_device, between_devices };
void copy(Stream, void* to, const void* from, int64_t bytes, Copy);
void fill(Stream, void* to, uint8_t byte, int64_t bytes);

Event create_event(bool timed = false);  // of the current device
void destroy_event(Event);
void record(Event, Stream);  // the work that the stream has got until now
void wait(Stream, Event);    // what the stream gets from now on comes after that
bool is_done(Event);
void synchronize(Event);
double milliseconds(Event from, Event to);  // both timed and done

// Kernels, copies on the device and fills that the stream gets between these two are not done but
// kept, with copies of their arguments, to be done in that order by each launch of the graph.
// Meanwhile the thread may not allocate, free, wait for anything or ask whether it is done, nor
// copy from or to the host: CudaError, and so does end_capture then. Other threads may.
void begin_capture(Stream);
Graph end_capture(Stream);  // the stream works as before, whether it throws or not
void launch_graph(Graph, Stream);
void destroy_graph(Graph);  // launches that are not done go on

}  // namespace dlx::cuda

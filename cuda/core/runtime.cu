// runtime.h on the CUDA runtime, which is linked statically: it needs no driver to be loaded.
#include <cuda_runtime.h>

#include "cuda/core/launch_grid.h"
#include "cuda/core/runtime.h"

#if !defined(DLX_BUILT_FOR)  // cmake/cuda.cmake says it
#define DLX_BUILT_FOR "this GPU"
#endif

namespace dlx::cuda {
namespace {

__global__ void any_kernel() {}

void check(cudaError_t status, const char* call) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // what is not sticky is forgotten
  throw CudaError(std::string(call) + ": " + cudaGetErrorString(status));
}

cudaStream_t native(Stream s) { return reinterpret_cast<cudaStream_t>(s); }
cudaEvent_t native(Event e) { return reinterpret_cast<cudaEvent_t>(e); }
cudaGraphExec_t native(Graph g) { return reinterpret_cast<cudaGraphExec_t>(g); }

}  // namespace

void check_launch(cudaError_t status, const char* kernel) { check(status, kernel); }

int device_count() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    cudaGetLastError();
    return 0;
  }
  return count;
}

std::string reason_for_no_device() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  cudaGetLastError();
  return status == cudaSuccess ? "" : cudaGetErrorString(status);
}

Properties properties(int device) {
  cudaDeviceProp p{};
  check(cudaGetDeviceProperties(&p, device), "cudaGetDeviceProperties");
  return {p.name, p.major, p.minor, p.multiProcessorCount, static_cast<int64_t>(p.totalGlobalMem)};
}

void set_device(int device) { check(cudaSetDevice(device), "cudaSetDevice"); }

bool has_code() {
  cudaFuncAttributes attributes;
  const cudaError_t status = cudaFuncGetAttributes(&attributes, any_kernel);
  cudaGetLastError();
  return status != cudaErrorNoKernelImageForDevice && status != cudaErrorInvalidDeviceFunction;
}

std::string built_for() { return DLX_BUILT_FOR; }

void synchronize_device() { check(cudaDeviceSynchronize(), "cudaDeviceSynchronize"); }

void* device_malloc(int64_t bytes) {
  void* p = nullptr;
  const cudaError_t status = cudaMalloc(&p, static_cast<size_t>(bytes));
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    return nullptr;
  }
  check(status, "cudaMalloc");
  return p;
}

void device_free(void* p) { check(cudaFree(p), "cudaFree"); }

int device_of(const void* p) {
  cudaPointerAttributes attributes{};
  check(cudaPointerGetAttributes(&attributes, p), "cudaPointerGetAttributes");
  const bool there = attributes.type == cudaMemoryTypeDevice ||  // or wherever it is needed
                     attributes.type == cudaMemoryTypeManaged;
  return there ? attributes.device : -1;
}

void* pinned_malloc(int64_t bytes) {
  void* p = nullptr;
  const cudaError_t status = cudaMallocHost(&p, static_cast<size_t>(bytes));
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    return nullptr;
  }
  check(status, "cudaMallocHost");
  return p;
}

void pinned_free(void* p) { check(cudaFreeHost(p), "cudaFreeHost"); }

MemoryInfo memory_info() {
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  return {static_cast<int64_t>(free), static_cast<int64_t>(total)};
}

Stream create_stream() {
  cudaStream_t s = nullptr;  // not ordered with the legacy default stream
  check(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking), "cudaStreamCreate");
  return reinterpret_cast<Stream>(s);
}

void destroy_stream(Stream s) { check(cudaStreamDestroy(native(s)), "cudaStreamDestroy"); }
void synchronize(Stream s) { check(cudaStreamSynchronize(native(s)), "cudaStreamSynchronize"); }

void copy(Stream s, void* to, const void* from, int64_t bytes, Copy kind) {
  const cudaMemcpyKind kinds[] = {cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost,
                                  cudaMemcpyDeviceToDevice, cudaMemcpyDefault};
  check(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), kinds[static_cast<int>(kind)],
                        native(s)),
        "cudaMemcpyAsync");
}

void fill(Stream s, void* to, uint8_t byte, int64_t bytes) {
  check(cudaMemsetAsync(to, byte, static_cast<size_t>(bytes), native(s)), "cudaMemsetAsync");
}

Event create_event(bool timed) {
  cudaEvent_t e = nullptr;
  const unsigned flags = timed ? cudaEventDefault : cudaEventDisableTiming;
  check(cudaEventCreateWithFlags(&e, flags), "cudaEventCreate");
  return reinterpret_cast<Event>(e);
}

void destroy_event(Event e) { check(cudaEventDestroy(native(e)), "cudaEventDestroy"); }
void record(Event e, Stream s) { check(cudaEventRecord(native(e), native(s)), "cudaEventRecord"); }
void wait(Stream s, Event e) {
  check(cudaStreamWaitEvent(native(s), native(e)), "cudaStreamWaitEvent");
}

bool is_done(Event e) {
  const cudaError_t status = cudaEventQuery(native(e));
  if (status == cudaErrorNotReady) {
    cudaGetLastError();
    return false;
  }
  check(status, "cudaEventQuery");
  return true;
}

void synchronize(Event e) { check(cudaEventSynchronize(native(e)), "cudaEventSynchronize"); }

double milliseconds(Event from, Event to) {
  float ms = 0;
  check(cudaEventElapsedTime(&ms, native(from), native(to)), "cudaEventElapsedTime");
  return ms;
}

void begin_capture(Stream s) {
  check(cudaStreamBeginCapture(native(s), cudaStreamCaptureModeThreadLocal),
        "cudaStreamBeginCapture");
}

Graph end_capture(Stream s) {
  cudaGraph_t graph = nullptr;
  check(cudaStreamEndCapture(native(s), &graph), "cudaStreamEndCapture");
  cudaGraphExec_t ready = nullptr;
  const cudaError_t status = cudaGraphInstantiate(&ready, graph, 0);
  cudaGraphDestroy(graph);
  check(status, "cudaGraphInstantiate");
  return reinterpret_cast<Graph>(ready);
}

void launch_graph(Graph g, Stream s) {
  check(cudaGraphLaunch(native(g), native(s)), "cudaGraphLaunch");
}

void destroy_graph(Graph g) { check(cudaGraphExecDestroy(native(g)), "cudaGraphExecDestroy"); }

}  // namespace dlx::cuda

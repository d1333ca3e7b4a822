// Capture and replay of streams on the emulator, as strict as CUDA's runtime or stricter. One
// stream at a time becomes a graph: another one cannot join it.
#include "cuda/core/runtime.h"
#include "launch.h"
#include "stream_state.h"

namespace dlx::cuda {
namespace {

thread_local Stream captured_stream = nullptr;  // by this thread

[[noreturn]] void lose(Captured& capture, const std::string& call, const char* error) {
  if (capture.invalid.empty()) capture.invalid = call;
  throw CudaError(call + ": " + error);
}

}  // namespace

void refuse_in_capture(const char* call) {
  if (captured_stream)
    lose(*captured_stream->capture, call, "operation not permitted when stream is capturing");
}

void refuse_captured(Stream s, const char* call) {
  if (s->capture) lose(*s->capture, call, "operation not permitted when stream is capturing");
}

void begin_capture(Stream s) {
  const std::lock_guard lock(everything);
  refuse_captured(s, "cudaStreamBeginCapture");
  if (captured_stream) throw CudaError("cudaStreamBeginCapture: a thread captures two streams");
  s->capture = std::make_shared<Captured>();
  captured_stream = s;
}

Graph end_capture(Stream s) {
  const std::lock_guard lock(everything);
  if (!s->capture) throw CudaError("cudaStreamEndCapture: the stream is not capturing");
  if (captured_stream != s)
    throw CudaError(
        "cudaStreamEndCapture: attempt to terminate a thread-local capture sequence "
        "from another thread");
  const std::shared_ptr<Captured> captured = std::move(s->capture);
  s->capture = nullptr;
  captured_stream = nullptr;
  if (!captured->invalid.empty())
    throw CudaError(
        "cudaStreamEndCapture: operation failed due to a previous error during capture "
        "(" +
        captured->invalid + ")");
  return new GraphState{s->device, captured};
}

void launch_graph(Graph g, Stream s) {
  const std::lock_guard lock(everything);
  refuse_captured(s, "cudaGraphLaunch");  // no graph in a graph
  if (g->device != s->device) throw CudaError("cudaGraphLaunch: a graph of another device");
  for (const Captured::Pointer& p : g->captured->pointers)
    simt::check_device_pointer(s, p.address, p.user.c_str());
  simt::enqueue(s, [captured = g->captured] {
    for (const auto& work : captured->work) work();
  });
}

void destroy_graph(Graph g) { delete g; }

}  // namespace dlx::cuda

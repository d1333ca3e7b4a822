#include "cuda/core/graphs.h"

namespace dlx::cuda {
namespace {

// A stream that nobody else has is the current one: what others got is no part of the graph.
class Apart {
 public:
  explicit Apart(int device) : own_(take_context(device)), before_(make_current(own_)) {}
  ~Apart() {
    make_current(*before_);
    put_back_context(own_);
  }
  Apart(const Apart&) = delete;
  Stream stream() const { return own_.stream; }

 private:
  Context& own_;
  Context* before_;
};

}  // namespace

Graph capture(int device, const std::function<void()>& issue) {
  set_device(device);
  const Apart apart(device);
  begin_capture(apart.stream());
  try {
    issue();
  } catch (...) {
    try {
      destroy_graph(end_capture(apart.stream()));
    } catch (const CudaError&) {  // that what `issue` did has spoilt it
    }
    throw;
  }
  return end_capture(apart.stream());
}

}  // namespace dlx::cuda

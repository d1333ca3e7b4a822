// The one door: every native call of every device goes through launch(). Observers (profiler,
// recorder) stand here and nowhere else.
#pragma once
#include <cstddef>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "core/array.h"

namespace dlx {

struct Ctx;

// A plain function: allocates nothing, hides nothing. `buffers` are the inputs, then the outputs.
using Kernel = void (*)(Ctx& ctx, const void* shape, void* const* buffers, void* workspace);

// Bytes of the workspace that a kernel asks for.
using Workspace = int64_t (*)(const void* shape);

// DLX_DECLARE_KERNEL(add) declares an op's kernels, one a device kind; DLX_KERNELS(add) are they.
#if DLX_WITH_CUDA
#define DLX_DECLARE_KERNEL(name)                                             \
  namespace cpu {                                                            \
  void name(Ctx&, const void* shape, void* const* buffers, void* workspace); \
  }                                                                          \
  namespace cuda {                                                           \
  void name(Ctx&, const void* shape, void* const* buffers, void* workspace); \
  }
#define DLX_KERNELS(name) {::dlx::cpu::name, ::dlx::cuda::name}
#define DLX_IF_CUDA(function) function  // as in .workspace = {f, DLX_IF_CUDA(cuda::f)}
#else
#define DLX_DECLARE_KERNEL(name)                                             \
  namespace cpu {                                                            \
  void name(Ctx&, const void* shape, void* const* buffers, void* workspace); \
  }
#define DLX_KERNELS(name) {::dlx::cpu::name}
#define DLX_IF_CUDA(function) nullptr
#endif

struct Cost {
  int64_t flops = 0;
  int64_t bytes = 0;  // that must move at least: every input read once, every output written once
};

struct ErrorSlot;

// What a program may make of a pointwise launch on the output of another one: part of that one.
enum class Epilogue : uint8_t {
  relu,          // y = y < 0 ? 0 : y
  add,           // y = y + r; r, of y's shape, comes as one more input, after the others
  relu_backward  // y = x <= 0 ? 0 : y for a pooled x, the maxima of which are one more input
};

// What the door, the profiler, the recorder and both devices need to know of an op. One constexpr
// Op per op stands in csrc/ops/<op>.h beside its shape struct, a trivially copyable POD.
struct Op {
  const char* name;
  Kernel kernels[kNumDeviceKinds] = {};
  bool strided = false;    // takes inputs of any strides (they stand in the shape struct), else the
                           // door makes them dense
  bool random = false;     // draws random numbers: advances the counter cell it updates
  bool can_fail = false;   // may fill the error slot
  bool crosses = false;    // its inputs may be on other devices than its outputs
  bool baseline = false;   // compiled once, for the lowest instruction set, not per level
  uint64_t updates = 0;    // bit i: output i is read and written; the others are overwritten
  uint64_t may_alias = 0;  // bit i: output 0 may be input i's memory
  Cost (*cost)(const void* shape) = nullptr;
  Workspace workspace[kNumDeviceKinds] = {};
  std::string (*explain)(const void* shape,
                         const ErrorSlot&) = nullptr;  // the message of a filled error slot
  bool cheap = false;         // takes one pass over its arrays: is run again before they are kept
  const Op* again = nullptr;  // output 0 from the inputs, then the other outputs: the same bits
  bool (*absorb)(void* shape, Epilogue) = nullptr;  // of output 0, one after the other; or says no
  std::string (*label)(const void* shape) = nullptr;  // says more than `name` does
};

// Written once by the first failing element; the kernel clamps and goes on.
struct ErrorSlot {
  std::atomic<bool> filled{false};
  int64_t row = 0, value = 0, limit = 0;

  void report(int64_t failing_row, int64_t failing_value, int64_t exceeded_limit) {
    if (filled.exchange(true)) return;
    row = failing_row, value = failing_value, limit = exceeded_limit;
  }
};

using Inputs = std::span<const Array* const>;
using Outputs = std::span<Array* const>;

// Where in Python a launch comes from, as far as the recorder knows: "train.py:12", and the layer.
struct Origin {
  std::string_view line, layer;
};

struct Launch {
  const Op& op;
  const void* shape;
  size_t shape_bytes;
  Inputs inputs;
  Outputs outputs;
  bool (*same)(const void* a, const void* b) = nullptr;  // compares shapes; null: their bytes
  const Origin* origin = nullptr;                        // of a launch that is replayed
};

// A shape's bytes may hold padding: equal ones are told by its operator==.
template <class Shape>
bool same_shape(const void* a, const void* b) {
  return *static_cast<const Shape*>(a) == *static_cast<const Shape*>(b);
}

class Observer {
 public:
  virtual ~Observer() = default;
  virtual void before(const Launch&) {}
  virtual void after(const Launch&) {}
  // Whether launches that a replay has joined into one run apart, so that each is seen.
  virtual bool wants_parts() const { return false; }
  virtual void host_read(const Array&) {}  // Python looks at a value
};

constexpr int kMaxObservers = 4;

struct Ctx {
  Device device;
  ErrorSlot error;
  void* error_on_device = nullptr;  // where the kernel at hand reports, if it can fail on a GPU
  Observer* observers[kMaxObservers] = {};
  int num_observers = 0;
};

Ctx& current_ctx();  // one per thread
void add_observer(Ctx&, Observer*);
void remove_observer(Ctx&, Observer*);

// Nobody stands at the door while one lives.
class Unobserved {
 public:
  explicit Unobserved(Ctx& ctx) : ctx_(ctx), observers_(std::exchange(ctx.num_observers, 0)) {}
  ~Unobserved() { ctx_.num_observers = observers_; }
  Unobserved(const Unobserved&) = delete;

 private:
  Ctx& ctx_;
  int observers_;
};

// While > 0, every launch() raises: proves that a replay runs below the door.
extern std::atomic<int> door_closed;

void launch_bytes(Ctx&, const Launch&);

template <class Shape>
void launch(Ctx& ctx, const Op& op, const Shape& shape, std::initializer_list<const Array*> inputs,
            std::initializer_list<Array*> outputs) {
  static_assert(std::is_trivially_copyable_v<Shape>);
  launch_bytes(ctx, {op,
                     &shape,
                     sizeof(Shape),
                     {inputs.begin(), inputs.size()},
                     {outputs.begin(), outputs.size()},
                     same_shape<Shape>});
}

// Below the door: workspace, kernel, error slot. The replay of a recorded program calls this. On a
// GPU errors are found later, when the host waits for it; at once under DLX_LAUNCH_BLOCKING=1.
void run_kernel(Ctx&, const Op&, const void* shape, size_t shape_bytes, void* const* buffers,
                Device);

bool launches_block();  // DLX_LAUNCH_BLOCKING=1

// A kernel of a GPU alone: its workspace and the place where it reports are the caller's.
void issue_kernel(Ctx&, const Op&, const void* shape, void* const* buffers, Device, void* workspace,
                  void* error_on_device);

// The current stream of a GPU's memory waits for others that use it.
void use_on_current_stream(Storage&, bool writes);
// What `later`, a GPU, gets from now on comes after what `earlier`, another one, has got.
void order_devices(Device earlier, Device later);

Array copy_of(Ctx&, const Array& a);  // dense row-major, by the op `copy`
Array dense(Ctx&, const Array& a);    // `a` itself where it is dense row-major, else a copy
// Makes a cell's array the only owner of its (dense) memory, copying when it is shared or borrowed.
void own(Ctx&, Array& a);
void notify_host_read(Ctx&, const Array& a);  // tells the observers, before Python reads a's memory

}  // namespace dlx

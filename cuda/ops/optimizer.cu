#include "cuda/core/context.h"
#include "cuda/core/grid.h"
#include "cuda/core/pack.h"
#include "ops/optimizer.h"
#include "ops/optimizer_numbers.h"

namespace dlx::cuda {

#include "ops/optimizer_functions.h"

namespace {

// Everything a launch works on, small enough to be an argument. p: the parameters, then their
// states, kind by kind, as the op has them.
struct Tensors {
  int32_t count, states;
  int64_t size[kMaxOptimizerTensors];
  const void* g[kMaxOptimizerTensors];
  void* p[kMaxOptimizerTensors];
  uint64_t aligned;  // bit i: all of tensor i's arrays, to kAccessBytes
};

constexpr int kPreparing = 64;  // threads
static_assert(kPreparing >= kMaxOptimizerTensors);

// A thread finds the numbers of a tensor. It alone looks at the count of steps, so that it can
// change it. lr, weight_decay: (groups,)  numbers: (tensors,)
__global__ void prepare(OptimizerShape s, const double* lr, const double* weight_decay,
                        const float* grad_scale, const bool* skip, int64_t* step,
                        OptimizerNumbers* numbers) {
  if (*skip) return;
  const int64_t t = *step + 1;
  const int i = static_cast<int>(threadIdx.x);
  if (i < s.count) {
    const int group = s.group[i];
    numbers[i] = numbers_of_group(s, common_numbers(s, *grad_scale, t), lr_factor(s, t), lr[group],
                                  weight_decay[group]);
  }
  __syncthreads();  // all have read the count
  if (i == 0 && s.advance) *step = t;
}

// As FlushDenormals on the CPU: numbers below the smallest normal one are zero.
__device__ float flushed(float x) { return __builtin_fabsf(x) < 0x1p-126f ? x * 0 : x; }
__device__ double flushed(double x) { return __builtin_fabs(x) < 0x1p-1022 ? x * 0 : x; }

// s: the states
template <OptimizerKind kind, class T>
__device__ void step_element(const StepNumbers<T>& x, StepFlags is, T g, T& p, T* s) {
  if constexpr (kind == OptimizerKind::sgd) {
    sgd_step(x, is, g, p, s[0]);
  } else if constexpr (kind == OptimizerKind::adam) {
    adam_step(x, is, g, p, s[0], s[1], s[2]);
  } else if constexpr (kind == OptimizerKind::rmsprop) {
    is.has_momentum ? rmsprop_step(x, is, g, p, s[0], s[1], s[2])
                    : rmsprop_step(x, is, g, p, s[0], s[2], s[1]);
  } else if constexpr (kind == OptimizerKind::adagrad) {
    adagrad_step(x, is, g, p, s[0]);
  } else {
    adadelta_step(x, is, g, p, s[0], s[1]);
  }
}

constexpr int kRuns = 4;  // accesses to an array by each thread, for one chunk

template <class T>
constexpr int kCount = kAccessBytes / sizeof(T);  // elements of an access
template <class T>
constexpr int64_t kChunk = int64_t{kBlockThreads} * kRuns * kCount<T>;

// `count` elements of tensor i from `at` on, read and written by one access to each array.
template <int count, OptimizerKind kind, class T>
__device__ void step_run(const Tensors& all, int i, int64_t at, const StepNumbers<T>& x,
                         StepFlags is) {
  T* array[1 + kMaxOptimizerStates];  // found once: else nvcc does not write whole packs
#pragma unroll
  for (int k = 0; k <= kMaxOptimizerStates; ++k)
    array[k] = k <= all.states ? static_cast<T*>(all.p[k * all.count + i]) + at : nullptr;
  const auto g = read_run<count>(static_cast<const T*>(all.g[i]) + at);
  auto p = read_run<count>(array[0]);
  Pack<T, count> states[kMaxOptimizerStates] = {};
#pragma unroll
  for (int k = 0; k < kMaxOptimizerStates; ++k)
    if (k < all.states) states[k] = read_run<count>(array[1 + k]);
#pragma unroll
  for (int j = 0; j < count; ++j) {
    T s[kMaxOptimizerStates];
#pragma unroll
    for (int k = 0; k < kMaxOptimizerStates; ++k) s[k] = flushed(states[k].value[j]);
    p.value[j] = flushed(p.value[j]);
    step_element<kind>(x, is, flushed(g.value[j]), p.value[j], s);
    p.value[j] = flushed(p.value[j]);
#pragma unroll
    for (int k = 0; k < kMaxOptimizerStates; ++k) states[k].value[j] = flushed(s[k]);
  }
  write_run(array[0], p);
#pragma unroll
  for (int k = 0; k < kMaxOptimizerStates; ++k)
    if (k < all.states) write_run(array[1 + k], states[k]);
}

// All tensors, in chunks of one tensor each; a block takes several in turn. Moves p, g and the
// states once: it is as fast as memory.
template <OptimizerKind kind, class T>
__global__ void step_tensors(Tensors all, const bool* skip, const OptimizerNumbers* numbers) {
  if (*skip) return;
  int i = 0;
  int64_t chunk = blockIdx.x;  // of tensor i
  for (;; chunk += gridDim.x) {
    for (; i < all.count; ++i) {
      const int64_t chunks = (all.size[i] + kChunk<T> - 1) / kChunk<T>;
      if (chunk < chunks) break;
      chunk -= chunks;
    }
    if (i == all.count) return;

    const OptimizerNumbers x = numbers[i];
    const double beta = kind == OptimizerKind::rmsprop ? x.beta2 : x.beta1;
    const StepNumbers<T> rounded(x, beta);
    const StepFlags is{x.weight_decay != 0,
                       x.momentum_kind != Momentum::none,
                       x.momentum_kind == Momentum::first,
                       x.nesterov,
                       x.amsgrad,
                       x.centered,
                       is_from_mean(beta)};
    const bool aligned = all.aligned >> i & 1;
    for (int run = 0; run < kRuns; ++run) {
      const int64_t at =
          chunk * kChunk<T> + (int64_t{run} * kBlockThreads + threadIdx.x) * kCount<T>;
      const int64_t there = all.size[i] - at;
      if (aligned && there >= kCount<T>) {
        step_run<kCount<T>, kind>(all, i, at, rounded, is);
      } else {
        for (int k = 0; k < kCount<T> && k < there; ++k)
          step_run<1, kind>(all, i, at + k, rounded, is);
      }
    }
  }
}

template <OptimizerKind kind, class T>
void launch_step(const Tensors& all, const bool* skip, const OptimizerNumbers* numbers,
                 Stream stream) {
  int64_t chunks = 0;
  for (int i = 0; i < all.count; ++i) chunks += (all.size[i] + kChunk<T> - 1) / kChunk<T>;
  if (chunks == 0) return;
  launch_grid<step_tensors<kind, T>>(static_cast<unsigned>(std::min(chunks, kMostBlocks)),
                                     kBlockThreads, 0, stream, all, skip, numbers);
}

template <OptimizerKind kind>
void launch_of_dtype(DType t, const Tensors& all, const bool* skip, const OptimizerNumbers* numbers,
                     Stream stream) {
  t == DType::float64 ? launch_step<kind, double>(all, skip, numbers, stream)
                      : launch_step<kind, float>(all, skip, numbers, stream);
}

}  // namespace

int64_t optimizer_step_workspace(const void*) {
  return kMaxOptimizerTensors * static_cast<int64_t>(sizeof(OptimizerNumbers));
}

// buffers: lr, weight_decay, grad_scale, skip, g[count], step, p[count], states[0][count], ...
void optimizer_step(Ctx& ctx, const void* shape, void* const* buffers, void* workspace) {
  const auto& s = *static_cast<const OptimizerShape*>(shape);
  const Stream stream = context(ctx).stream;
  void* const* g = buffers + 4;
  void* const* p = g + s.count + 1;
  const auto* skip = static_cast<const bool*>(buffers[3]);
  auto* numbers = static_cast<OptimizerNumbers*>(workspace);
  launch_grid<prepare>(1, kPreparing, 0, stream, s, static_cast<const double*>(buffers[0]),
                       static_cast<const double*>(buffers[1]),
                       static_cast<const float*>(buffers[2]), skip,
                       static_cast<int64_t*>(g[s.count]), numbers);

  Tensors all{};
  all.count = s.count;
  all.states = s.states();
  for (int i = 0; i < s.count; ++i) {
    all.size[i] = s.size[i];
    all.g[i] = g[i];
    auto bits = reinterpret_cast<uintptr_t>(g[i]);
    for (int k = 0; k <= all.states; ++k) {
      const int at = k * s.count + i;
      all.p[at] = p[at];
      bits |= reinterpret_cast<uintptr_t>(p[at]);
    }
    all.aligned |= uint64_t{bits % kAccessBytes == 0} << i;
  }
  switch (s.kind) {
    case OptimizerKind::sgd:
      return launch_of_dtype<OptimizerKind::sgd>(s.dtype, all, skip, numbers, stream);
    case OptimizerKind::adam:
    case OptimizerKind::adamw:  // see OptimizerNumbers::decay
      return launch_of_dtype<OptimizerKind::adam>(s.dtype, all, skip, numbers, stream);
    case OptimizerKind::rmsprop:
      return launch_of_dtype<OptimizerKind::rmsprop>(s.dtype, all, skip, numbers, stream);
    case OptimizerKind::adagrad:
      return launch_of_dtype<OptimizerKind::adagrad>(s.dtype, all, skip, numbers, stream);
    case OptimizerKind::adadelta:
      return launch_of_dtype<OptimizerKind::adadelta>(s.dtype, all, skip, numbers, stream);
  }
}

}  // namespace dlx::cuda

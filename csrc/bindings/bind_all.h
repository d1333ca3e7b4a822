// One line per family of ops.
#pragma once
#include "bindings/from_python.h"
#include "bindings/map.h"
#include "bindings/matmul.h"

namespace dlx {

void bind_runtime(pybind11::module_&);         // memory, machine limits, test hooks
void bind_device(pybind11::module_&);          // what devices there are, copies between them
void bind_cuda_interface(pybind11::module_&);  // __cuda_array_interface__
void bind_stream(pybind11::module_&);          // streams and events of GPUs
void bind_observers(pybind11::module_&);       // the profiler, recorded programs, the NaN trap
void bind_whereabouts(pybind11::module_&);     // which line and Module asked for a launch
void bind_jit(pybind11::module_&);             // dlx.jit: recordings, replays
void bind_describe(pybind11::module_&);        // dlx.jit: programs as data
void bind_effects(pybind11::module_&);         // dlx.remat: what a run of a function does
void bind_jitted(pybind11::module_&);          // dlx.jit: calls without Python
void bind_guards(pybind11::module_&);          // dlx.jit: what Python was like
void bind_dlpack(pybind11::module_&);          // to_dlpack, from_dlpack

void bind_reinterpret(pybind11::module_&);  // bytes under another dtype

void bind_random(pybind11::module_&);     // the generator, dropout
void bind_optimizer(pybind11::module_&);  // optimizer_step

void bind_shape(pybind11::module_&);     // reshape, permute_dims, broadcast_to, concat
void bind_index(pybind11::module_&);     // basic_index, assign, take, scatter, ...
void bind_creation(pybind11::module_&);  // empty, full, eye, arange
void bind_reduce(pybind11::module_&);    // sum, mean, max, min, var, argmax, argmin
void bind_loss(pybind11::module_&);      // softmax, log_softmax, cross_entropy, mse_loss
void bind_conv(pybind11::module_&);      // conv2d, conv_transpose2d, conv2d_backward_weight
void bind_norm(pybind11::module_&);      // batch_norm, layer_norm, group_norm
void bind_pool(pybind11::module_&);      // max_pool2d, avg_pool2d, their gradients

inline void bind_all(pybind11::module_& m) {
  bind_from_python(m);
  bind_map(m);
  bind_matmul(m);
  bind_runtime(m);
  bind_device(m);
  bind_stream(m);
  bind_cuda_interface(m);
  bind_observers(m);
  bind_whereabouts(m);
  bind_jit(m);
  bind_describe(m);
  bind_effects(m);
  bind_guards(m);
  bind_jitted(m);
  bind_dlpack(m);
  bind_reinterpret(m);
  bind_shape(m);
  bind_index(m);
  bind_creation(m);
  bind_reduce(m);
  bind_loss(m);
  bind_conv(m);
  bind_norm(m);
  bind_pool(m);
  bind_random(m);
  bind_optimizer(m);
}

}  // namespace dlx

#include "ops/conv2d.h"

#include <algorithm>

#include "core/cpu_features.h"
#include "ops/conv2d_plan.h"
#include "ops/conv_channels.h"
#include "ops/conv_columns.h"
#include "ops/conv_depthwise.h"
#include "ops/conv_matmul.h"
#include "ops/conv_winograd.h"

namespace dlx {

DLX_EACH_ISA(extern const ConvTable conv_table;)

const ConvTable& conv_table() { return DLX_SELECT_ISA(conv_table); }

namespace {

constexpr int64_t kCopyGrain = 32768;  // elements: 10 us
constexpr int64_t kPackGrain = 16384;
constexpr double kChunkFlops = 2e6;  // 20 us: smaller tasks are claimed several at a time

const Conv2dShape& shape_of(const void* shape) { return *static_cast<const Conv2dShape*>(shape); }
int by_dtype(DType t) { return t == DType::float64; }

char* advance(void* p, int64_t bytes) { return static_cast<char*>(p) + bytes; }
const char* advance(const void* p, int64_t bytes) { return static_cast<const char*>(p) + bytes; }

void pack_weights(const ConvPlan& plan, const ConvPhase& phase, const void* w, void* packed) {
  const ConvProduct& c = phase.product;
  const int64_t panel = c.mr * c.D;
  parallel_for(plan.groups * ceil_div(c.M, c.mr), kPackGrain / (panel + 1) + 1,
               [&](int64_t begin, int64_t end) {
                 conv_table().pack[by_dtype(plan.dtype)](c, phase.weights, w, begin, end, packed);
               });
}

// A task: (phase, group, pixels, rows of the result).
void run_tasks(const ConvPlan& plan, int64_t images, int64_t begin, int64_t end, const void* from,
               const void* packed, const void* bias, void* panel, void* out) {
  const int type = by_dtype(plan.dtype);
  for (const ConvPhase& phase : plan.phases) {
    const int64_t of_group = phase.tasks(plan.direct, images), tasks = of_group * plan.groups;
    const void* a = advance(packed, phase.packed_first);
    void* y = advance(out, phase.out_first * size_of(plan.dtype));
    for (int64_t task = begin; task < std::min(end, tasks); ++task) {
      const int64_t i = task % of_group % phase.row_tasks, j = task % of_group / phase.row_tasks;
      ConvBlock block{};
      block.group = task / of_group;
      block.m0 = i * phase.task_rows;
      block.m1 = std::min(block.m0 + phase.task_rows, phase.product.M);
      block.j0 = j * phase.task_pixels;
      block.j1 = std::min(block.j0 + phase.task_pixels, phase.pixels(plan.direct, images));
      if (plan.direct)
        conv_table().direct[type](phase.product, block, from, a, bias, y);
      else
        conv_table().multiply[type](phase.product, block, from, a, bias, panel, y);
    }
    begin = std::max<int64_t>(begin - tasks, 0), end -= tasks;
    if (end <= 0) return;
  }
}

}  // namespace

const void* conv_pass_images(const ConvImages& images, DType dtype, int64_t n, int64_t count,
                             const void* all, void* copies) {
  const int64_t plane = images.copy.H * images.copy.W;
  const void* from = advance(all, n * images.channels * plane * size_of(dtype));
  if (!images.copied) return from;
  parallel_for(count * images.channels, kCopyGrain / (images.copy.plane() + 1) + 1,
               [&](int64_t begin, int64_t end) {
                 conv_table().copy[by_dtype(dtype)](images.copy, from, begin, end, copies);
               });
  return copies;
}

int64_t conv_plan_workspace(const ConvPlan& plan) {
  if (plan.phases.empty()) return 0;
  return plan.packed_bytes + num_threads() * plan.panel_bytes + plan.images.bytes(plan.dtype);
}

void run_conv_plan(const ConvPlan& plan, const void* images, const void* w, const void* bias,
                   void* out, void* workspace) {
  if (plan.phases.empty()) return;
  char* panels = advance(workspace, plan.packed_bytes);
  char* copies = advance(panels, num_threads() * plan.panel_bytes);
  for (const ConvPhase& phase : plan.phases)
    pack_weights(plan, phase, w, advance(workspace, phase.packed_first));
  for (int64_t n = 0; n < plan.N; n += plan.images.per_pass) {
    const int64_t count = std::min(plan.images.per_pass, plan.N - n);
    const void* from = conv_pass_images(plan.images, plan.dtype, n, count, images, copies);
    void* to = advance(out, n * plan.out_image * size_of(plan.dtype));
    int64_t tasks = 0;
    double flops = 1;
    for (const ConvPhase& phase : plan.phases) {
      tasks += phase.tasks(plan.direct, count) * plan.groups;
      const ConvProduct& c = phase.product;
      flops += 2.0 * static_cast<double>(count * plan.groups * c.M * c.source.U * c.source.V) *
               static_cast<double>(c.D + 4);
    }
    const auto grain = static_cast<int64_t>(kChunkFlops / flops * static_cast<double>(tasks)) + 1;
    parallel_workers(tasks, effective_grain(grain), [&](int64_t begin, int64_t end, int worker) {
      run_tasks(plan, count, begin, end, from, workspace, bias,
                advance(panels, worker * plan.panel_bytes), to);
    });
  }
}

int64_t conv2d_workspace(const void* shape) {
  if (const auto plan = plan_matmul_conv2d(shape_of(shape))) return gemm_workspace(*plan);
  if (const auto plan = plan_winograd_conv2d(shape_of(shape))) return winograd_workspace(*plan);
  if (const auto plan = plan_depthwise_conv2d(shape_of(shape))) return depthwise_workspace(*plan);
  if (const auto plan = plan_channels_conv2d(shape_of(shape))) return channels_workspace(*plan);
  return conv_plan_workspace(plan_conv2d(shape_of(shape)));
}
int64_t conv_transpose2d_workspace(const void* shape) {
  if (const auto plan = plan_matmul_conv_transpose2d(shape_of(shape))) return gemm_workspace(*plan);
  if (const auto plan = plan_winograd_conv_transpose2d(shape_of(shape)))
    return winograd_workspace(*plan);
  if (const auto plan = plan_depthwise_conv_transpose2d(shape_of(shape)))
    return depthwise_workspace(*plan);
  if (const auto plan = plan_columns_conv_transpose2d(shape_of(shape)))
    return columns_workspace(*plan);
  if (const auto plan = plan_channels_conv_transpose2d(shape_of(shape)))
    return channels_workspace(*plan);
  return conv_plan_workspace(plan_conv_transpose2d(shape_of(shape)));
}

namespace cpu {

void conv2d(Ctx&, const void* shape, void* const* buffers, void* workspace) {
  const Conv2dShape& s = shape_of(shape);
  const void* bias = s.bias ? buffers[2] : nullptr;
  void* y = buffers[2 + s.bias];
  if (const auto plan = plan_matmul_conv2d(s))
    run_matmul_conv2d(s, *plan, buffers[0], buffers[1], bias, y, workspace);
  else if (const auto plan = plan_winograd_conv2d(s))
    run_winograd(*plan, buffers[0], buffers[1], bias, y, workspace);
  else if (const auto plan = plan_depthwise_conv2d(s))
    run_depthwise(*plan, buffers[0], buffers[1], bias, y, workspace);
  else if (const auto plan = plan_channels_conv2d(s))
    run_channels(*plan, buffers[0], buffers[1], bias, y, workspace);
  else
    run_conv_plan(plan_conv2d(s), buffers[0], buffers[1], bias, y, workspace);
}
void conv_transpose2d(Ctx&, const void* shape, void* const* buffers, void* workspace) {
  const Conv2dShape& s = shape_of(shape);
  const void* bias = s.bias ? buffers[2] : nullptr;
  void* dx = buffers[2 + s.bias];
  if (const auto plan = plan_matmul_conv_transpose2d(s))
    run_matmul_conv_transpose2d(s, *plan, buffers[0], buffers[1], bias, dx, workspace);
  else if (const auto plan = plan_winograd_conv_transpose2d(s))
    run_winograd(*plan, buffers[0], buffers[1], bias, dx, workspace);
  else if (const auto plan = plan_depthwise_conv_transpose2d(s))
    run_depthwise(*plan, buffers[0], buffers[1], bias, dx, workspace);
  else if (const auto plan = plan_columns_conv_transpose2d(s))
    run_columns(*plan, buffers[0], buffers[1], bias, dx, workspace);
  else if (const auto plan = plan_channels_conv_transpose2d(s))
    run_channels(*plan, buffers[0], buffers[1], bias, dx, workspace);
  else
    run_conv_plan(plan_conv_transpose2d(s), buffers[0], buffers[1], bias, dx, workspace);
}

}  // namespace cpu
}  // namespace dlx

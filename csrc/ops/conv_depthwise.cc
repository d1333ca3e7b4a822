#include "ops/conv_depthwise.h"

#include "core/cpu_features.h"
#include "ops/conv2d_plan.h"

namespace dlx {

DLX_EACH_ISA(extern const DepthwiseTable depthwise_table;)

namespace {

constexpr int64_t kCopyBytes = 24 << 10;  // of a task: half of L1, where it is read at once
constexpr int64_t kLeastRows = 16;        // but enough rows to read few of them twice
constexpr double kChunkTime = 5e5;        // in multiply-adds: 20 us on one AVX-512 core

const DepthwiseTable& table() { return DLX_SELECT_ISA(depthwise_table); }

// Once planes, kernels and dilations are known.
DepthwisePlan cut(DepthwiseShape s, DType dtype) {
  DepthwisePlan plan{};
  const int64_t width = table().width[dtype == DType::float64], size = size_of(dtype);
  const int64_t span = (s.R - 1) * s.dil_h;
  s.pitch = round_up(s.Q, width) + round_up((s.S - 1) * s.dil_w, width);
  const int64_t most = std::max(kCopyBytes / (s.pitch * size) - span, kLeastRows);
  s.block = even_split(s.P, most, 1);
  s.blocks = ceil_div(s.P, s.block);
  plan.shape = s;
  plan.dtype = dtype;
  const auto time = static_cast<double>(s.block * s.pitch * (s.R * s.S + 6) + 1000);
  plan.grain = static_cast<int64_t>(kChunkTime / time) + 1;
  plan.scratch_bytes = round_up(s.copied() * size, 64);
  return plan;
}

DepthwisePlan cut_conv2d(const Conv2dShape& c) {
  DepthwiseShape s{};
  s.N = c.N, s.C = c.C, s.H = c.H, s.W = c.W, s.P = c.P, s.Q = c.Q, s.R = c.R, s.S = c.S;
  s.first_row = -c.pad_top, s.first_col = -c.pad_left, s.dil_h = c.dil_h, s.dil_w = c.dil_w;
  s.relu = c.relu;
  return cut(s, c.dtype);
}

bool picked() {
  constexpr uint32_t kApplicable = 1 << kConvPanels | 1 << kConvDirect | 1 << kConvChannels;
  return conv_choice.pick(kConvDepthwise, kApplicable | 1 << kConvDepthwise) == kConvDepthwise;
}

}  // namespace

// Not where most of a copy would be zeros, or rows that no kernel sees.
bool depthwise_applies(const Conv2dShape& s) {
  return s.C == s.groups && s.K == s.groups && s.R == s.S && (s.R == 3 || s.R == 5) &&
         s.stride_h == 1 && s.stride_w == 1 && s.x_size() > 0 && s.y_size() > 0 &&
         s.dil_h < std::min(s.H, s.P) && s.dil_w < std::min(s.W, s.Q);
}

std::optional<DepthwisePlan> plan_depthwise_conv2d(const Conv2dShape& c) {
  if (!depthwise_applies(c) || !picked()) return {};
  return cut_conv2d(c);
}

// dx[h] = sum of w[r] dy[h + pad - r dil]: with r' = R-1 - r that is dy[h + pad - (R-1) dil + r'
// dil].
std::optional<DepthwisePlan> plan_depthwise_conv_transpose2d(const Conv2dShape& c) {
  if (!depthwise_applies(c) || !picked()) return {};
  DepthwiseShape s{};
  s.N = c.N, s.C = c.C, s.H = c.P, s.W = c.Q, s.P = c.H, s.Q = c.W, s.R = c.R, s.S = c.S;
  s.first_row = c.pad_top - (c.R - 1) * c.dil_h, s.first_col = c.pad_left - (c.S - 1) * c.dil_w;
  s.dil_h = c.dil_h, s.dil_w = c.dil_w;
  s.flipped = true, s.relu = c.relu;
  return cut(s, c.dtype);
}

int64_t depthwise_workspace(const DepthwisePlan& plan) {
  return num_threads() * plan.scratch_bytes;
}

void run_depthwise(const DepthwisePlan& plan, const void* x, const void* w, const void* bias,
                   void* y, void* workspace) {
  const auto multiply = table().multiply[plan.dtype == DType::float64];
  parallel_workers(plan.shape.tasks(), effective_grain(plan.grain),
                   [&](int64_t begin, int64_t end, int worker) {
                     multiply(plan.shape, begin, end, x, w, bias,
                              static_cast<char*>(workspace) + worker * plan.scratch_bytes, y);
                   });
}

int64_t depthwise_weight_workspace(const Conv2dShape& c) {
  const DepthwisePlan plan = cut_conv2d(c);
  const int64_t parts = plan.shape.tasks() * c.R * c.S * size_of(c.dtype);
  return depthwise_workspace(plan) + round_up(parts, 64);
}

namespace {

// In float64: an order of few roundings, though the parts are many.
template <class T>
void total(const DepthwiseShape& s, const void* all, int64_t c, void* result) {
  const int64_t taps = s.R * s.S, of_image = s.C * s.blocks * taps;
  const T* parts = static_cast<const T*>(all) + c * s.blocks * taps;
  T* dw = static_cast<T*>(result) + c * taps;
  for (int64_t i = 0; i < taps; ++i) {
    double sum = 0;
    for (int64_t n = 0; n < s.N; ++n)
      for (int64_t b = 0; b < s.blocks; ++b)
        sum += static_cast<double>(parts[n * of_image + b * taps + i]);
    dw[i] = static_cast<T>(sum);
  }
}

}  // namespace

void run_depthwise_weight(const Conv2dShape& c, const void* x, const void* dy, void* dw,
                          void* workspace) {
  const DepthwisePlan plan = cut_conv2d(c);
  const DepthwiseShape& s = plan.shape;
  const int type = plan.dtype == DType::float64;
  char* parts = static_cast<char*>(workspace) + depthwise_workspace(plan);
  parallel_workers(
      s.tasks(), effective_grain(plan.grain), [&](int64_t begin, int64_t end, int worker) {
        table().weight[type](s, begin, end, x, dy,
                             static_cast<char*>(workspace) + worker * plan.scratch_bytes, parts);
      });
  const auto time = static_cast<double>(2 * s.N * s.blocks * s.R * s.S);
  parallel_for(s.C, effective_grain(static_cast<int64_t>(kChunkTime / 16 / time) + 1),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i)
                   (type ? total<double> : total<float>)(s, parts, i, dw);
               });
}

}  // namespace dlx

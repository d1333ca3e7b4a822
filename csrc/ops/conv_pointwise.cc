#include "ops/conv_pointwise.h"

#include "ops/conv2d_plan.h"

namespace dlx {
namespace {

// Packing a pixel's D channels is paid for by M rows of the result; of fewer the plain gathering
// of panels does with less.
bool pays(int64_t M, int64_t D) { return 2 * M >= D; }

constexpr int64_t kBiasGrain = 32768;  // elements: 10 us

// M channels of each group from D; w[m, d] lies at m w_row + d w_col.
std::optional<GemmShape> plan(const Conv2dShape& s, int64_t M, int64_t D, int64_t w_row,
                              int64_t w_col) {
  const int64_t pixels = s.P * s.Q;
  if (s.R * s.S != 1 || s.stride_h != 1 || s.stride_w != 1 || s.pad_top != 0 || s.pad_left != 0 ||
      s.H != s.P || s.W != s.Q)
    return std::nullopt;
  const ConvAlgorithm chosen = pays(M, D) ? kConvPointwise : kConvPanels;
  const uint32_t others = 1 << kConvPanels | 1 << kConvDirect | 1 << kConvChannels;
  if (conv_choice.pick(chosen, others | 1 << kConvPointwise) != kConvPointwise) return std::nullopt;
  GemmShape g{};
  g.dtype = s.dtype;
  g.m = M, g.n = pixels, g.k = D;
  g.a_row = w_row, g.a_col = w_col;
  g.b_row = g.c_row = pixels, g.b_col = 1;
  g.batch_ndim = 2;
  g.batch[0] = s.N, g.batch[1] = s.groups;
  g.a_batch[1] = s.K / s.groups * (s.C / s.groups);
  g.b_batch[0] = s.groups * D * pixels, g.b_batch[1] = D * pixels;
  g.c_batch[0] = s.groups * M * pixels, g.c_batch[1] = M * pixels;
  return g;
}

template <class T>
void add_bias(const GemmShape& g, const T* bias, T* y) {
  const int64_t channels = g.batch[1] * g.m;
  parallel_for(g.batch[0] * channels, effective_grain(kBiasGrain / (g.n + 1) + 1),
               [&](int64_t begin, int64_t end) {
                 for (int64_t plane = begin; plane < end; ++plane)
                   for (int64_t i = 0; i < g.n; ++i) y[plane * g.n + i] += bias[plane % channels];
               });
}

}  // namespace

std::optional<GemmShape> plan_pointwise_conv2d(const Conv2dShape& s) {
  return plan(s, s.K / s.groups, s.C / s.groups, s.C / s.groups, 1);
}

std::optional<GemmShape> plan_pointwise_conv_transpose2d(const Conv2dShape& s) {
  return plan(s, s.C / s.groups, s.K / s.groups, 1, s.C / s.groups);
}

void run_pointwise(const GemmShape& g, const void* images, const void* w, const void* bias,
                   void* out, void* workspace) {
  gemm(g, w, images, out, workspace);
  if (!bias) return;
  if (g.dtype == DType::float32)
    add_bias(g, static_cast<const float*>(bias), static_cast<float*>(out));
  else
    add_bias(g, static_cast<const double*>(bias), static_cast<double*>(out));
}

}  // namespace dlx

#include "ops/conv_matmul.h"

#include "ops/conv2d_plan.h"

namespace dlx {
namespace {

constexpr int64_t kBiasGrain = 32768;  // elements: 10 us

bool is_pointwise(const Conv2dShape& s) {
  return s.R * s.S == 1 && s.stride_h == 1 && s.stride_w == 1 && s.pad_top == 0 &&
         s.pad_left == 0 && s.H == s.P && s.W == s.Q;
}

constexpr int64_t kLeastPixels = 256;  // fewer do not share out evenly, of all images
constexpr int64_t kMostDepth = 512;    // of a product whose sums are stored once, or twice
constexpr double kLeastFlops = 1e8;    // less is soon done: GEMM then has less to prepare

// Whether a product serves, M channels of a group from D. Panels of pixels are packed by the first
// tile that reads them: that pays where few tiles follow, or the sums of a panel end with it.
bool picks_matmul(const Conv2dShape& s, int64_t M, int64_t D) {
  if (!is_pointwise(s) && !covers_image(s)) return false;
  const int64_t pixels = s.N * s.P * s.Q;
  const bool large =
      2.0 * static_cast<double>(pixels * M * s.groups) * static_cast<double>(D) >= kLeastFlops;
  const bool panels = pixels >= kLeastPixels && (2 * M < D || (large && D <= kMostDepth));
  const ConvAlgorithm chosen = covers_image(s) || !panels ? kConvMatmul : kConvPanels;
  const uint32_t others = 1 << kConvPanels | 1 << kConvDirect | 1 << kConvChannels;
  return conv_choice.pick(chosen, others | 1 << kConvMatmul) == kConvMatmul;
}

// Of the images' planes: channels (M) of each group from D; w[m, d] lies at m w_row + d w_col.
GemmShape pointwise_product(const Conv2dShape& s, int64_t M, int64_t D, int64_t w_row,
                            int64_t w_col) {
  GemmShape g{};
  g.dtype = s.dtype;
  g.m = M, g.n = s.P * s.Q, g.k = D;
  g.relu = s.relu && !s.bias;  // else it comes after the bias
  g.a_row = w_row, g.a_col = w_col;
  g.b_row = g.c_row = g.n, g.b_col = 1;
  g.batch_ndim = 2;
  g.batch[0] = s.N, g.batch[1] = s.groups;
  g.a_batch[1] = M * D;
  g.b_batch[0] = s.groups * D * g.n, g.b_batch[1] = D * g.n;
  g.c_batch[0] = s.groups * M * g.n, g.c_batch[1] = M * g.n;
  return g;
}

GemmShape of_groups(const Conv2dShape& s, int64_t m, int64_t n, int64_t k) {
  GemmShape g{};
  g.dtype = s.dtype;
  g.m = m, g.n = n, g.k = k;
  g.relu = s.relu && !s.bias;  // else it comes after the bias
  g.batch_ndim = 1;
  g.batch[0] = s.groups;
  return g;
}

// y (N, channels, pixels) += bias (channels), then relu where it is wanted
template <class T>
void add_bias(int64_t N, int64_t channels, int64_t pixels, const T* bias, bool relu, T* y) {
  const int64_t image = channels * pixels;
  parallel_for(N, effective_grain(kBiasGrain / (image + 1) + 1), [&](int64_t begin, int64_t end) {
    for (T* to = y + begin * image; begin < end; ++begin)
      for (int64_t c = 0; c < channels; ++c)
        for (int64_t i = 0; i < pixels; ++i, ++to) {
          const T total = *to + bias[c];
          *to = relu && total < 0 ? T(0) : total;
        }
  });
}

void add_bias(const Conv2dShape& s, int64_t channels, int64_t pixels, const void* bias, void* y) {
  if (!bias) return;
  if (s.dtype == DType::float32)
    add_bias(s.N, channels, pixels, static_cast<const float*>(bias), s.relu,
             static_cast<float*>(y));
  else
    add_bias(s.N, channels, pixels, static_cast<const double*>(bias), s.relu,
             static_cast<double*>(y));
}

}  // namespace

bool covers_image(const Conv2dShape& s) {
  return s.P * s.Q == 1 && s.R == s.H && s.S == s.W && s.pad_top == 0 && s.pad_left == 0 &&
         (s.dil_h == 1 || s.R == 1) && (s.dil_w == 1 || s.S == 1);
}

std::optional<GemmShape> plan_matmul_conv2d(const Conv2dShape& s) {
  const int64_t M = s.K / s.groups, C = s.C / s.groups;
  if (!picks_matmul(s, M, C)) return std::nullopt;
  if (!covers_image(s)) return pointwise_product(s, M, C, C, 1);
  GemmShape g = of_groups(s, s.N, M, C * s.H * s.W);
  g.a_row = s.groups * g.k, g.a_col = 1, g.a_batch[0] = g.k;
  g.b_row = 1, g.b_col = g.k, g.b_batch[0] = M * g.k;
  g.c_row = s.K, g.c_batch[0] = M;
  return g;
}

std::optional<GemmShape> plan_matmul_conv_transpose2d(const Conv2dShape& s) {
  const int64_t M = s.C / s.groups, K = s.K / s.groups;
  if (!picks_matmul(s, M, K)) return std::nullopt;
  if (!covers_image(s)) return pointwise_product(s, M, K, 1, M);
  GemmShape g = of_groups(s, s.N, M * s.H * s.W, K);
  g.a_row = s.K, g.a_col = 1, g.a_batch[0] = K;
  g.b_row = g.n, g.b_col = 1, g.b_batch[0] = K * g.n;
  g.c_row = s.groups * g.n, g.c_batch[0] = g.n;
  return g;
}

void run_matmul_conv2d(const Conv2dShape& s, const GemmShape& g, const void* x, const void* w,
                       const void* bias, void* y, void* workspace) {
  covers_image(s) ? gemm(g, x, w, y, workspace) : gemm(g, w, x, y, workspace);
  add_bias(s, s.K, s.P * s.Q, bias, y);
}

void run_matmul_conv_transpose2d(const Conv2dShape& s, const GemmShape& g, const void* dy,
                                 const void* w, const void* bias, void* dx, void* workspace) {
  covers_image(s) ? gemm(g, dy, w, dx, workspace) : gemm(g, w, dy, dx, workspace);
  add_bias(s, s.C, s.H * s.W, bias, dx);
}

GemmShape matmul_backward_weight(const Conv2dShape& s) {
  GemmShape g = of_groups(s, s.K / s.groups, s.C / s.groups * s.H * s.W, s.N);
  g.a_row = 1, g.a_col = s.K, g.a_batch[0] = g.m;
  g.b_row = s.groups * g.n, g.b_col = 1, g.b_batch[0] = g.n;
  g.c_row = g.n, g.c_batch[0] = g.m * g.n;
  return g;
}

}  // namespace dlx

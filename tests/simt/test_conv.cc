// Convolution in all three directions against plain loops. The numbers are small integers, so that
// every sum is exact, in whatever order.
#include <limits>

#include "cuda/ops/conv2d.cu"
#include "cuda/ops/conv2d_backward_weight.cu"
#include "kernel_test.h"

using namespace dlx;
using namespace dlx::cuda;

namespace {

static_assert(divide(7, 1).quotient == 7 && divide(6, 7).rest == 6);
static_assert(divide(0xffffffff, 10).quotient == 429496729);
static_assert(divide(0x100000000, 10).quotient == 429496729 && divide(0x100000000, 10).rest == 6);
static_assert(divide(5, 0x100000000).rest == 5);

template <class T>
std::vector<T> integers(int64_t n) {  // in [-8, 8)
  const std::vector<float> x = drawn(static_cast<size_t>(n));
  std::vector<T> y(x.size());
  for (size_t i = 0; i < x.size(); ++i) y[i] = static_cast<T>(std::floor(x[i] / 4));
  return y;
}

// body(y's, x's, w's element) for each product of the sum that defines all three directions.
template <class Body>
void each_product(const Conv2dShape& s, const Body& body) {
  const int64_t C = s.C / s.groups, K = s.K / s.groups;
  for (int64_t n = 0; n < s.N; ++n)
    for (int64_t k = 0; k < s.K; ++k)
      for (int64_t p = 0; p < s.P; ++p)
        for (int64_t q = 0; q < s.Q; ++q)
          for (int64_t c = 0; c < C; ++c)
            for (int64_t r = 0; r < s.R; ++r)
              for (int64_t t = 0; t < s.S; ++t) {
                const int64_t h = p * s.stride_h - s.pad_top + r * s.dil_h;
                const int64_t w = q * s.stride_w - s.pad_left + t * s.dil_w;
                if (h < 0 || h >= s.H || w < 0 || w >= s.W) continue;
                body(((n * s.K + k) * s.P + p) * s.Q + q,
                     ((n * s.C + k / K * C + c) * s.H + h) * s.W + w,
                     ((k * C + c) * s.R + r) * s.S + t);
              }
}

std::string text_of(const char* op, const Conv2dShape& s) {
  std::string text = op;
  for (const int64_t v : {s.N, s.C, s.H, s.W, s.K, s.R, s.S, s.P, s.Q, s.stride_h, s.stride_w,
                          s.pad_top, s.pad_left, s.dil_h, s.dil_w, s.groups})
    text += " " + std::to_string(v);
  return text;
}

template <class T>
std::vector<T> run_op(Kernel kernel, Workspace workspace, const Conv2dShape& s,
                      const std::vector<T>& a, const std::vector<T>& b, const std::vector<T>* bias,
                      size_t size) {
  constexpr T kPoison = std::numeric_limits<T>::quiet_NaN();
  const OnDevice<T> on_a(a), on_b(b), on_bias(bias ? *bias : std::vector<T>());
  const OnDevice<T> out(std::vector<T>(size, kPoison));
  const auto bytes = static_cast<size_t>(workspace(&s));
  const OnDevice<T> space(std::vector<T>(bytes / sizeof(T), kPoison));
  void* buffers[4] = {on_a, on_b};
  int next = 2;
  if (bias) buffers[next++] = on_bias;
  buffers[next] = out;
  Ctx ctx;
  kernel(ctx, &s, buffers, static_cast<T*>(space));
  return out.values();
}

template <class T>
void test(Conv2dShape s) {
  s.dtype = sizeof(T) == 8 ? DType::float64 : DType::float32;
  const auto x = integers<T>(s.x_size()), w = integers<T>(s.w_size());
  const auto dy = integers<T>(s.y_size());
  const auto bias_k = integers<T>(s.K), bias_c = integers<T>(s.C);
  std::vector<T> y(dy.size()), dx(x.size()), dw(w.size());
  for (int64_t i = 0; i < s.y_size(); ++i) y[i] = s.bias ? bias_k[i / (s.P * s.Q) % s.K] : 0;
  for (int64_t i = 0; i < s.x_size(); ++i) dx[i] = s.bias ? bias_c[i / (s.H * s.W) % s.C] : 0;
  each_product(s, [&](int64_t i, int64_t j, int64_t k) {
    y[i] += x[j] * w[k], dx[j] += dy[i] * w[k], dw[k] += dy[i] * x[j];
  });
  expect_equal(
      run_op(cuda::conv2d, cuda::conv2d_workspace, s, x, w, s.bias ? &bias_k : nullptr, y.size()),
      y, text_of("conv2d", s));
  expect_equal(run_op(cuda::conv_transpose2d, cuda::conv_transpose2d_workspace, s, dy, w,
                      s.bias ? &bias_c : nullptr, dx.size()),
               dx, text_of("conv_transpose2d", s));
  s.bias = false;
  expect_equal(run_op<T>(cuda::conv2d_backward_weight, cuda::conv2d_backward_weight_workspace, s, x,
                         dy, nullptr, dw.size()),
               dw, text_of("conv2d_backward_weight", s));
}

int64_t pick(int64_t low, int64_t high) {  // both included
  return low + static_cast<int64_t>(static_cast<double>(drawn(1)[0] + 32) / 64 *
                                    static_cast<double>(high - low + 1));
}

Conv2dShape random_shape() {
  Conv2dShape s{};
  s.bias = pick(0, 1);
  s.groups = pick(0, 3) ? 1 : pick(1, 3);
  s.N = pick(1, 3), s.C = s.groups * pick(1, 9), s.K = s.groups * pick(1, 40);
  s.H = pick(1, 9), s.W = pick(1, 9), s.R = pick(1, 4), s.S = pick(1, 4);
  s.stride_h = pick(1, 4), s.stride_w = pick(1, 4), s.dil_h = pick(1, 4), s.dil_w = pick(1, 4);
  s.pad_top = pick(-1, 4), s.pad_left = pick(-1, 4);
  s.P = pick(1, 7), s.Q = pick(1, 7);  // they need not follow from the others
  return s;
}

Conv2dShape shape(int64_t N, int64_t C, int64_t H, int64_t W, int64_t K, int64_t R, int64_t S,
                  int64_t stride = 1, int64_t pad = 0, int64_t dil = 1, int64_t groups = 1) {
  Conv2dShape s{};
  s.bias = true;
  s.N = N, s.C = C, s.H = H, s.W = W, s.K = K, s.R = R, s.S = S, s.groups = groups;
  s.stride_h = s.stride_w = stride, s.pad_top = s.pad_left = pad, s.dil_h = s.dil_w = dil;
  s.P = (H + 2 * pad - (R - 1) * dil - 1) / stride + 1;
  s.Q = (W + 2 * pad - (S - 1) * dil - 1) / stride + 1;
  return s;
}

// One large tile, which the plan chooses only for as many as keep a GPU busy.
void test_large_tile() {
  const Conv2dShape s = shape(1, 5, 9, 9, 40, 3, 3, 1, 1);
  const auto x = integers<float>(s.x_size()), w = integers<float>(s.w_size());
  std::vector<float> y(static_cast<size_t>(s.y_size()));
  each_product(s, [&](int64_t i, int64_t j, int64_t k) { y[i] += x[j] * w[k]; });
  const OnDevice<float> on_x(x), on_w(w), out(y.size());
  const ConvProduct<int> p = conv2d_product<int>(s);
  const ConvPlan plan{cut_products<ConvTile>(1, 1, p.m, p.n, p.k), true, s.y_size()};
  run_tiles<float, Along::lines>(test_stream(), plan, OneProduct<int>(s), on_w, on_x,
                                 ConvFinish<float>{out, nullptr, 1, 1}, nullptr);
  expect_equal(out.values(), y, "a large tile");
}

void test_few() {
  constexpr int64_t kFar = int64_t{1} << 30;
  Conv2dShape far = shape(1, 2, 3, 2, 2, 2, 2, 1, kFar, kFar);
  far.P = far.Q = 3;
  test_large_tile();
  test<float>(shape(2, 9, 5, 7, 8, 3, 3, 1, 1));        // small tiles, pieces of pixels
  test<float>(shape(2, 2, 5, 4, 2, 3, 3, 2, 1, 1, 2));  // directly
  test<double>(far);                                    // of 64 bits: sums exceed an int
}

[[maybe_unused]] void test_many() {
  test<double>(shape(1, 35, 4, 4, 33, 2, 3, 2, 1));                 // several tiles, pieces of taps
  test<float>(shape(1, 8 * 66, 6, 6, 33 * 66, 1, 1, 1, 0, 1, 66));  // large tiles
  test<double>(shape(1, 8 * 66, 6, 7, 33 * 66, 1, 1, 1, 0, 1, 66));
  test<float>(shape(1, 9 * 66, 7, 5, 33 * 66, 2, 2, 2, 1, 1, 66));
  test<float>(shape(70, 2, 7, 7, 3, 3, 3, 1, 1));  // many pixels for each tap
  test<double>(shape(40, 4, 9, 9, 4, 3, 3, 1, 1, 1, 4));
  test<float>(shape(0, 3, 5, 5, 4, 3, 3));
  test<float>(shape(2, 0, 5, 5, 4, 3, 3));
  test<float>(shape(2, 3, 5, 5, 0, 3, 3));
  test<float>(shape(1, 2, 3, 5, 3, 1, 1, 30000));  // strides whose square is beyond an int
  for (int i = 0; i < 30; ++i) i % 2 ? test<double>(random_shape()) : test<float>(random_shape());
}

}  // namespace

int main() {
  under_every_schedule([] {
    test_few();
    if (!kFew) test_many();
  });
  report_success();
}

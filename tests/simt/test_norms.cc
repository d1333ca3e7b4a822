// Pooling, batch and group normalisation at sizes around those of warps, packs and blocks, against
// loops in float64. Gradients of maxima are sums that do not round, so they are expected to the
// bit.
#include "cuda/ops/avg_pool2d.cu"
#include "cuda/ops/batch_norm.cu"
#include "cuda/ops/group_norm.cu"
#include "cuda/ops/max_pool2d.cu"
#include "kernel_test.h"

using namespace dlx;
using namespace dlx::cuda;

namespace {

Ctx ctx{};

// ------------------------------------------------------------------------------------- pooling

PoolAxis windows(int64_t n, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation = 1) {
  const int64_t reach = (kernel - 1) * dilation + 1;
  return {n, (n + 2 * padding - reach) / stride + 1, kernel, stride, dilation, padding, padding};
}
PoolAxis adaptive(int64_t n, int64_t m) { return {n, m, 0, 0, 1, 0, 0}; }

struct Pooling {
  const char* name;
  PoolWindows w;
};

std::vector<Pooling> poolings() {
  return {
      {"pairs", {3, windows(6, 2, 2, 0), windows(70, 2, 2, 0)}},
      {"overlapping, padded", {2, windows(7, 3, 2, 1), windows(33, 3, 2, 1)}},
      {"every place", {1, windows(5, 4, 1, 2), windows(31, 5, 1, 2)}},
      {"gaps", {2, windows(11, 2, 3, 0), windows(13, 1, 4, 0)}},
      {"dilated", {2, windows(9, 3, 2, 1, 2), windows(40, 3, 1, 1, 4)}},
      {"adaptive", {3, adaptive(7, 3), adaptive(11, 4)}},
      {"adaptive, larger than the image", {2, adaptive(5, 7), adaptive(4, 9)}},
      {"one element", {1, windows(1, 1, 1, 0), windows(1, 1, 1, 0)}},
      {"one row", {257, adaptive(1, 1), windows(3, 3, 1, 1)}},
      {"large windows", {2, windows(20, 19, 1, 2), windows(23, 21, 2, 4)}},
      {"no planes", {0, windows(4, 2, 2, 0), windows(4, 2, 2, 0)}},
  };
}

// body(element of y, its elements of x in order)
template <class Body>
void for_each_window(const PoolWindows& w, const Body& body) {
  for (int64_t i = 0; i < size_of_y(w); ++i) {
    const int64_t plane = i / w.columns.m / w.rows.m;
    const int64_t p = i / w.columns.m % w.rows.m, q = i % w.columns.m;
    std::vector<int64_t> elements;
    for (int64_t h = w.rows.begin(p); h < w.rows.end(p); h += w.rows.dilation)
      for (int64_t c = w.columns.begin(q); c < w.columns.end(q); c += w.columns.dilation)
        elements.push_back((plane * w.rows.n + h) * w.columns.n + c);
    body(i, elements);
  }
}

template <class Place>
void max_pooling(const Pooling& pooling, Places kind) {
  const PoolWindows& w = pooling.w;
  const std::string name = std::string("max_pool2d, ") + pooling.name;
  const MaxPoolShape shape{{DType::float32, w, {}}, kind};
  const auto m = static_cast<size_t>(size_of_y(w)), n = static_cast<size_t>(size_of_x(w));
  const std::vector<float> x = drawn(n), dy = drawn(m);
  std::vector<float> y(m), dx(n);
  for_each_window(w, [&](int64_t i, const std::vector<int64_t>& elements) {
    int64_t best = elements[0];
    for (int64_t e : elements) best = x[e] > x[best] ? e : best;
    y[i] = x[best];
    dx[best] += dy[i];
  });
  const OnDevice<float> in(x), gradient(dy), maxima(m), back(n), taken(m);
  const OnDevice<Place> places(m);
  void* const forward[] = {in, maxima, places};
  void* const backward[] = {gradient, places, back};
  void* const gather[] = {in, places, taken};
  max_pool2d(ctx, &shape, forward, nullptr);
  expect_equal(maxima.values(), y, name);
  max_pool2d_backward(ctx, &shape, backward, nullptr);
  expect_equal(back.values(), dx, name + ", backward");
  max_pool2d_gather(ctx, &shape, gather, nullptr);
  expect_equal(taken.values(), y, name + ", gather");
}

void avg_pooling(const Pooling& pooling, const PoolDivisor& divisor) {
  const PoolWindows& w = pooling.w;
  const std::string name = std::string("avg_pool2d, ") + pooling.name;
  const PoolShape shape{DType::float32, w, divisor};
  const auto m = static_cast<size_t>(size_of_y(w)), n = static_cast<size_t>(size_of_x(w));
  const std::vector<float> x = drawn(n), dy = drawn(m);
  std::vector<double> y(m), dx(n), y_bound(m, 1e-9), dx_bound(n, 1e-9);
  for_each_window(w, [&](int64_t i, const std::vector<int64_t>& elements) {
    const int64_t p = i / w.columns.m % w.rows.m, q = i % w.columns.m;
    const auto by = static_cast<double>(divisor.of(w, p, q));
    for (int64_t e : elements) {
      y[i] += x[e] / by, y_bound[i] += 1e-6 * std::fabs(x[e]) / by;
      dx[e] += dy[i] / by, dx_bound[e] += 1e-6 * std::fabs(dy[i]) / by;
    }
  });
  const OnDevice<float> in(x), gradient(dy), averages(m), back(n);
  void* const forward[] = {in, averages};
  void* const backward[] = {gradient, back};
  avg_pool2d(ctx, &shape, forward, nullptr);
  expect_close(averages.values(), y, y_bound, name);
  avg_pool2d_backward(ctx, &shape, backward, nullptr);
  expect_close(back.values(), dx, dx_bound, name + ", backward");
}

// The first of equals, the last NaN, -inf where a window has nothing else: dx tells which.
void ties_and_nans() {
  const float inf = HUGE_VALF, nan = NAN;
  const std::vector<float> x = {1, 3, 3, 3, nan, 5, nan, 7, -inf, -inf, -inf, -inf};
  const PoolWindows w{3, windows(2, 2, 2, 0), windows(2, 2, 2, 0)};
  const MaxPoolShape shape{{DType::float32, w, {}}, Places::bytes};
  const OnDevice<float> in(x), maxima(3);
  const OnDevice<uint8_t> places(3);
  void* const forward[] = {in, maxima, places};
  max_pool2d(ctx, &shape, forward, nullptr);
  expect_equal(places.values(), {1, 2, 0}, "places of ties, NaN and -inf");
  const std::vector<float> y = maxima.values();
  if (y[0] != 3 || y[1] == y[1] || y[2] != -inf) fail("maxima of ties, NaN and -inf");
}

// ------------------------------------------------------------------------- batch normalisation

std::vector<float> plus(std::vector<float> x, float offset) {
  for (float& v : x) v += offset;
  return x;
}

// Mean 1e4 and a standard deviation of about 18: sums of squares would leave no digit. x is exact.
void normalization(int64_t N, int64_t C, int64_t L, int64_t start) {
  const std::string name = "batch_norm, " + std::to_string(N) + " x " + std::to_string(C) + " x " +
                           std::to_string(L) + " from " + std::to_string(start);
  const BatchNormShape shape{DType::float32, N, C, L, true, true, true, 1e-5};
  const int64_t n = shape.size(), values = N * L;
  const auto channels = static_cast<size_t>(C), all = static_cast<size_t>(n + start);
  const std::vector<float> x = plus(drawn(all), 10000), dy = drawn(all);
  const std::vector<float> gamma = drawn(channels), beta = drawn(channels);
  std::vector<double> mean(channels), var(channels), y(n), dx(n), dgamma(channels), dbeta(channels);
  std::vector<double> products(channels);
  const auto channel = [&](int64_t i) { return i / L % C; };
  const auto each = [&](const auto& body) {
    for (int64_t i = 0; i < n; ++i) body(i, channel(i), x[start + i], dy[start + i]);
  };
  each([&](int64_t, int64_t c, double v, double) { mean[c] += v / values; });
  each([&](int64_t, int64_t c, double v, double g) {
    var[c] += (v - mean[c]) * (v - mean[c]) / values;
    dbeta[c] += g, products[c] += g * (v - mean[c]);
  });
  each([&](int64_t i, int64_t c, double v, double g) {
    const double rstd = 1 / std::sqrt(var[c] + shape.eps), d = v - mean[c];
    dgamma[c] = products[c] * rstd;
    y[i] = d * rstd * gamma[c] + beta[c];
    dx[i] = gamma[c] * rstd * (g - dbeta[c] / values - d * rstd * rstd * products[c] / values);
  });
  const auto bounds = [](size_t count, double bound) { return std::vector<double>(count, bound); };
  // 32: of |gamma|, |beta|, |dy|; 2: of |x - mean| / std
  const double eps = 1e-6, of_sums = eps * 32 * static_cast<double>(values);

  const OnDevice<float> in(x), gradient(dy), weight(gamma), bias(beta), out(all), back(all),
      back_weight(channels), back_bias(channels);
  const OnDevice<double> means(channels), rstds(channels), vars(channels);
  const OnDevice<uint8_t> work(static_cast<size_t>(dlx::cuda::batch_norm_workspace(&shape)));
  void* const forward[] = {in + start, weight, bias, out + start, means, rstds, vars};
  batch_norm(ctx, &shape, forward, work);
  expect_close(means.values(), mean, bounds(channels, 18 * eps), name + ", mean");
  expect_close(vars.values(), var, bounds(channels, 18 * 18 * 2 * eps), name + ", var");
  const auto behind = [&](const OnDevice<float>& a) {
    const std::vector<float> found = a.values();
    return std::vector<float>(found.begin() + start, found.end());
  };
  expect_close(behind(out), y, bounds(n, 32 * 4 * eps), name);
  void* const backward[] = {gradient + start, in + start,   means,       rstds,
                            weight,           back + start, back_weight, back_bias};
  batch_norm_backward(ctx, &shape, backward, work);
  expect_close(back_bias.values(), dbeta, bounds(channels, of_sums), name + ", dbeta");
  expect_close(back_weight.values(), dgamma, bounds(channels, 2 * of_sums), name + ", dgamma");
  expect_close(behind(back), dx, bounds(n, 32 * 32 * eps), name + ", dx");
}

// start: values in front of x, which make the wide accesses impossible.
void normalizations() {
  normalization(2, 3, 1, 0);
  normalization(33, 65, 1, 0);
  normalization(300, 3, 1, 1);
  normalization(5, 3, 7, 0);
  normalization(9, 2, 64, 0);
  normalization(3, 2, 1028, 0);
  normalization(2, 2, 517, 3);
  normalization(1, 1, 8300, 0);  // several parts of a channel
  normalization(2100, 3, 1, 0);
}

// ------------------------------------------------------------------------- group normalisation

// x as above; start: likewise.
void group_normalization(int64_t N, int64_t C, int64_t L, int64_t G, int64_t start) {
  const std::string name = "group_norm, " + std::to_string(N) + " x " + std::to_string(C) + " x " +
                           std::to_string(L) + " in " + std::to_string(G) + " from " +
                           std::to_string(start);
  const GroupNormShape shape{DType::float32, N, C, L, G, true, true, 1e-5};
  const int64_t n = shape.size();
  const double values = shape.values();
  const auto channels = static_cast<size_t>(C), all = static_cast<size_t>(n + start),
             rows = static_cast<size_t>(shape.rows());
  const std::vector<float> x = plus(drawn(all), 10000), dy = drawn(all);
  const std::vector<float> gamma = drawn(channels), beta = drawn(channels);
  std::vector<double> mean(rows), var(rows), sums(rows), products(rows), y(n), dx(n),
      dgamma(channels), dbeta(channels);
  const auto each = [&](const auto& body) {
    for (int64_t i = 0; i < n; ++i) body(i, i / shape.D(), i / L % C, x[start + i], dy[start + i]);
  };
  each([&](int64_t, int64_t row, int64_t, double v, double) { mean[row] += v / values; });
  each([&](int64_t, int64_t row, int64_t c, double v, double g) {
    var[row] += (v - mean[row]) * (v - mean[row]) / values;
    sums[row] += g * gamma[c], products[row] += g * gamma[c] * (v - mean[row]);
  });
  each([&](int64_t i, int64_t row, int64_t c, double v, double g) {
    const double rstd = 1 / std::sqrt(var[row] + shape.eps), d = v - mean[row];
    dgamma[c] += g * d * rstd, dbeta[c] += g;
    y[i] = d * rstd * gamma[c] + beta[c];
    dx[i] = rstd * (gamma[c] * g - sums[row] / values - d * rstd * rstd * products[row] / values);
  });
  const auto bounds = [](size_t count, double bound) { return std::vector<double>(count, bound); };
  const double eps = 1e-6, of_sums = eps * 32 * static_cast<double>(N * L);  // as above

  const OnDevice<float> in(x), gradient(dy), weight(gamma), bias(beta), out(all), back(all),
      back_weight(channels), back_bias(channels);
  const OnDevice<double> means(rows), rstds(rows);
  const OnDevice<uint8_t> work(static_cast<size_t>(dlx::cuda::group_norm_workspace(&shape))),
      more_work(static_cast<size_t>(dlx::cuda::group_norm_backward_workspace(&shape)));
  void* const forward[] = {in + start, weight, bias, out + start, means, rstds};
  group_norm(ctx, &shape, forward, work);
  expect_close(means.values(), mean, bounds(rows, 18 * eps), name + ", mean");
  const auto behind = [&](const OnDevice<float>& a) {
    const std::vector<float> found = a.values();
    return std::vector<float>(found.begin() + start, found.end());
  };
  expect_close(behind(out), y, bounds(n, 32 * 4 * eps), name);
  void* const backward[] = {gradient + start, in + start,   means,       rstds,
                            weight,           back + start, back_weight, back_bias};
  group_norm_backward(ctx, &shape, backward, more_work);
  expect_close(back_bias.values(), dbeta, bounds(channels, of_sums), name + ", dbeta");
  expect_close(back_weight.values(), dgamma, bounds(channels, 2 * of_sums), name + ", dgamma");
  expect_close(behind(back), dx, bounds(n, 32 * 32 * eps), name + ", dx");
}

void group_normalizations() {
  group_normalization(3, 4, 8, 2, 0);
  group_normalization(2, 6, 17, 3, 1);
  group_normalization(33, 10, 9, 10, 0);
  group_normalization(1, 2, 4100, 1, 0);  // several parts of a group and of a plane
}

void right_kernels() {
  for (const Pooling& p : poolings()) {
    if (p.w.rows.extent() * p.w.columns.extent() <= kNoElement)
      max_pooling<uint8_t>(p, Places::bytes);
    max_pooling<int64_t>(p, Places::indices);
    if (p.w.rows.dilation * p.w.columns.dilation > 1) continue;
    avg_pooling(p, {0, false});
    avg_pooling(p, {4, false});
    if (p.w.rows.stride && p.w.columns.stride) avg_pooling(p, {0, true});
  }
  ties_and_nans();
  normalizations();
  group_normalizations();
}

// Every kernel, small: ThreadSanitizer takes its time for each thread.
void few() {
  const PoolAxis small = windows(9, 3, 2, 1), large = windows(12, 12, 1, 0);
  max_pooling<uint8_t>({"small", {1, small, small}}, Places::bytes);
  avg_pooling({"small", {1, small, small}}, {0, false});
  avg_pooling({"large", {1, large, large}}, {0, false});
  normalization(33, 3, 1, 0);
  normalization(1, 2, 1032, 0);
  group_normalization(2, 4, 65, 2, 0);
}

}  // namespace

int main() {
  under_every_schedule(kFew ? few : right_kernels);
  report_success();
}

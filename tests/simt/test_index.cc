// What takes, sets and sums rows by indices, at rows around the widths of an access and sizes
// around those of blocks and tiles, with indices out of range among them.
#include <algorithm>
#include <numeric>

#include "cuda/ops/index_range.cu"
#include "cuda/ops/one_hot.cu"
#include "cuda/ops/ravel_index.cu"
#include "cuda/ops/scatter.cu"
#include "cuda/ops/scatter_add.cu"
#include "cuda/ops/sort_positions.cu"
#include "cuda/ops/take.cu"
#include "kernel_test.h"

using namespace dlx;
using namespace dlx::cuda;

namespace {

// A launch that can fail.
class Failing {
 public:
  Failing() : report_(std::vector<ErrorReport>(1)) {
    ctx.error_on_device = static_cast<ErrorReport*>(report_);
  }
  ErrorReport report() const { return report_.values()[0]; }
  void expect_none(const std::string& what) const {
    if (report().place) fail(what + ": an error where there is none");
  }
  void expect(int64_t row, int64_t value, int64_t limit, const std::string& what) const {
    const ErrorReport r = report();
    if (!r.place) fail(what + ": no error");
    expect_equal<int64_t>({r.row(), static_cast<int64_t>(r.value), static_cast<int64_t>(r.limit)},
                          {row, value, limit}, what + ": row, value and limit");
  }
  Ctx ctx;

 private:
  OnDevice<ErrorReport> report_;
};

std::vector<int64_t> indices_below(size_t n, int64_t extent) {
  std::vector<int64_t> indices;
  for (const float v : drawn(n))
    indices.push_back((static_cast<int64_t>(v * 1024) + 32768) % (2 * extent) - extent);
  return indices;
}

size_t size_of_rows(int64_t rows, int64_t inner) { return static_cast<size_t>(rows * inner); }

TakeShape take_shape(int64_t outer, int64_t n, int64_t inner, int64_t extent) {
  TakeShape s{};
  s.element_bytes = sizeof(float);
  s.outer = outer, s.n = n, s.inner = inner, s.extent = extent, s.step = inner;
  s.outer_ndim = s.inner_ndim = 1;
  s.outer_extent[0] = outer, s.outer_stride[0] = extent * inner;
  s.inner_extent[0] = inner, s.inner_stride[0] = 1;
  return s;
}

void test_take(int64_t outer, int64_t n, int64_t inner, int64_t extent) {
  const auto x = drawn(size_of_rows(outer * extent, inner));
  auto indices = indices_below(static_cast<size_t>(n), extent);
  std::vector<float> expected;
  for (int64_t o = 0; o < outer; ++o)
    for (const int64_t i : indices)
      for (int64_t k = 0; k < inner; ++k)
        expected.push_back(x[static_cast<size_t>((o * extent + wrap(i, extent)) * inner + k)]);
  const auto taken = [&](Failing& launch) {
    const OnDevice<float> from(x), y(expected.size());
    const OnDevice<int64_t> at(indices);
    const TakeShape s = take_shape(outer, n, inner, extent);
    void* const buffers[] = {from, at, y};
    cuda::take(launch.ctx, &s, buffers, nullptr);
    return y.values();
  };
  Failing good, bad;
  expect_equal(taken(good), expected, "take");
  good.expect_none("take");
  indices[static_cast<size_t>(n - 1)] = extent;
  indices[static_cast<size_t>(n / 2)] = -extent - 3;
  taken(bad);
  bad.expect(n / 2, -extent - 3, extent, "take");
}

void test_scatter(int64_t outer, int64_t n, int64_t inner, int64_t extent) {
  const auto y0 = drawn(size_of_rows(outer * extent, inner));
  const auto v = drawn(size_of_rows(outer * n, inner));
  auto indices = indices_below(static_cast<size_t>(n), extent);
  auto expected = y0;
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t i = 0; i < n; ++i)
      for (int64_t k = 0; k < inner; ++k) {
        const int64_t l = wrap(indices[static_cast<size_t>(i)], extent);
        expected[static_cast<size_t>((o * extent + l) * inner + k)] =
            v[static_cast<size_t>((o * n + i) * inner + k)];
      }
  const auto scattered = [&](Failing& launch) {
    const OnDevice<float> values(v), y(y0);
    const OnDevice<int64_t> at(indices);
    const ScatterShape s{sizeof(float), outer, n, inner, extent, 0};
    const OnDevice<char> workspace(static_cast<size_t>(cuda::scatter_workspace(&s)));
    void* const buffers[] = {at, values, y};
    cuda::scatter(launch.ctx, &s, buffers, workspace);
    return y.values();
  };
  Failing good, bad;
  expect_equal(scattered(good), expected, "scatter");
  good.expect_none("scatter");
  indices[static_cast<size_t>(n - 1)] = extent;
  expect_equal(scattered(bad), y0, "scatter with an index out of range");
  bad.expect(n - 1, extent, extent, "scatter");
}

void test_scatter_add(int64_t outer, int64_t n, int64_t inner, int64_t extent) {
  const auto g = drawn(size_of_rows(outer * n, inner));
  auto indices = indices_below(static_cast<size_t>(n), extent);
  std::vector<double> sums(size_of_rows(outer * extent, inner));
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t i = 0; i < n; ++i)
      for (int64_t k = 0; k < inner; ++k) {
        const int64_t l = wrap(indices[static_cast<size_t>(i)], extent);
        sums[static_cast<size_t>((o * extent + l) * inner + k)] +=
            static_cast<double>(g[static_cast<size_t>((o * n + i) * inner + k)]);
      }
  const auto summed = [&](Failing& launch) {
    const OnDevice<float> values(g), y(sums.size());
    const OnDevice<int64_t> at(indices);
    const ScatterAddShape s{DType::float32, 0, outer, n, inner, extent};
    const OnDevice<char> workspace(static_cast<size_t>(cuda::scatter_add_workspace(&s)));
    void* const buffers[] = {values, at, y};
    cuda::scatter_add(launch.ctx, &s, buffers, workspace);
    return y.values();
  };
  Failing good, bad;
  expect_equal(summed(good), {sums.begin(), sums.end()}, "scatter_add");
  good.expect_none("scatter_add");
  indices[0] = extent + 1;
  summed(bad);
  bad.expect(0, extent + 1, extent, "scatter_add");
}

// starts and order are those of a stable sort.
void test_sort_positions(int64_t n, int64_t extent) {
  const auto indices = indices_below(static_cast<size_t>(n), extent);
  std::vector<int64_t> order(static_cast<size_t>(n)), starts(static_cast<size_t>(extent + 1));
  std::iota(order.begin(), order.end(), 0);
  const auto row = [&](int64_t i) { return wrap(indices[static_cast<size_t>(i)], extent); };
  std::ranges::stable_sort(order, {}, row);
  for (int64_t l = 0; l <= extent; ++l)
    starts[static_cast<size_t>(l)] =
        std::ranges::count_if(order, [&](auto i) { return row(i) < l; });
  const OnDevice<int64_t> at(indices);
  const OnDevice<int64_t> workspace(static_cast<size_t>(sort_positions_workspace(n, extent)) /
                                    sizeof(int64_t));
  const SortedPositions sorted = sort_positions(test_stream(), at, n, extent, workspace);
  const auto all = workspace.values();
  const auto part = [&](const int64_t* begin, int64_t count) {
    const auto first = all.begin() + (begin - static_cast<int64_t*>(workspace));
    return std::vector<int64_t>(first, first + count);
  };
  expect_equal(part(sorted.starts, extent + 1), starts, "starts");
  expect_equal(part(sorted.order, n), order, "positions sorted by index");
}

template <class T>
void test_one_hot(DType dtype, T one, int64_t n, int64_t classes) {
  std::vector<int64_t> labels;
  for (const int64_t i : indices_below(static_cast<size_t>(n), classes))
    labels.push_back(wrap(i, classes));
  std::vector<T> expected(size_of_rows(n, classes));
  for (int64_t i = 0; i < n; ++i)
    expected[static_cast<size_t>(i * classes + labels[static_cast<size_t>(i)])] = one;
  const auto made = [&](Failing& launch) {
    const OnDevice<int64_t> at(labels);
    const OnDevice<T> y(expected.size());
    const OneHotShape s{dtype, n, classes};
    void* const buffers[] = {at, y};
    cuda::one_hot(launch.ctx, &s, buffers, nullptr);
    return y.values();
  };
  Failing good, bad;
  expect_equal(made(good), expected, "one_hot");
  good.expect_none("one_hot");
  labels[static_cast<size_t>(n - 1)] = classes;
  labels[static_cast<size_t>(n / 3)] = -1;
  made(bad);
  bad.expect(n / 3, -1, classes, "one_hot");
}

// a: (rows), b: (columns), broadcast together.
void test_ravel_index(int64_t rows, int64_t columns) {
  auto a = indices_below(static_cast<size_t>(rows), 7),
       b = indices_below(static_cast<size_t>(columns), 11);
  RavelIndexShape s{};
  s.count = s.ndim = 2;
  s.extent[0] = rows, s.extent[1] = columns;
  s.stride[0][0] = s.stride[1][1] = 1;
  s.limit[0] = 7, s.limit[1] = 11, s.weight[0] = 11, s.weight[1] = 1;
  std::vector<int64_t> expected;
  for (const int64_t i : a)
    for (const int64_t j : b) expected.push_back(wrap(i, 7) * 11 + wrap(j, 11));
  const auto raveled = [&](Failing& launch) {
    const OnDevice<int64_t> on_a(a), on_b(b), y(expected.size());
    void* const buffers[] = {on_a, on_b, y};
    cuda::ravel_index(launch.ctx, &s, buffers, nullptr);
    return y.values();
  };
  Failing good, bad;
  expect_equal(raveled(good), expected, "ravel_index");
  good.expect_none("ravel_index");
  b[0] = 11, a.back() = -8;
  raveled(bad);
  bad.expect((rows - 1) * columns, -8, 7, "ravel_index");
}

}  // namespace

std::vector<int64_t> sizes(std::initializer_list<int64_t> all) {
  return kFew ? std::vector<int64_t>{*std::prev(all.end())} : std::vector<int64_t>(all);
}

int main() {
  under_every_schedule([] {
    for (const int64_t inner : sizes({1, 3, 32, 260, 4}))
      for (const int64_t n : sizes({1, 300, 5})) {
        test_take(3, n, inner, 2);
        test_scatter(3, n, inner, 2);
        if (!kFew) test_take(1, n, inner, 11), test_scatter(1, n, inner, 11);
      }
    for (const int64_t extent : sizes({1, 2, 16, 300, 17}))
      for (const int64_t n : sizes({1, 1023, 1024, 2500, 1025})) test_sort_positions(n, extent);
    test_scatter_add(2, 70, 5, 3);
    if (!kFew) test_scatter_add(1, 1500, 1, 17), test_scatter_add(1, 3, 300, 9);
    for (const int64_t n : sizes({1, 333, 16})) {
      test_one_hot<float>(DType::float32, 1.0f, n, 10);
      if (!kFew) test_one_hot<uint8_t>(DType::boolean, 1, n, 3);
      if (!kFew) test_one_hot<double>(DType::float64, 1.0, n, 1);
      test_ravel_index(n, 3);
    }
  });
  report_success();
}

// The engine of reductions, the scan and nonzero, at sizes around those of warps, blocks and parts.
// The numbers add up without rounding, so every sum is expected to the bit.
#include <cstdint>

#include "cuda/core/reducers.h"
#include "cuda/core/running_sums.h"
#include "cuda/ops/nonzero.cu"
#include "kernel_test.h"

using namespace dlx;
using namespace dlx::cuda;

namespace {

// x is read from `start` on, in memory of `size` elements.
struct Layout {
  const char* name;
  ReduceDims kept, reduced;
  int64_t size, start;

  static int64_t product(const ReduceDims& d) {
    int64_t n = 1;
    for (int i = 0; i < d.ndim; ++i) n *= d.extent[i];
    return n;
  }
  int64_t outputs() const { return product(kept); }
  int64_t count() const { return product(reduced); }
  static int64_t offset(const ReduceDims& d, int64_t i) {
    int64_t at = 0;
    for (int n = d.ndim - 1; n >= 0; --n) at += i % d.extent[n] * d.stride[n], i /= d.extent[n];
    return at;
  }
  int64_t at(int64_t m, int64_t k) const { return start + offset(kept, m) + offset(reduced, k); }
};

Layout rows(const char* name, int64_t m, int64_t n) {
  return {name, {1, {m}, {n}}, {1, {n}, {1}}, m * n, 0};
}
Layout columns(const char* name, int64_t m, int64_t n) {
  return {name, {1, {m}, {1}}, {1, {n}, {m}}, m * n, 0};
}

std::vector<Layout> layouts() {
  if (kFew) return {rows("a row", 1, 9001), rows("rows", 7, 33), columns("columns", 3, 1023)};
  std::vector<Layout> all;
  for (const int64_t n : {1, 31, 33, 1023, 1024, 4097}) {
    all.push_back(rows("a row", 1, n));
    all.push_back(rows("rows", 7, n));
    all.push_back(columns("columns", 3, n));
  }
  all.push_back(columns("many columns", 33, 257));
  all.push_back(rows("one long row", 1, 100'003));
  all.push_back(rows("one long dense row", 1, 100'000));
  all.push_back(rows("many rows", 3001, 5));
  all.push_back(rows("rows of one", 700, 1));
  all.push_back({"channels", {1, {5}, {64}}, {2, {9, 64}, {320, 1}}, 9 * 320, 0});
  all.push_back({"every other one, backwards", {1, {11}, {80}}, {1, {40}, {-2}}, 880, 79});
  all.push_back({"inner and outer", {2, {3, 6}, {120, 1}}, {1, {20}, {6}}, 360, 0});
  all.push_back({"no elements", {1, {4}, {1}}, {1, {0}, {1}}, 1, 0});
  return all;
}

template <class R>
void run(const Layout& l, const R& reducer) {
  ReductionPlan plan = plan_reduction(l.kept, l.reduced, l.outputs(), l.count());
  plan.packed = reads_packs(plan, reducer.x, R::kPack);
  const auto bytes = static_cast<size_t>(reduction_workspace<R>(plan));
  const OnDevice<char> workspace(bytes + 1);
  run_reduction(plan, reducer, static_cast<char*>(workspace), test_stream());
  synchronize(test_stream());
}

void sums_of_floats(const Layout& l) {
  const std::vector<float> x = drawn(static_cast<size_t>(l.size));
  std::vector<double> sums, squares;
  for (int64_t m = 0; m < l.outputs(); ++m) {
    double sum = 0, square = 0;
    for (int64_t k = 0; k < l.count(); ++k) {
      const double v = static_cast<double>(x[static_cast<size_t>(l.at(m, k))]);
      sum += v;
      square += (v - 1) * (v - 1);
    }
    sums.push_back(sum);
    squares.push_back(square);
  }
  const size_t outputs = static_cast<size_t>(l.outputs());
  const OnDevice<float> in(x);
  const OnDevice<double> found(outputs), ones(std::vector<double>(outputs, 1));
  const Quotient to{static_cast<double*>(found), 1, true};
  run(l, SumOfReals<float>{{in + l.start}, to});
  expect_equal(found.values(), sums, std::string("sum, ") + l.name);
  run(l, SumOfSquares<float>{{in + l.start}, to, ones});
  expect_equal(found.values(), squares, std::string("squares, ") + l.name);
}

void extremes(const Layout& l, bool with_nan) {
  if (l.count() == 0) return;
  std::vector<float> x = drawn(static_cast<size_t>(l.size));
  for (float& v : x) v = std::floor(v / 8);  // many ties
  if (with_nan)
    for (size_t i = 40; i < x.size(); i += 97) x[i] = std::nanf("");
  std::vector<int64_t> places;
  std::vector<float> values;
  for (int64_t m = 0; m < l.outputs(); ++m) {
    int64_t best = 0;
    for (int64_t k = 1; k < l.count(); ++k) {
      const float v = x[static_cast<size_t>(l.at(m, k))], b = x[static_cast<size_t>(l.at(m, best))];
      if (v > b || (std::isnan(v) && !std::isnan(b))) best = k;
    }
    places.push_back(best);
    const float value = x[static_cast<size_t>(l.at(m, best))];
    values.push_back(std::isnan(value) ? 1000 : value);
  }
  const size_t outputs = static_cast<size_t>(l.outputs());
  const OnDevice<float> in(x), extreme(outputs);
  const OnDevice<int64_t> found(outputs);
  run(l, PlaceOfExtreme<float>{{in + l.start}, found, true});
  expect_equal(found.values(), places, std::string("argmax, ") + l.name);
  run(l, ExtremeOf<float>{{in + l.start}, extreme, true});
  std::vector<float> got = extreme.values();
  for (float& v : got) v = std::isnan(v) ? 1000 : v;
  expect_equal(got, values, std::string("max, ") + l.name);
}

void sums_of_bytes(const Layout& l) {
  std::vector<uint8_t> x;
  for (int64_t i = 0; i < l.size; ++i) x.push_back(static_cast<uint8_t>(i * 37));
  std::vector<int64_t> sums(static_cast<size_t>(l.outputs()));
  for (int64_t m = 0; m < l.outputs(); ++m)
    for (int64_t k = 0; k < l.count(); ++k)
      sums[static_cast<size_t>(m)] += x[static_cast<size_t>(l.at(m, k))];
  const OnDevice<uint8_t> in(x);
  const OnDevice<int64_t> found(sums.size());
  run(l, SumOfIntegers<uint8_t>{{in + l.start}, found});
  expect_equal(found.values(), sums, std::string("sum of bytes, ") + l.name);
}

void scan(int64_t outer, int64_t n, int64_t inner, bool reverse) {
  const std::string name = "scan (" + std::to_string(outer) + ", " + std::to_string(n) + ", " +
                           std::to_string(inner) + ")" + (reverse ? ", reverse" : "");
  const size_t size = static_cast<size_t>(outer * n * inner);
  const std::vector<float> x = drawn(size);
  std::vector<double> expected(size);
  for (int64_t v = 0; v < outer * inner; ++v) {
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) {
      const int64_t k = reverse ? n - 1 - i : i;
      const auto at = static_cast<size_t>((v / inner * n + k) * inner + v % inner);
      expected[at] = sum += static_cast<double>(x[at]);
    }
  }
  const ScanPlan plan = plan_scan(outer, n, inner, reverse);
  const OnDevice<float> in(x);
  const OnDevice<double> found(size), workspace(static_cast<size_t>(plan.vectors() * plan.pieces));
  run_scan<double>(plan, static_cast<const float*>(in), static_cast<double*>(found),
                   static_cast<double*>(workspace), test_stream());
  expect_equal(found.values(), expected, name);
}

void positions(int64_t n, int64_t every) {
  std::vector<uint8_t> mask(static_cast<size_t>(n));
  std::vector<int64_t> expected;
  for (int64_t i = 0; i < n; ++i)
    if (i * i % 7919 % every == 0) {
      mask[static_cast<size_t>(i)] = static_cast<uint8_t>(1 << i % 8);  // any byte but 0 is true
      expected.push_back(i);
    }
  Ctx ctx;
  const NonzeroShape shape{n, static_cast<int64_t>(expected.size())};
  const OnDevice<uint8_t> in(mask);
  const OnDevice<int64_t> count(1), found(expected.size());
  const int64_t bytes = std::max(count_nonzero_workspace(&shape), nonzero_workspace(&shape));
  const OnDevice<char> workspace(static_cast<size_t>(bytes) + 1);
  void* of_count[] = {static_cast<uint8_t*>(in), static_cast<int64_t*>(count)};
  void* of_positions[] = {static_cast<uint8_t*>(in), static_cast<int64_t*>(found)};
  count_nonzero(ctx, &shape, of_count, static_cast<char*>(workspace));
  expect_equal(count.values(), {shape.count}, "count_nonzero");
  nonzero(ctx, &shape, of_positions, static_cast<char*>(workspace));
  expect_equal(found.values(), expected, "nonzero");
}

}  // namespace

int main() {
  under_every_schedule([&] {
    for (const Layout& l : layouts()) {
      sums_of_floats(l);
      extremes(l, false);
      if (kFew) continue;
      extremes(l, true);
      sums_of_bytes(l);
    }
    scan(1, 2049, 1, false);
    scan(2, 257, 5, true);
    positions(2049, 3);
    if (kFew) return;
    for (const int64_t n : {1, 31, 33, 1023, 4097}) {
      for (const int64_t every : {1, 3, 1000}) positions(n, every);
      scan(1, n, 1, false);
      scan(3, n, 1, true);
      scan(2, n, 5, false);
    }
    scan(1, 70'001, 1, true);
    scan(501, 3, 1, false);
    scan(1, 3, 501, true);
    positions(50'001, 3);
  });
  report_success();
}

#include "ops/random.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "core/check.h"
#include "core/cpu_features.h"
#include "ops/random_draw.h"

namespace dlx {

DLX_EACH_ISA(extern const RandomTable random_table;)

const RandomTable& random_table() { return DLX_SELECT_ISA(random_table); }

namespace {

// Elements of an output that does not exist yet.
int64_t count_of(const char* op, const Dims& shape) {
  int64_t n = 1;
  for (int64_t extent : shape) {
    DLX_CHECK(extent >= 0, op, ": expected no negative extent, got shape ", shape);
    DLX_CHECK(!__builtin_mul_overflow(n, extent, &n) && n <= int64_t{1} << 56, op, ": shape ",
              shape, " has too many elements");
  }
  return n;
}

void check_floating(const char* op, DType dtype) {
  DLX_CHECK_AS(TypeError, is_floating(dtype), op,
               ": expected float32, float64, bfloat16 or float16, got ", dtype);
}

template <class T>
double below(double low, double high) {
  const T least = static_cast<T>(low), limit = static_cast<T>(high);
  return least < limit ? std::nextafter(limit, least) : least;
}

}  // namespace

RandomUniformShape RandomUniformShape::make(const Dims& y_shape, DType dtype, double low,
                                            double high) {
  RandomUniformShape s{};
  check_floating("random.uniform", dtype);
  s.n = count_of("random.uniform", y_shape);
  DLX_CHECK(low <= high, "random.uniform: expected low <= high, got low=", low, " high=", high);
  const double most = dtype == DType::float64 ? std::numeric_limits<double>::max()
                                              : std::numeric_limits<float>::max();
  DLX_CHECK(std::fabs(low) <= most && std::fabs(high) <= most && high - low <= most,
            "random.uniform: expected high - low to be finite in ", dtype, ", got low=", low,
            " high=", high);
  s.dtype = dtype;
  s.low = low;
  s.high = high;
  return s;
}

double RandomUniformShape::last() const {
  return dtype == DType::float64 ? below<double>(low, high) : below<float>(low, high);
}

RandomNormalShape RandomNormalShape::make(const Dims& y_shape, DType dtype, double mean,
                                          double std) {
  RandomNormalShape s{};
  check_floating("random.normal", dtype);
  s.n = count_of("random.normal", y_shape);
  DLX_CHECK(std >= 0, "random.normal: expected std >= 0, got ", std);
  s.dtype = dtype;
  s.mean = mean;
  s.std = std;
  return s;
}

RandomIntShape RandomIntShape::make(const Dims& y_shape, DType dtype, int64_t low, int64_t last) {
  RandomIntShape s{};
  DLX_CHECK_AS(TypeError, is_integer(dtype), "random.randint: expected int32, int64 or uint8, got ",
               dtype);
  s.n = count_of("random.randint", y_shape);
  DLX_CHECK(low <= last, "random.randint: expected low < high, got the values ", low, " to ", last);
  const auto [least, most] = dtype == DType::uint8 ? std::pair<int64_t, int64_t>{0, 255}
                             : dtype == DType::int32
                                 ? std::pair<int64_t, int64_t>{INT32_MIN, INT32_MAX}
                                 : std::pair<int64_t, int64_t>{INT64_MIN, INT64_MAX};
  DLX_CHECK(least <= low && last <= most, "random.randint: ", dtype, " holds ", least, " to ", most,
            ", asked for ", low, " to ", last);
  s.dtype = dtype;
  s.low = low;
  s.range = static_cast<uint64_t>(last) - static_cast<uint64_t>(low) + 1;
  return s;
}

RandomPermutationShape RandomPermutationShape::make(int64_t n) {
  DLX_CHECK(n >= 0, "random.permutation: expected n >= 0, got ", n);
  return {count_of("random.permutation", {n})};
}

namespace cpu {
namespace {

// draw(range, y, i): writes the elements of the range, as dtype or as float32 for the half types.
template <class F>
void draw_floats(DType dtype, const RandomRange& all, void* y, const F& draw) {
  for_each_chunk(all, [&](const RandomRange& r) {
    char* out = static_cast<char*>(y) + r.begin * size_of(dtype);
    if (!is_half(dtype)) return draw(r, out);
    float block[kDrawBlock];
    for (int64_t at = r.begin; at < r.end; at += kDrawBlock) {
      const int64_t n = std::min(kDrawBlock, r.end - at);
      draw(RandomRange{r.seed, r.offset, at, at + n}, block);
      convert(DType::float32, dtype, block, out + (at - r.begin) * size_of(dtype), n);
    }
  });
}

}  // namespace

// y: (n,)  cell: (2,) int64
void random_uniform(Ctx&, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const RandomUniformShape*>(shape);
  const auto uniform = random_table().uniform[float_index(s.dtype)];
  const double last = s.last();
  draw_floats(s.dtype, advance(buffers[1], s.n, size_of(s.dtype)), buffers[0],
              [&](const RandomRange& r, void* y) { uniform(r, s.low, s.high - s.low, last, y); });
}

// y: (n,)  cell: (2,) int64
void random_normal(Ctx&, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const RandomNormalShape*>(shape);
  const auto normal = random_table().normal[float_index(s.dtype)];
  draw_floats(s.dtype, advance(buffers[1], s.n, size_of(s.dtype)), buffers[0],
              [&](const RandomRange& r, void* y) { normal(r, s.mean, s.std, y); });
}

// y: (n,)  cell: (2,) int64
void random_int(Ctx&, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const RandomIntShape*>(shape);
  const auto& table = random_table();
  for_each_chunk(advance(buffers[1], s.n, 8), [&](const RandomRange& chunk) {
    uint64_t words[kDrawBlock];
    for (int64_t at = chunk.begin; at < chunk.end; at += kDrawBlock) {
      const int64_t n = std::min(kDrawBlock, chunk.end - at);
      table.words64({chunk.seed, chunk.offset, at, at + n}, words);
      auto store = [&, s]<class T>(T) {
        T* y = static_cast<T*>(buffers[0]) + at;
        for (int64_t i = 0; i < n; ++i) y[i] = static_cast<T>(s.value_of(words[i]));
      };
      if (s.dtype == DType::int64)
        store(int64_t{});
      else if (s.dtype == DType::int32)
        store(int32_t{});
      else
        store(uint8_t{});
    }
  });
}

namespace {

// The words are uniform, so their upper bits alone put each one next to its place: buckets of 2 to
// 4 words, or of more where the counters of that many buckets would leave the L2 cache.
constexpr int kMostBucketBits = 16;

int bucket_bits(int64_t n) {
  return std::clamp(static_cast<int>(std::bit_width(static_cast<uint64_t>(n))) - 2, 1,
                    kMostBucketBits);
}

void sort_few(RandomKey* begin, RandomKey* end) {
  if (end - begin > 16) return std::sort(begin, end);
  for (RandomKey* next = begin; next < end; ++next) {
    const RandomKey moved = *next;
    RandomKey* at = next;
    for (; at > begin && moved < at[-1]; --at) *at = at[-1];
    *at = moved;
  }
}

}  // namespace

// y: (n,) int64  cell: (2,) int64  workspace: words (n,) | keyed (n,) | bucket starts (buckets +
// 1,)
void random_permutation(Ctx&, const void* shape, void* const* buffers, void* workspace) {
  const int64_t n = static_cast<const RandomPermutationShape*>(shape)->n;
  const RandomRange all = advance(buffers[1], n, 8);
  if (n == 0) return;
  auto* y = static_cast<int64_t*>(buffers[0]);
  auto* keyed = static_cast<RandomKey*>(workspace);
  auto* words = reinterpret_cast<uint64_t*>(keyed + n);
  auto* end_of =
      reinterpret_cast<int64_t*>(words + n);  // of a bucket; while scattering, its next place
  const int bits = bucket_bits(n), shift = 64 - bits;
  const int64_t buckets = int64_t{1} << bits;

  const auto& table = random_table();
  for_each_chunk(all, [&](const RandomRange& r) { table.words64(r, words + r.begin); });
  std::fill_n(end_of, buckets + 1, 0);
  for (int64_t i = 0; i < n; ++i) ++end_of[(words[i] >> shift) + 1];
  for (int64_t b = 1; b <= buckets; ++b) end_of[b] += end_of[b - 1];
  for (int64_t i = 0; i < n; ++i) keyed[end_of[words[i] >> shift]++] = {words[i], i};

  const int64_t grain = std::max<int64_t>(kDrawGrain / (n / buckets + 1), 1);
  parallel_for(buckets, effective_grain(grain), [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const int64_t from = b ? end_of[b - 1] : 0;
      sort_few(keyed + from, keyed + end_of[b]);
      for (int64_t i = from; i < end_of[b]; ++i) y[i] = keyed[i].index;
    }
  });
}

int64_t random_permutation_workspace(const void* shape) {
  const int64_t n = static_cast<const RandomPermutationShape*>(shape)->n;
  const int64_t counters = (int64_t{1} << bucket_bits(n)) + 1;
  return n * static_cast<int64_t>(sizeof(RandomKey) + sizeof(uint64_t)) + counters * 8;
}

}  // namespace cpu

}  // namespace dlx

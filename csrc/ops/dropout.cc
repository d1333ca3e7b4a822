#include "ops/dropout.h"

#include "core/check.h"
#include "ops/random_draw.h"

namespace dlx {

DropoutShape DropoutShape::make(const Array& x, double p) {
  DropoutShape s{};
  DLX_CHECK_AS(TypeError, is_floating(x.dtype),
               "dropout: expected float32, float64, bfloat16 or float16, got ", x.dtype);
  DLX_CHECK(p >= 0 && p <= 1, "dropout: expected p between 0 and 1, got ", p);
  s.dtype = x.dtype;
  s.n = x.size();
  s.p = p;
  return s;
}

namespace cpu {
namespace {

void dropout_range(const DropoutShape& s, const RandomRange& all, const void* x, void* y) {
  const auto mask = random_table().dropout[float_index(s.dtype)];
  const int32_t threshold = s.threshold();
  const double scale = s.scale();
  for_each_chunk(all, [&](const RandomRange& r) {
    const char* in = static_cast<const char*>(x) + r.begin * size_of(s.dtype);
    char* out = static_cast<char*>(y) + r.begin * size_of(s.dtype);
    if (!is_half(s.dtype)) return mask(r, threshold, scale, in, out);
    float block[kDrawBlock];
    for (int64_t at = r.begin; at < r.end; at += kDrawBlock) {
      const int64_t n = std::min(kDrawBlock, r.end - at), byte = (at - r.begin) * size_of(s.dtype);
      convert(s.dtype, DType::float32, in + byte, block, n);
      mask({r.seed, r.offset, at, at + n}, threshold, scale, block, block);
      convert(DType::float32, s.dtype, block, out + byte, n);
    }
  });
}

}  // namespace

// x: (n,)  y: (n,)  start: (2,) int64  cell: (2,) int64
void dropout(Ctx&, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const DropoutShape*>(shape);
  const RandomRange all = advance(buffers[3], s.n, 4);
  auto* start = static_cast<uint64_t*>(buffers[2]);
  start[0] = all.seed;
  start[1] = all.offset;
  dropout_range(s, all, buffers[0], buffers[1]);
}

// dy: (n,)  start: (2,) int64  dx: (n,)
void dropout_backward(Ctx&, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const DropoutShape*>(shape);
  const auto* start = static_cast<const uint64_t*>(buffers[1]);
  dropout_range(s, {start[0], start[1], 0, s.n}, buffers[0], buffers[2]);
}

}  // namespace cpu
}  // namespace dlx

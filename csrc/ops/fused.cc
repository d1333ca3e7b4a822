#include "ops/fused.h"

#include <algorithm>

#include "core/check.h"
#include "core/machine_limits.h"
#include "core/parallel.h"
#include "ops/fused_loop.h"

namespace dlx {
int64_t FusedShape::scratch() const { return FusedBlocks(*this).count * kMapBlockBytes; }

std::string FusedShape::text() const {
  std::string all;
  for (int i = 0; i < steps; ++i)
    all += message(i ? ", " : "fused(", step[i].is_cast ? "cast" : step[i].map.info().name);
  return all + ")";
}

Cost FusedShape::cost() const {
  Cost all;
  int64_t read[kMaxFusedArrays] = {};
  for (int i = 0; i < steps; ++i) {
    const FusedStep& s = step[i];
    if (!s.is_cast) all.flops += n * s.map.info().flops;
    if (s.stored >= 0) all.bytes += n * size_of(s.to);
    for (int k = 0; k < s.operands; ++k) {
      if (s.array[k] < 0) continue;
      int64_t elements = 1;  // a broadcast operand is read once
      if (s.is_cast) elements = n;
      for (int d = 0; d < s.map.ndim; ++d) elements *= s.map.stride[k][d] ? s.map.extent[d] : 1;
      const DType dtype = s.is_cast ? s.map.dtype : s.map.input_dtype(k);
      read[s.array[k]] = std::max(read[s.array[k]], elements * size_of(dtype));
    }
  }
  for (int64_t bytes : read) all.bytes += bytes;
  return all;
}

namespace cpu {
namespace {

constexpr int64_t kGrain = 32768, kMostGrain = 524288;  // elements a chunk, as of map

}  // namespace

void fused(Ctx&, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const FusedShape*>(shape);
  const bool streams = s.n > kGrain && pays_to_stream_a_pass(s.cost().bytes);
  const FusedLoop loop(s, buffers, streams);
  parallel_for(s.n, long_grain(s.n, kGrain, kMostGrain), [&](int64_t begin, int64_t end) {
    FusedLoop::Worker(loop, end - begin).run(begin, end);
  });
}

}  // namespace cpu
}  // namespace dlx

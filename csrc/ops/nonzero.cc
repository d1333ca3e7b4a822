#include "ops/nonzero.h"

#include "core/check.h"
#include "core/parallel.h"

namespace dlx {
namespace {

constexpr int64_t kChunk = 65536;  // fixed: chunk c's count stands at workspace[c]

}  // namespace

NonzeroShape NonzeroShape::make(const Array& mask, int64_t count) {
  DLX_CHECK_AS(TypeError, mask.dtype == DType::boolean,
               "nonzero: expected a mask of dtype bool, got ", mask.dtype);
  NonzeroShape s{};
  s.n = mask.size();
  s.count = count;
  return s;
}

int64_t NonzeroShape::chunks() const { return (n + kChunk - 1) / kChunk; }

namespace cpu {
namespace {

// As bytes: what another library calls true is not always 1.
void count_chunks(int64_t n, const uint8_t* mask, int64_t* counts) {
  parallel_for(n, kChunk, [&](int64_t begin, int64_t end) {
    int32_t count = 0;
    for (int64_t i = begin; i < end; ++i) count += mask[i] != 0;
    counts[begin / kChunk] = count;
  });
}

}  // namespace

void count_nonzero(Ctx&, const void* shape, void* const* buffers, void* workspace) {
  const auto& s = *static_cast<const NonzeroShape*>(shape);
  auto* counts = static_cast<int64_t*>(workspace);
  count_chunks(s.n, static_cast<const uint8_t*>(buffers[0]), counts);
  int64_t total = 0;
  for (int64_t c = 0; c < s.chunks(); ++c) total += counts[c];
  *static_cast<int64_t*>(buffers[1]) = total;
}

void nonzero(Ctx&, const void* shape, void* const* buffers, void* workspace) {
  const auto& s = *static_cast<const NonzeroShape*>(shape);
  const auto* mask = static_cast<const uint8_t*>(buffers[0]);
  auto* y = static_cast<int64_t*>(buffers[1]);
  auto* starts = static_cast<int64_t*>(workspace);
  count_chunks(s.n, mask, starts);
  int64_t total = 0;
  for (int64_t c = 0; c < s.chunks(); ++c) {
    const int64_t count = starts[c];
    starts[c] = total;
    total += count;
  }
  parallel_for(s.n, kChunk, [&](int64_t begin, int64_t end) {
    const int64_t chunk = begin / kChunk;
    const int64_t last = end == s.n ? total : starts[chunk + 1];
    // Without a branch on the mask, which nothing can predict; every write stays inside the chunk's
    // part of y.
    for (int64_t i = begin, at = starts[chunk]; at < last; ++i) {
      y[at] = i;
      at += mask[i] != 0;
    }
  });
}

}  // namespace cpu
}  // namespace dlx

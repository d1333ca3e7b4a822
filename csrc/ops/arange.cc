#include "ops/arange.h"

#include "core/parallel.h"

namespace dlx::cpu {

constexpr int64_t kArangeGrain = 32768;

void arange(Ctx&, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const ArangeShape*>(shape);
  parallel_for(s.n, effective_grain(kArangeGrain), [&](int64_t begin, int64_t end) {
    if (s.integers) {
      auto* y = static_cast<int64_t*>(buffers[0]);
      for (int64_t i = begin; i < end; ++i) y[i] = s.integer_at(i);
    } else {
      auto* y = static_cast<double*>(buffers[0]);
      for (int64_t i = begin; i < end; ++i) y[i] = s.number_at(i);
      if (s.ends && end == s.n) y[s.n - 1] = s.last;
    }
  });
}

}  // namespace dlx::cpu

#include "ops/fill.h"

#include <algorithm>
#include <cstring>

#include "core/parallel.h"
#include "ops/element_bits.h"

namespace dlx::cpu {

constexpr int64_t kFillGrain = 65536, kMostGrain = 524288;  // elements

void fill(Ctx&, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const FillShape*>(shape);
  parallel_for(s.n, long_grain(s.n, kFillGrain, kMostGrain), [&](int64_t begin, int64_t end) {
    with_bits(s.element_bytes, [&]<class T>(T value) {
      std::memcpy(&value, &s.value, sizeof value);
      T* y = static_cast<T*>(buffers[0]);
      if (s.step == 1) return void(std::fill(y + begin, y + end, value));
      for (int64_t i = begin; i < end; ++i) y[i * s.step] = value;
    });
  });
}

}  // namespace dlx::cpu

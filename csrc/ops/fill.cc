#include "ops/fill.h"

#include <algorithm>
#include <cstring>

#include "core/parallel.h"

namespace dlx::cpu {

constexpr int64_t kFillGrain = 65536;  // elements

void fill(Ctx&, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const FillShape*>(shape);
  parallel_for(s.n, effective_grain(kFillGrain), [&](int64_t begin, int64_t end) {
    auto as = [&]<class T>(T value) {
      std::memcpy(&value, &s.value, sizeof value);
      T* y = static_cast<T*>(buffers[0]);
      if (s.step == 1) return void(std::fill(y + begin, y + end, value));
      for (int64_t i = begin; i < end; ++i) y[i * s.step] = value;
    };
    if (s.element_bytes == 4) return as(uint32_t{});
    if (s.element_bytes == 8) return as(uint64_t{});
    if (s.element_bytes == 2) return as(uint16_t{});
    as(uint8_t{});
  });
}

}  // namespace dlx::cpu

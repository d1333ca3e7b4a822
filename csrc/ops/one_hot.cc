#include "ops/one_hot.h"

#include <algorithm>
#include <cstring>

#include "core/view.h"
#include "ops/element_bits.h"

namespace dlx {

OneHotShape OneHotShape::make(const Array& labels, int64_t classes, DType dtype, Dims* y_shape) {
  DLX_CHECK_AS(TypeError, labels.dtype == DType::int64, "one_hot: expected int64 labels, got ",
               labels.dtype);
  DLX_CHECK(classes >= 0, "one_hot: expected num_classes >= 0, got ", classes);
  DLX_CHECK(labels.shape.ndim < kMaxDims, "one_hot: at most ", kMaxDims,
            " dimensions are possible; labels=", labels.shape);
  *y_shape = labels.shape;
  y_shape->push_back(classes);
  check_extents(*y_shape, "one_hot");
  OneHotShape s{};
  s.dtype = dtype;
  s.n = labels.size();
  s.classes = classes;
  return s;
}

namespace cpu {
namespace {

constexpr int64_t kOneHotGrain = 65536;  // elements

}  // namespace

void one_hot(Ctx& ctx, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const OneHotShape*>(shape);
  const auto* labels = static_cast<const int64_t*>(buffers[0]);
  if (!check_between(ctx.error, labels, s.n, 0, s.classes)) return;
  const uint64_t one = one_bits(s.dtype);
  const int64_t grain = std::max<int64_t>(kOneHotGrain / (s.classes + 1), 1);
  parallel_for(s.n, effective_grain(grain), [&](int64_t begin, int64_t end) {
    with_bits(size_of(s.dtype), [&]<class T>(T value) {
      std::memcpy(&value, &one, sizeof value);
      T* y = static_cast<T*>(buffers[1]);
      std::fill(y + begin * s.classes, y + end * s.classes, T{});
      for (int64_t i = begin; i < end; ++i) y[i * s.classes + labels[i]] = value;
    });
  });
}

}  // namespace cpu
}  // namespace dlx

#include "ops/pad.h"

#include <algorithm>
#include <cstring>

#include "core/check.h"
#include "core/parallel.h"
#include "core/view.h"
#include "ops/element_bits.h"

namespace dlx {

namespace {

constexpr const char* kModeName[] = {"constant", "reflect", "replicate", "circular"};

// How far a border of one axis may reach.
int64_t longest_border(PadMode mode, int64_t n) {
  if (mode == PadMode::reflect) return std::max<int64_t>(n - 1, 0);
  if (mode == PadMode::circular || n == 0) return n;
  return INT64_MAX;
}

}  // namespace

PadShape PadShape::make(const Array& x, const Array* value, const Dims& before, const Dims& after,
                        PadMode mode, Dims* y_shape) {
  const bool constant = mode == PadMode::constant;
  DLX_CHECK(constant == (value != nullptr), "pad: expected a value for constant borders only");
  DLX_CHECK_AS(TypeError, !value || value->dtype == x.dtype, "pad: expected a value of x's dtype ",
               x.dtype, ", got ", value ? value->dtype : x.dtype);
  DLX_CHECK(!value || value->shape.ndim == 0, "pad: expected one number as value");
  DLX_CHECK(before.ndim == x.shape.ndim && after.ndim == x.shape.ndim,
            "pad: expected a pair for each dimension of x; before=", before, " after=", after,
            " x=", x.shape);
  PadShape s{};
  s.element_bytes = size_of(x.dtype);
  s.x_size = x.size();
  s.mode = mode;
  *y_shape = Dims{};
  int last = -1;
  for (int i = 0; i < x.shape.ndim; ++i) {
    const int64_t n = x.shape[i], longest = constant ? INT64_MAX : longest_border(mode, n);
    DLX_CHECK(before[i] >= 0 && after[i] >= 0, "pad: expected a border >= 0, got ", before[i],
              " and ", after[i], " at axis ", i);
    DLX_CHECK(before[i] <= longest && after[i] <= longest,
              "pad: ", kModeName[static_cast<int>(mode)], " borders of axis ", i, " with extent ",
              n, " hold at most ", longest, " elements, got ", before[i], " and ", after[i],
              "; x=", x.shape);
    int64_t extent;
    DLX_CHECK(!__builtin_add_overflow(n, before[i], &extent) &&
                  !__builtin_add_overflow(extent, after[i], &extent),
              "pad: the result would be too large; x=", x.shape, " before=", before,
              " after=", after);
    y_shape->push_back(extent);
    // Rows that are mirrored or repeated stay apart from the axis that counts them.
    const bool merges = last >= 0 && extent == n && s.x_stride[last] == x.strides[i] * n &&
                        (constant || s.x_extent[last] == s.y_extent[last]);
    if (merges) {
      s.before[last] *= n, s.x_extent[last] *= n, s.y_extent[last] *= n;
      s.x_stride[last] = x.strides[i];
    } else {
      ++last;
      s.before[last] = before[i], s.x_extent[last] = n, s.y_extent[last] = extent;
      s.x_stride[last] = x.strides[i];
    }
  }
  if (last < 0) s.x_extent[++last] = s.y_extent[0] = 1;
  s.ndim = last + 1;
  check_extents(*y_shape, "pad");
  s.y_size = y_shape->product();
  return s;
}

namespace cpu {
namespace {

constexpr int64_t kPadGrain = 32768;  // elements: 10-100 us of memory traffic

// The row of x that row `index` of y has in its middle, or null where it is all constant.
template <class T>
const T* row_of(const PadShape& s, const T* x, const int64_t* index) {
  for (int i = 0; i < s.ndim - 1; ++i) {
    const int64_t at = pad_source(s.mode, index[i] - s.before[i], s.x_extent[i]);
    if (at < 0) return nullptr;
    x += at * s.x_stride[i];
  }
  return x;
}

// count elements of one row of y, from its element `first` on; x: the row in x, or null.
template <class T>
void pad_row(const PadShape& s, const T* x, T value, int64_t first, int64_t count, T* y) {
  const int inner = s.ndim - 1;
  const int64_t n = s.x_extent[inner], step = s.x_stride[inner];
  const int64_t begin = s.before[inner] - first;  // of the row of x in y
  const int64_t left = x ? std::clamp<int64_t>(begin, 0, count) : count;
  const int64_t right = std::clamp<int64_t>(begin + n, left, count);
  const auto border = [&](int64_t from, int64_t to) {
    if (s.mode == PadMode::constant) return void(std::fill(y + from, y + to, value));
    for (int64_t i = from; i < to; ++i) y[i] = x[pad_source(s.mode, i - begin, n) * step];
  };
  border(0, left);
  if (right > left) {
    const T* from = x + (left - begin) * step;
    if (step == 1) {
      std::memcpy(y + left, from, static_cast<size_t>(right - left) * sizeof(T));
    } else {
      for (int64_t i = left; i < right; ++i) y[i] = from[(i - left) * step];
    }
  }
  border(right, count);
}

// Elements [begin, end) of y.
template <class T>
void pad_elements(const PadShape& s, const T* x, T value, T* y, int64_t begin, int64_t end) {
  const int inner = s.ndim - 1;
  int64_t index[kMaxDims], rest = begin / s.y_extent[inner], first = begin % s.y_extent[inner];
  for (int i = inner - 1; i >= 0; --i) {
    index[i] = rest % s.y_extent[i];
    rest /= s.y_extent[i];
  }
  while (begin < end) {
    const int64_t count = std::min(s.y_extent[inner] - first, end - begin);
    pad_row(s, row_of(s, x, index), value, first, count, y + begin);
    begin += count;
    first = 0;
    for (int i = inner - 1; i >= 0 && ++index[i] == s.y_extent[i]; --i) index[i] = 0;
  }
}

}  // namespace

void pad(Ctx&, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const PadShape*>(shape);
  parallel_for(s.y_size, effective_grain(kPadGrain), [&](int64_t begin, int64_t end) {
    with_bits(s.element_bytes, [&]<class T>(T value) {
      const bool constant = s.mode == PadMode::constant;
      if (constant) std::memcpy(&value, buffers[1], sizeof value);
      T* y = static_cast<T*>(buffers[constant ? 2 : 1]);
      pad_elements(s, static_cast<const T*>(buffers[0]), value, y, begin, end);
    });
  });
}

}  // namespace cpu
}  // namespace dlx

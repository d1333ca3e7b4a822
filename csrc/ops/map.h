// y = f(x1, x2, x3) element by element, with broadcasting: one engine for every row of pointwise.h.
#pragma once
#include "core/launch.h"
#include "ops/map_table.h"

namespace dlx {

struct MapShape {
  int32_t row;      // in the table
  DType dtype;      // of the values computed on
  bool dense;       // every array operand is dense and none is broadcast
  uint8_t scalars;  // bit i: input i is the number scalar[i], not an array
  int32_t ndim;
  int64_t extent[kMaxDims];                 // y: (extent...) dense, after merging dimensions
  int64_t stride[kMaxMapInputs][kMaxDims];  // inputs, in elements; 0 broadcasts
  uint64_t scalar[kMaxMapInputs];           // the bytes of one element of the input's dtype

  int64_t size() const {
    int64_t n = 1;
    for (int i = 0; i < ndim; ++i) n *= extent[i];
    return n;
  }
  DType input_dtype(int i) const;
  DType output_dtype() const;
  const MapRow& info() const;

  // operands[i] == nullptr: a scalar, filled in by the caller. Throws when the shapes do not
  // broadcast.
  static MapShape make(int row, DType dtype, int count, const Array* const* operands,
                       Dims* y_shape);
  bool operator==(const MapShape&) const = default;
};

const MapTable& map_table();    // of the instruction set in force
int map_row(const char* name);  // -1 if there is none
const Op& map_op(int row);

// y = (dtype)x, dense to dense: any of the eight to any other.
struct CastShape {
  DType from, to;
  int64_t n;
  static CastShape make(const Array& x, DType to) { return {x.dtype, to, x.size()}; }
  bool operator==(const CastShape&) const = default;
};

DLX_DECLARE_KERNEL(map)
DLX_DECLARE_KERNEL(cast)

namespace ops {
inline constexpr Op cast{
    .name = "cast",
    .kernels = DLX_KERNELS(cast),
    .cost =
        [](const void* shape) {
          const auto& s = *static_cast<const CastShape*>(shape);
          return Cost{0, s.n * (size_of(s.from) + size_of(s.to))};
        },
    .cheap = true,
};
}  // namespace ops

}  // namespace dlx

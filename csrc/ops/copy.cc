#include "ops/copy.h"

#include <algorithm>

#include "core/choice.h"
#include "core/machine_limits.h"
#include "core/parallel.h"
#include "ops/strided.h"
#include "ops/transpose_table.h"

namespace dlx {

CopyShape CopyShape::make(const Dims& shape, DType dtype, const Dims& x_strides,
                          const Dims& y_strides) {
  CopyShape s{};
  int64_t strides[2][kMaxDims];
  for (int i = 0; i < shape.ndim; ++i) {
    s.extent[i] = shape[i];
    strides[0][i] = x_strides[i];
    strides[1][i] = y_strides[i];
  }
  s.element_bytes = size_of(dtype);
  s.ndim = merge_dims(shape.ndim, s.extent, strides, 2);
  std::copy_n(strides[0], s.ndim, s.x_stride);
  std::copy_n(strides[1], s.ndim, s.y_stride);
  std::fill(s.extent + s.ndim, s.extent + kMaxDims, 0);
  return s;
}

namespace cpu {
namespace {

constexpr int64_t kCopyGrain = 32768;  // elements: 10-100 us of memory traffic
// Transposes of large arrays: whoever starts on a chunk finds nothing of it fetched ahead.
constexpr int64_t kMostGrain = 131072, kChunks = 32;
// Bytes of x and y. More than kNear do not all stay in the cache of a core; of more than kFar lines
// of y are worth asking for, too.
constexpr int64_t kNear = int64_t{1} << 19, kFar = int64_t{16} << 20;

void copy_elements(const CopyShape& s, const char* x, char* y, int64_t begin, int64_t end) {
  const CopyRows copy = copy_rows(s.element_bytes);
  const RowsLayout from = rows_layout(s.ndim, s.x_stride), to = rows_layout(s.ndim, s.y_stride);
  for_each_block<2>(s.ndim, s.extent, {s.x_stride, s.y_stride}, begin, end - begin,
                    [&](const int64_t* offset, int64_t, int64_t rows, int64_t n) {
                      copy(x + offset[0] * s.element_bytes, from, y + offset[1] * s.element_bytes,
                           to, rows, n);
                    });
}

Choice choice("copy", {"plain", "tiled"});
Choice ways("copy_blocks", {"near", "ahead", "far", "streamed"});

// A copy between arrays whose dense axes differ: blocks of (y's axis, x's axis) are transposed.
struct Tiles {
  int width_axis = -1, depth_axis = -1;  // dense in y, dense in x
  int64_t width = 0, depth = 0;          // of a block
  int64_t wide = 0, deep = 0;            // blocks along the axes
  int64_t blocks = 0;                    // in all

  explicit Tiles(const CopyShape& s) {
    for (int i = 0; i < s.ndim; ++i) {
      if (s.y_stride[i] == 1) width_axis = i;
      if (s.x_stride[i] == 1) depth_axis = i;
    }
    if (!apply(s)) return;
    // 64 x 64, or all of a short axis and more of the other. Rows of y that begin anywhere in a
    // line are written in long pieces: each has two borders.
    constexpr int64_t kSide = 64, kLong = 256, kLineBytes = 64;
    const bool lines = s.y_stride[depth_axis] * s.element_bytes % kLineBytes == 0;
    const int64_t most = s.extent[width_axis] <= kLong || !lines ? kLong : kSide;
    width = side(s.extent[width_axis],
                 std::max(most, kTransposeBlock / std::min(s.extent[depth_axis], kSide)));
    depth = side(s.extent[depth_axis], kTransposeBlock / width);
    wide = (s.extent[width_axis] + width - 1) / width;
    deep = (s.extent[depth_axis] + depth - 1) / depth;
    blocks = wide * deep;
    for (int i = 0; i < s.ndim; ++i)
      if (i != width_axis && i != depth_axis) blocks *= s.extent[i];
  }
  bool apply(const CopyShape& s) const {
    return width_axis >= 0 && depth_axis >= 0 && width_axis != depth_axis &&
           s.x_stride[width_axis] > 1 && s.y_stride[depth_axis] > 1;
  }
  // Few tiny matrices are as fast element by element.
  bool pay(const CopyShape& s) const {
    return apply(s) && s.extent[width_axis] * s.extent[depth_axis] >= 16;
  }

 private:
  // Of the fewest blocks of at most `most`, each about as long, in whole tiles of registers.
  static int64_t side(int64_t extent, int64_t most) {
    constexpr int64_t kLine = 16;
    if (extent <= most) return extent;
    most = most / kLine * kLine;
    const int64_t count = (extent + most - 1) / most;
    return ((extent + count - 1) / count + kLine - 1) / kLine * kLine;
  }
};

// bytes: of x and y.
TransposeWay way_of(const CopyShape& s, const Tiles& tiles, int64_t bytes) {
  // Rows of y that lie apart fill whole lines in pieces of kPiece bytes. A multiple of kConflict
  // apart they share few sets of a cache, which writes to them leave at once: better past it. Of
  // kFew rows the hardware fetches the next lines.
  constexpr int64_t kPiece = 256, kConflict = 4096, kFew = 16;
  const int64_t row = s.y_stride[tiles.depth_axis];
  const bool adjoin = row == tiles.width, conflict = row * s.element_bytes % kConflict == 0;
  const bool streams = (adjoin || tiles.width * s.element_bytes >= kPiece) &&
                       pays_to_stream(!adjoin && conflict ? 4 * bytes : bytes);
  const auto way = streams                                 ? TransposeWay::streamed
                   : bytes <= kNear || tiles.width <= kFew ? TransposeWay::near
                   : bytes > kFar                          ? TransposeWay::far
                                                           : TransposeWay::ahead;
  return static_cast<TransposeWay>(ways.pick(static_cast<int>(way), 0b1111));
}

void copy_tiles(const CopyShape& s, const Tiles& tiles, const char* x, char* y) {
  const TransposeTable& table = DLX_SELECT_ISA(transpose_table);
  const int size = s.element_bytes == 1   ? 0
                   : s.element_bytes == 2 ? 1
                   : s.element_bytes == 4 ? 2
                                          : 3;
  int64_t n = 2 * s.element_bytes;
  for (int i = 0; i < s.ndim; ++i) n *= s.extent[i];
  const int w = tiles.width_axis, d = tiles.depth_axis;
  const TransposeWay way = way_of(s, tiles, n);
  const TransposeFunction transpose = table.functions[static_cast<int>(way)].of[size];
  const int64_t block = tiles.width * tiles.depth;
  const int64_t elements = std::clamp(n / 2 / s.element_bytes / kChunks, kCopyGrain, kMostGrain);
  const int64_t grain = std::max<int64_t>(elements / block, 1);
  parallel_for(tiles.blocks, effective_grain(grain), [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      int64_t rest = b;
      const int64_t p = rest % tiles.deep * tiles.depth;
      rest /= tiles.deep;
      const int64_t i = rest % tiles.wide * tiles.width;
      rest /= tiles.wide;
      int64_t from = i * s.x_stride[w] + p, to = p * s.y_stride[d] + i;
      for (int axis = s.ndim - 1; axis >= 0; --axis) {
        if (axis == w || axis == d) continue;
        from += rest % s.extent[axis] * s.x_stride[axis];
        to += rest % s.extent[axis] * s.y_stride[axis];
        rest /= s.extent[axis];
      }
      transpose(x + from * s.element_bytes, s.x_stride[w], y + to * s.element_bytes, s.y_stride[d],
                std::min(tiles.width, s.extent[w] - i), std::min(tiles.depth, s.extent[d] - p));
    }
    if (way == TransposeWay::streamed) table.end_stream();
  });
}

}  // namespace

void copy(Ctx&, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const CopyShape*>(shape);
  int64_t n = 1;
  for (int i = 0; i < s.ndim; ++i) n *= s.extent[i];
  if (n == 0) return;
  const Tiles tiles(s);
  if (choice.pick(tiles.pay(s) ? 1 : 0, tiles.apply(s) ? 3 : 1) == 1)
    return copy_tiles(s, tiles, static_cast<const char*>(buffers[0]),
                      static_cast<char*>(buffers[1]));
  parallel_for(n, long_grain(n, kCopyGrain, kMostGrain), [&](int64_t begin, int64_t end) {
    copy_elements(s, static_cast<const char*>(buffers[0]), static_cast<char*>(buffers[1]), begin,
                  end);
  });
}

}  // namespace cpu
}  // namespace dlx

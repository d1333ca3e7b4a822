// What the convolution kernels give for each instruction set. [0]: float32, [1]: float64.
//
// An output pixel (n, u, v) of a group sees the image elements base + offset[d], d < D, where base
// = n image + group + u row + v: neighbours along v lie side by side, whatever stride, padding and
// dilation. Images are copied once to make it so (ConvCopy), unless they are so already.
#pragma once
#include <cstdint>

namespace dlx {

// planes (H,W) -> (rows, phases, width), zeros outside the plane. Row j of the copy is the plane's
// row(j); column i of phase f its column first_col + f phase_step + i col_step.
struct ConvCopy {
  int64_t H, W;
  int64_t first_row, row_step, row_taps, tap_step, rows;
  int64_t first_col, col_step, phases, phase_step, width;

  [[gnu::always_inline]] int64_t pitch() const { return phases * width; }
  [[gnu::always_inline]] int64_t plane() const { return rows * pitch(); }
  [[gnu::always_inline]] int64_t row(int64_t j) const {  // of the plane, in or outside of it
    if (row_taps == 1) return first_row + j * row_step;
    return first_row + j / row_taps * row_step + j % row_taps * tap_step;
  }
};

// Where pixels find their image elements: strides in elements.
struct ConvSource {
  int64_t U, V;               // pixels of an image
  int64_t image, group, row;  // n, group, u
  int64_t step;               // v: 1, unless the kernel reads single elements
  const int64_t* offset;      // (D)
};

// out[n, group, m, u, v] = bias[m] + sum over d of a[group, m, d] images[base + offset[d]], or 0
// where that is negative (relu)
struct ConvProduct {
  ConvSource source;
  int64_t M, D;
  int64_t kc;                                                   // depth of a packed block
  int64_t mr;                                                   // rows of a packed panel of a,
  int64_t height;                                               // to which it is padded
  int64_t out_image, out_group, out_channel, out_row, out_col;  // strides of the result
  int64_t packed_group;                                         // elements of a group's packed a
  bool relu;
  // Rows of a may be (channel, up, across): phases of a stride that see the same pixels, whose
  // results lie out_up apart and side by side. For `multiply` only.
  int64_t phases_up = 1, phases_across = 1, out_up = 0;
};

// a[group, m, d] = w[group a_group + m a_row + offset[d]]
struct ConvWeights {
  int64_t a_group, a_row;
  const int64_t* offset;  // null: d
};

// dw[group, m, c] = sum over pixels of dy[n, group, m, u, v] images[base + offset[c]]
struct ConvDot {
  ConvSource source;
  int64_t M, D;
  int64_t dy_image, dy_group;  // dy (n, group, m, U V)
  bool packs;                  // whether blocks of pixels are copied side by side
};

// Images (channels, H, W) as vectors of W channels (vectors, rows, width, W), zero outside. Row 0
// is the image's row first_row, column 0 its column first_col.
struct ConvLanes {
  int64_t channels, H, W;  // of an image and group
  int64_t first_row, rows, first_col, width;

  int64_t vectors(int64_t lanes) const { return (channels + lanes - 1) / lanes; }
  int64_t image(int64_t lanes) const { return vectors(lanes) * rows * width * lanes; }
};

// Strides in elements.
struct ConvStrides {
  int64_t image, group, channel, u, v;
};

// sums[group, row, t, c] = sum over pixels (n, u, v) of elements[at + row + element_offset[t]]
// times the vector vectors[at + vector_offset[c]]
struct ConvOuter {
  int64_t U, V;  // pixels of an image
  int64_t rows, element_taps, cols;
  int64_t neighbours;  // taps one behind the other whose elements are neighbours
  ConvStrides element, vector;
  const int64_t* element_offset;  // (element_taps)
  const int64_t* vector_offset;   // (cols)
};

// Its sums, as conv_outer leaves them, `piece` elements each of `pieces`. K, C: of a group
struct ConvOuterSums {
  int64_t K, C, taps, pieces, piece;
  bool lanes_of_x;  // else the lanes are channels of dy
};

// Part of the result: rows, columns, pixels.
struct ConvBlock {
  int64_t group, m0, m1, c0, c1, j0, j1;
};

struct ConvTable {
  int width[2];     // elements of a vector
  int direct_rows;  // most rows of a tile of `direct`
  // planes [begin, end)
  void (*copy[2])(const ConvCopy&, const void* x, int64_t begin, int64_t end, void* copy);
  // panels [begin, end) of all groups: ceil(M / mr) each
  void (*pack[2])(const ConvProduct&, const ConvWeights&, const void* w, int64_t begin, int64_t end,
                  void* packed);
  // Pixels [j0, j1) of rows [m0, m1), m0 a multiple of mr; panel: (kc, nr) of scratch
  void (*multiply[2])(const ConvProduct&, const ConvBlock&, const void* images, const void* packed,
                      const void* bias, void* panel, void* out);
  // The same straight from the images, which end in kConvSlack bytes: rows [j0, j1) of pixels,
  // which count (n, u), all D at once, mr <= direct_rows.
  void (*direct[2])(const ConvProduct&, const ConvBlock&, const void* images, const void* packed,
                    const void* bias, void* out);
  // The same by lanes of channels, of one image and group: rows [j0, j1) of pixels, whose elements
  // begin at `rows` and results at `out`, all D at once, mr = height = one or two vectors. `count`
  // products, the phases of a stride, lie side by side in a row of the result.
  void (*channels[2])(const ConvProduct* const* phases, const void* const* packed, int count,
                      const ConvBlock&, const void* rows, const void* bias, void* out);
  // dw (M, D), += unless `first`; scratch: kConvDotBytes + kConvDotPad for each row and column
  void (*dot[2])(const ConvDot&, const ConvBlock&, const void* images, const void* dy, bool first,
                 void* scratch, void* dw);
  // planes [begin, end) of vectors, which count (image, group, vector)
  void (*lanes[2])(const ConvLanes&, const void* images, int64_t begin, int64_t end, void* lanes);
  // columns c0 a multiple of 6; += unless `first`
  void (*outer[2])(const ConvOuter&, const ConvBlock&, const void* elements, const void* vectors,
                   bool first, void* sums);
  // vectors [begin, end) of the sums of one piece
  void (*outer_total[2])(const ConvOuterSums&, const void* sums, int64_t begin, int64_t end,
                         void* dw);
  // y = sum of n arrays of `size` elements, x0 + x1 + ..., elements [begin, end)
  void (*total[2])(const void* x, int64_t n, int64_t size, int64_t begin, int64_t end, void* y);
};

constexpr int64_t kConvDotRows = 64;     // most rows of a ConvDot block,
constexpr int64_t kConvDotCols = 96;     // and columns
constexpr int64_t kConvDotBytes = 4096;  // of pixels at a time: of 6 columns they fill half of L1
constexpr int kConvPhases = 4;           // most of `channels`
constexpr int64_t kConvSlack = 64;       // bytes
constexpr int64_t kConvDotPad = 64;      // bytes between rows: no two start at one place of a page

}  // namespace dlx

// How a convolution is cut: images copied so that neighbours lie side by side, products of packed
// weights with pixels gathered from them. Made from the shape alone, never from the threads.
#pragma once
#include <vector>

#include "core/choice.h"
#include "core/parallel.h"
#include "core/rounding.h"
#include "ops/conv2d.h"
#include "ops/conv_table.h"

namespace dlx {

// The algorithms of conv2d and of its input gradient.
enum ConvAlgorithm {
  kConvPanels,
  kConvDirect,
  kConvWinograd2,
  kConvWinograd4,
  kConvChannels,
  kConvMatmul,
  kConvDepthwise,
  kConvColumns,
};
extern Choice conv_choice;

// Which of panels, direct and channels computes this product (its M, D and V), `channels` where it
// applies. gathers: whether conv_multiply would copy what it could otherwise read in place.
ConvAlgorithm conv_algorithm(const ConvProduct&, DType, bool gathers, bool channels);

// The images an op reads: x, or dy of conv_transpose2d.
struct ConvImages {
  ConvCopy copy;
  int64_t channels;
  bool copied;       // else the kernels read them in place: `copy` describes their own layout
  int64_t per_pass;  // images copied at once

  int64_t image() const { return channels * copy.plane(); }
  int64_t bytes(DType t) const {  // of the copies of a pass
    return copied ? per_pass * image() * size_of(t) + kConvSlack : 0;
  }
};

// One product over part of the result: all of it, or one phase of a stride of conv_transpose2d.
struct ConvPhase {
  ConvProduct product;
  ConvWeights weights;
  int64_t out_first;             // where the phase begins in the result
  int64_t packed_first;          // and in the packed weights
  int64_t task_rows, row_tasks;  // rows of the result of a task, tasks along them
  int64_t task_pixels;           // pixels of a task; rows of pixels where the plan is direct

  int64_t pixels(bool direct, int64_t images) const {  // in the units of task_pixels
    return images * product.source.U * (direct ? 1 : product.source.V);
  }
  int64_t tasks(bool direct, int64_t images) const {  // of a group
    return ceil_div(pixels(direct, images), task_pixels) * row_tasks;
  }
};

struct ConvPlan {
  DType dtype;
  int64_t N, groups, out_image;
  bool direct;  // conv_direct's way
  ConvImages images;
  std::vector<int64_t> offsets;  // of all phases
  std::vector<ConvPhase> phases;
  int64_t packed_bytes, panel_bytes;
};

ConvPlan plan_conv2d(const Conv2dShape&);
ConvPlan plan_conv_transpose2d(const Conv2dShape&);
int64_t conv_plan_workspace(const ConvPlan&);
void run_conv_plan(const ConvPlan&, const void* images, const void* w, const void* bias, void* out,
                   void* workspace);

// What conv2d and its weight gradient share: x as conv2d reads it, where its pixels find it, and
// the offsets of a group's C/groups R S elements.
ConvImages conv2d_images(const Conv2dShape&, bool with_slack);
ConvSource conv2d_source(const Conv2dShape&, const ConvImages&);
std::vector<int64_t> conv2d_offsets(const Conv2dShape&, const ConvImages&);

// Whether rows or columns are copied for each tap: where strides are longer than kernels, or
// dilations than images.
bool conv2d_samples(const Conv2dShape&);

// The images of the pass that begins at image n: their copies, or themselves.
const void* conv_pass_images(const ConvImages&, DType, int64_t n, int64_t count, const void* images,
                             void* copies);

// The outputs h = first + i stride (i < count) of conv_transpose2d: their i sees, through tap
// taps[j], dy[begin + i - shifts[j]]. These are the taps with tap dil = h + pad (mod stride).
struct StridePhase {
  int64_t first, count, begin;
  std::vector<int64_t> taps, shifts;
};
std::vector<StridePhase> stride_phases(int64_t stride, int64_t dil, int64_t taps, int64_t pad,
                                       int64_t size);
// The rows (or columns) of dy that the phases see: [*first, *first + *count), at least one.
void phases_extent(const std::vector<StridePhase>&, int64_t* first, int64_t* count);

// Whether all phases of conv_transpose2d see the same pixels, each through one tap: kernels as long
// as their stride, side by side.
bool conv2d_tiles_images(const Conv2dShape&);

const ConvTable& conv_table();  // of the instruction set in force

// body(begin, end, worker)
template <class F>
void parallel_workers(int64_t n, int64_t grain, const F& body) {
  parallel_run(
      n, grain,
      [](void* f, int64_t begin, int64_t end, int worker) {
        (*static_cast<const F*>(f))(begin, end, worker);
      },
      const_cast<void*>(static_cast<const void*>(&body)));
}

}  // namespace dlx

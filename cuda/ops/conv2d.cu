// conv2d and conv_transpose2d: by tiles, or where these would be nearly empty, a thread for each
// result.
#include "cuda/ops/conv_tiles.h"

namespace dlx::cuda {
namespace {

// A thread for each result: neighbours have neighbouring pixels, their weights come to all at once.
// Taps in order. blocks: for a phase
template <class T, class Phases>
__global__ void conv_direct(Phases phases, int64_t num_phases, int64_t groups, int64_t blocks,
                            const T* __restrict__ a, const T* __restrict__ b,
                            const T* __restrict__ bias, bool relu, T* __restrict__ c) {
  for (int64_t task = blockIdx.x; task < num_phases * blocks; task += gridDim.x) {
    const Division which = divide(task, blocks);
    const auto& p = phases.at(which.quotient);
    using Int = std::remove_cvref_t<decltype(p.b.width)>;
    const auto &a_steps = p.a.steps, &b_steps = p.b.steps;
    const int64_t first = which.rest * blockDim.x + threadIdx.x;
    for (int64_t i = first; i < groups * p.m * p.n; i += blocks * blockDim.x) {
      const Division by_col = divide(i, p.n), by_row = divide(by_col.quotient, p.m);
      const int64_t row = by_row.rest, group = by_row.quotient;
      const auto pixel = p.b.columns.at(by_col.rest);
      const Int top = p.b.columns.row(pixel) + b_steps.first_row;
      const Int left = p.b.columns.col(pixel) + b_steps.first_col;
      const T* weights = a + group * p.a.group + row * p.a.row +
                         int64_t{a_steps.first_row} * p.a.width + a_steps.first_col;
      const T* image = b + group * p.b.group + pixel.plane;
      T sum = 0;
      for (int64_t plane = 0; plane < p.planes; ++plane) {
        for (Int r = 0; r < b_steps.rows; ++r) {
          const Int h = top + r * b_steps.row_step;
          if (h < 0 || h >= p.b.height) continue;
          for (Int s = 0; s < b_steps.cols; ++s) {
            const Int w = left + s * b_steps.col_step;
            if (w < 0 || w >= p.b.width) continue;
            const int64_t tap = int64_t{r} * a_steps.row_step * p.a.width + s * a_steps.col_step;
            sum = fused(weights[plane * a_steps.plane + tap],
                        image[plane * b_steps.plane + int64_t{h} * p.b.width + w], sum);
          }
        }
      }
      const ConvStore<T, Int> store{p.c, c + group * p.c.group, bias ? bias + group * p.m : nullptr,
                                    relu, false};
      store(row, store.column(by_col.rest), sum);
    }
  }
}

// An op by its phases, conv2d's one or conv_transpose2d's: everything follows from the shape alone.
template <template <class> class Phases>
struct ConvOp {
  // Few channels leave tiles nearly empty.
  static bool is_direct(const Conv2dShape& s) {
    const Phases<int64_t> phases(s);
    return !conv_is_small(s) ||
           filled(phases.at(0).m, SmallTile::kRows) * filled(phases.deepest(), SmallTile::kDepth) <
               kLeastFilled;
  }

  static ConvPlan plan(const Conv2dShape& s, int64_t c_size) {
    const Phases<int64_t> phases(s);
    const auto first = phases.at(0);  // none has more pixels
    return plan_tiles(s, phases.phases(), first.m, first.n, phases.deepest(), c_size);
  }

  static int64_t workspace(const Conv2dShape& s, int64_t c_size) {
    if (c_size == 0 || is_direct(s)) return 0;
    return pieces_bytes(plan(s, c_size).cut.depth, c_size, s.dtype);
  }

  template <class T, class Int>
  static void run_direct(Stream stream, const Conv2dShape& s, const T* w, const T* images,
                         const ConvFinish<T>& finish) {
    const Phases<Int> phases(s);
    const auto first = phases.at(0);
    const dim3 blocks = blocks_for(s.groups * first.m * first.n);
    launch_grid<conv_direct<T, Phases<Int>>>(grid_of(phases.phases() * blocks.x), kBlockThreads, 0,
                                             stream, phases, phases.phases(), s.groups, blocks.x, w,
                                             images, finish.bias, finish.relu, finish.c);
  }

  // buffers: images, w, bias if there is one, c, of `channels` planes for each image
  template <class T>
  static void run(Stream stream, const Conv2dShape& s, void* const* buffers, void* workspace,
                  int64_t c_size, int64_t channels, int64_t plane) {
    const auto *images = static_cast<const T*>(buffers[0]), *w = static_cast<const T*>(buffers[1]);
    const ConvFinish<T> finish{static_cast<T*>(buffers[2 + s.bias]),
                               s.bias ? static_cast<const T*>(buffers[2]) : nullptr, plane,
                               channels, s.relu};
    if (!is_direct(s))
      return run_tiles<T, Along::lines>(stream, plan(s, c_size), Phases<int>(s), w, images, finish,
                                        workspace);
    conv_is_small(s) ? run_direct<T, int>(stream, s, w, images, finish)
                     : run_direct<T, int64_t>(stream, s, w, images, finish);
  }
};

using Forward = ConvOp<OneProduct>;
using Transposed = ConvOp<TransposedPhases>;

}  // namespace

int64_t conv2d_workspace(const void* shape) {
  return Forward::workspace(conv_shape(shape), conv_shape(shape).y_size());
}
int64_t conv_transpose2d_workspace(const void* shape) {
  return Transposed::workspace(conv_shape(shape), conv_shape(shape).x_size());
}

void conv2d(Ctx& ctx, const void* shape, void* const* buffers, void* workspace) {
  const Conv2dShape& s = conv_shape(shape);
  if (s.y_size() == 0) return;
  const auto run = s.dtype == DType::float32 ? Forward::run<float> : Forward::run<double>;
  run(context(ctx).stream, s, buffers, workspace, s.y_size(), s.K, s.P * s.Q);
}

void conv_transpose2d(Ctx& ctx, const void* shape, void* const* buffers, void* workspace) {
  const Conv2dShape& s = conv_shape(shape);
  if (s.x_size() == 0) return;
  const auto run = s.dtype == DType::float32 ? Transposed::run<float> : Transposed::run<double>;
  run(context(ctx).stream, s, buffers, workspace, s.x_size(), s.C, s.H * s.W);
}

}  // namespace dlx::cuda

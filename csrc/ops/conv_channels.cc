#include "ops/conv_channels.h"

#include "core/check.h"
#include "core/view.h"

namespace dlx {
namespace {

constexpr int64_t kCopyBytes = 256 << 10;  // of a task's rows: an eighth of L2
constexpr int64_t kTasks = 24;             // enough for the threads of a small machine
constexpr double kTaskFlops = 2e6;         // least of a chunk of tasks: 10 us on one AVX-512 core
constexpr int64_t kPackGrain = 16384;

// What follows from the channels, the rows read and the pixels: `span` rows beyond one for each
// step of `step` rows of the block.
void set_blocks(ConvChannelsPlan& plan, int64_t U, int64_t step, int64_t span) {
  const int64_t width = conv_table().width[plan.dtype == DType::float64],
                size = size_of(plan.dtype);
  ConvLanes& rows = plan.rows;
  check_extents({plan.C + width, rows.width, span, U, step}, "conv2d: with its padding");
  plan.row_step = step;
  plan.lanes = !plan.direct && 2 * plan.C > width;  // else most lanes would be empty
  const int64_t channels = plan.lanes ? round_up(plan.C, width) : plan.C;
  const int64_t row_bytes = channels * rows.width * size;
  const int64_t most = std::max<int64_t>((kCopyBytes / (row_bytes + 1) - span) / step, 1);
  const int64_t images = plan.N * plan.groups,
                wanted = ceil_div(kTasks, std::max<int64_t>(images, 1));
  plan.block = even_split(U, std::min(most, ceil_div(U, wanted)), 1);
  plan.blocks = ceil_div(U, plan.block);
  rows.channels = plan.C;
  rows.rows = (plan.block - 1) * step + span;
  // conv_direct reads vectors, which may pass the image's end.
  plan.in_place = !plan.lanes && !plan.direct && rows.first_row >= 0 && rows.first_col >= 0 &&
                  rows.first_row + (U - 1) * step + span <= rows.H &&
                  rows.first_col + rows.width <= rows.W;
  if (plan.in_place) rows.rows = rows.H, rows.width = rows.W;
  plan.copy_bytes = plan.in_place ? 0 : round_up(rows.rows * row_bytes, 64) + kConvSlack;
  plan.height = plan.direct      ? ceil_div(plan.M, ceil_div(plan.M, conv_table().direct_rows))
                : plan.M > width ? 2 * width
                                 : width;
  const int64_t panels = ceil_div(plan.M, plan.height);
  const int64_t parts =
      plan.direct ? 1
                  : std::min(panels, ceil_div(kTasks, std::max<int64_t>(images * plan.blocks, 1)));
  plan.task_channels = even_split(panels, ceil_div(panels, parts), 1) * plan.height;
  plan.channel_tasks = ceil_div(plan.M, plan.task_channels);
}

// Where a task's copy has channel c, row r, column t.
int64_t place(const ConvChannelsPlan& plan, int64_t c, int64_t r, int64_t t) {
  const int64_t L = plan.lanes ? conv_table().width[plan.dtype == DType::float64] : 1;
  const ConvLanes& rows = plan.rows;
  return ((c / L * rows.rows + r) * rows.width + t) * L + c % L;
}

void add_product(ConvChannelsPlan& plan, ConvProduct& c, int64_t out_first) {
  c.M = plan.M;
  c.mr = c.height = plan.height;
  c.kc = std::max<int64_t>(c.D, 1);
  c.packed_group = round_up(c.M, c.height) * c.D;
  plan.out_first.push_back(out_first);
  plan.packed_first.push_back(plan.packed_bytes);
  plan.packed_bytes += round_up(plan.groups * c.packed_group * size_of(plan.dtype), 64);
  plan.products.push_back(c);
}

}  // namespace

std::optional<ConvChannelsPlan> plan_channels_conv2d(const Conv2dShape& s) {
  if (s.y_size() == 0 || conv2d_samples(s)) return {};
  ConvChannelsPlan plan{};
  ConvProduct c{};
  plan.dtype = s.dtype, plan.N = s.N, plan.groups = s.groups;
  plan.C = s.C / s.groups, plan.M = c.M = s.K / s.groups;
  c.D = plan.C * s.R * s.S, c.source.U = s.P, c.source.V = s.Q;
  const ConvAlgorithm algorithm = conv_algorithm(c, s.dtype, s.R * s.S > 1, true);
  plan.direct = algorithm == kConvDirect && s.stride_w == 1;
  if (algorithm != kConvChannels && !plan.direct) return {};
  plan.rows = {plan.C,
               s.H,
               s.W,
               -s.pad_top,
               0,
               -s.pad_left,
               (s.Q - 1) * s.stride_w + (s.S - 1) * s.dil_w + 1};
  set_blocks(plan, s.P, s.stride_h, (s.R - 1) * s.dil_h + 1);
  for (int64_t i = 0; i < plan.C; ++i)
    for (int64_t r = 0; r < s.R; ++r)
      for (int64_t t = 0; t < s.S; ++t)
        plan.offsets.push_back(place(plan, i, r * s.dil_h, t * s.dil_w));
  c.source.row = place(plan, 0, s.stride_h, 0), c.source.step = place(plan, 0, 0, s.stride_w);
  c.out_image = s.K * s.P * s.Q, c.out_channel = s.P * s.Q, c.out_group = plan.M * c.out_channel;
  c.out_row = s.Q, c.out_col = 1;
  c.relu = s.relu;
  plan.weights = {plan.M * c.D, c.D, nullptr};
  plan.joined = 1;
  add_product(plan, c, 0);
  return plan;
}

std::optional<ConvChannelsPlan> plan_channels_conv_transpose2d(const Conv2dShape& s) {
  if (s.x_size() == 0) return {};
  const auto rows = stride_phases(s.stride_h, s.dil_h, s.R, s.pad_top, s.H);
  const auto cols = stride_phases(s.stride_w, s.dil_w, s.S, s.pad_left, s.W);
  if (cols.size() > kConvPhases) return {};
  ConvChannelsPlan plan{};
  plan.dtype = s.dtype, plan.N = s.N, plan.groups = s.groups;
  plan.C = s.K / s.groups, plan.M = s.C / s.groups;
  const int64_t taps = s.R * s.S;
  ConvProduct first{};
  first.M = plan.M, first.D = ceil_div(plan.C * taps, s.stride_h * s.stride_w);
  first.source.U = rows[0].count, first.source.V = cols[0].count;
  first.out_col = static_cast<int64_t>(cols.size());
  const ConvAlgorithm algorithm =
      conv_algorithm(first, s.dtype, taps > 1 && !conv2d_tiles_images(s), true);
  plan.direct = algorithm == kConvDirect;
  if (algorithm != kConvChannels && !plan.direct) return {};
  ConvLanes& copy = plan.rows;
  copy.H = s.P, copy.W = s.Q;
  int64_t span = 0;
  std::vector<StridePhase> whole = rows;  // a task's rows of pixels may be as many of each phase
  for (StridePhase& row : whole) row.count = rows[0].count;
  phases_extent(whole, &copy.first_row, &span);
  phases_extent(cols, &copy.first_col, &copy.width);
  set_blocks(plan, rows[0].count, 1, span - (rows[0].count - 1));
  for (const StridePhase& row : rows)
    for (const StridePhase& col : cols) {
      ConvProduct c{};
      for (int64_t k = 0; k < plan.C; ++k)
        for (size_t i = 0; i < row.taps.size(); ++i)
          for (size_t j = 0; j < col.taps.size(); ++j, ++c.D) {
            plan.offsets.push_back(place(plan, k, row.begin - row.shifts[i] - copy.first_row,
                                         col.begin - col.shifts[j] - copy.first_col));
            plan.weight_offsets.push_back(k * plan.M * taps + row.taps[i] * s.S + col.taps[j]);
          }
      c.source.U = row.count, c.source.V = col.count;
      c.source.row = place(plan, 0, 1, 0), c.source.step = place(plan, 0, 0, 1);
      c.out_image = s.C * s.H * s.W, c.out_channel = s.H * s.W;
      c.out_group = plan.M * c.out_channel;
      c.out_row = s.stride_h * s.W, c.out_col = s.stride_w;
      c.relu = s.relu;
      add_product(plan, c, row.first * s.W + col.first);
    }
  plan.weights = {plan.C * plan.M * taps, taps, nullptr};
  plan.joined = plan.direct ? 1 : static_cast<int>(cols.size());
  return plan;
}

int64_t channels_workspace(const ConvChannelsPlan& plan) {
  return plan.packed_bytes + num_threads() * plan.copy_bytes;
}

namespace {

// The rows of `image`, of a group, that pixels from row u on read.
void copy_rows(const ConvChannelsPlan& plan, const char* image, int64_t u, char* copy) {
  const int type = plan.dtype == DType::float64;
  ConvLanes l = plan.rows;
  l.first_row += u * plan.row_step;
  if (plan.lanes) {
    conv_table().lanes[type](l, image, 0, l.vectors(conv_table().width[type]), copy);
  } else {
    const ConvCopy planes = {l.H, l.W, l.first_row, 1, 1, 1, l.rows, l.first_col, 1, 1, 1, l.width};
    conv_table().copy[type](planes, image, 0, plan.C, copy);
  }
}

}  // namespace

void run_channels(const ConvChannelsPlan& plan, const void* images, const void* w, const void* bias,
                  void* out, void* workspace) {
  const int type = plan.dtype == DType::float64;
  const int64_t size = size_of(plan.dtype);
  char* packed = static_cast<char*>(workspace);
  char* copies = packed + plan.packed_bytes;
  std::vector<ConvProduct> products = plan.products;
  const int64_t *offset = plan.offsets.data(), *weight_offset = plan.weight_offsets.data();
  double flops = 1;
  for (size_t f = 0; f < products.size(); ++f) {
    ConvProduct& c = products[f];
    c.source.offset = offset, offset += c.D;
    ConvWeights weights = plan.weights;
    if (!plan.weight_offsets.empty()) weights.offset = weight_offset, weight_offset += c.D;
    parallel_for(plan.groups * ceil_div(c.M, c.mr), kPackGrain / (c.mr * c.D + 1) + 1,
                 [&](int64_t begin, int64_t end) {
                   conv_table().pack[type](c, weights, w, begin, end,
                                           packed + plan.packed_first[f]);
                 });
    flops += 2.0 * static_cast<double>(plan.N * plan.groups * c.M * c.source.U * c.source.V) *
             static_cast<double>(c.D + 4);
  }
  const int64_t tasks = plan.N * plan.groups * plan.blocks * plan.channel_tasks;
  const auto grain = static_cast<int64_t>(kTaskFlops / flops * static_cast<double>(tasks)) + 1;
  const int64_t image_bytes = plan.C * plan.rows.H * plan.rows.W * size;  // of a group
  parallel_workers(tasks, effective_grain(grain), [&](int64_t begin, int64_t end, int worker) {
    char* copy = copies + worker * plan.copy_bytes;
    for (int64_t task = begin; task < end; ++task) {
      const int64_t part = task % plan.channel_tasks, block = task / plan.channel_tasks;
      const int64_t u = block % plan.blocks * plan.block, image = block / plan.blocks;
      const int64_t n = image / plan.groups;
      ConvBlock b{};
      b.group = image % plan.groups;
      b.m0 = part * plan.task_channels;
      b.m1 = std::min(b.m0 + plan.task_channels, plan.M);
      const char* from = static_cast<const char*>(images) + image * image_bytes;
      if (plan.in_place) {
        from +=
            ((plan.rows.first_row + u * plan.row_step) * plan.rows.W + plan.rows.first_col) * size;
      } else {
        if (part == 0 || task == begin) copy_rows(plan, from, u, copy);
        from = copy;
      }
      for (size_t f = 0; f < products.size(); f += static_cast<size_t>(plan.joined)) {
        const ConvProduct* phases[kConvPhases];
        const void* weights[kConvPhases];
        for (int i = 0; i < plan.joined; ++i) {
          const size_t at = f + static_cast<size_t>(i);
          phases[i] = &products[at], weights[i] = packed + plan.packed_first[at];
        }
        const ConvProduct& c = products[f];
        b.j1 = std::min(plan.block, c.source.U - u);
        const int64_t first = n * c.out_image + plan.out_first[f] + u * c.out_row;
        char* y = static_cast<char*>(out) + first * size;
        if (plan.direct)
          conv_table().direct[type](c, b, from, weights[0], bias, y);
        else
          conv_table().channels[type](phases, weights, plan.joined, b, from, bias, y);
      }
    }
  });
}

}  // namespace dlx

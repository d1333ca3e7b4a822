#include "ops/conv_images_weight.h"

#include <bit>

#include "core/cpu_features.h"
#include "core/view.h"
#include "ops/conv2d_plan.h"
#include "ops/conv_images_weight_table.h"

namespace dlx {

DLX_EACH_ISA(extern const ImagesWeightTable images_weight_table;)

namespace {

constexpr int64_t kStripPixels = 192;       // enough to pay for adding to the sums
constexpr int64_t kStripBytes = 512 << 10;  // of its copies: a quarter of L2
constexpr int64_t kSumsBytes = 128 << 10;   // of a piece: each strip adds to them
constexpr int64_t kPieces = 16;             // enough for the threads of a small machine
constexpr int64_t kPiecePixels = 384;       // least of a piece, and
constexpr double kPieceFlops = 4e5;         // 3 us
constexpr int64_t kSumGrain = 8192;         // vectors: 5 us
constexpr int64_t kLeastElements = 8;       // of x at a pixel: sums enough to hide an fma's latency

struct Plan {
  ImagesWeight product;  // of a strip and group
  ConvImages elements;   // x of a strip
  ConvOuterSums sums;
  bool pairs;
  int64_t strip, piece;             // images
  int64_t lanes_bytes, copy_bytes;  // of a worker
  int64_t sums_bytes;
  std::vector<int64_t> pixel, offset;
};

// Everything but the tables.
Plan make_plan(const Conv2dShape& s) {
  Plan plan{};
  const int64_t width = conv_table().width[s.dtype == DType::float64], size = size_of(s.dtype);
  const int64_t C = s.C / s.groups, K = s.K / s.groups, taps = s.R * s.S, pixels = s.P * s.Q;
  const int64_t rows = (s.P - 1) * s.stride_h + (s.R - 1) * s.dil_h + 1;  // that conv2d sees
  const int64_t cols = (s.Q - 1) * s.stride_w + (s.S - 1) * s.dil_w + 1;
  ConvImages& elements = plan.elements;
  elements.channels = s.C;
  elements.copy = {s.H, s.W, -s.pad_top, 1, 1, 1, rows, -s.pad_left, 1, 1, 1, cols};
  elements.copied = s.pad_top || s.pad_left || rows > s.H || cols > s.W;
  if (!elements.copied) elements.copy.rows = s.H, elements.copy.width = s.W;
  check_extents({s.C + s.K, elements.copy.rows, elements.copy.width, width},
                "conv2d_backward_weight: with its padding");
  plan.strip = std::clamp<int64_t>(kStripPixels / pixels, 1, s.N);
  elements.per_pass = plan.strip;
  ImagesWeight& p = plan.product;
  // A pair of neighbours beside one another where channels leave half of the lanes empty.
  plan.pairs = s.dtype == DType::float32 && 2 * K <= width && s.stride_w == 1 && s.Q % 2 == 0;
  p.K = K, p.plane = plan.pairs ? pixels / 2 : pixels, p.vectors = ceil_div(K, width);
  p.pitch = plan.strip * p.plane;
  p.taps = s.dil_w == 1 && (s.S == 3 || s.S == 4 || s.S == 5 || s.S == 7) ? s.S : 1;
  p.offsets = C * taps / p.taps;
  const auto flops = static_cast<double>(s.flops());
  const int64_t most = std::min({kPieces, ceil_div(s.N, plan.strip), s.N * pixels / kPiecePixels,
                                 static_cast<int64_t>(flops / kPieceFlops)});
  // A power of two, as threads mostly are.
  const auto pieces =
      static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(std::max<int64_t>(most, 1))));
  plan.piece = ceil_div(s.N, pieces);
  const int64_t sums = s.C * taps * p.vectors * width;
  plan.sums = {K, C, taps, ceil_div(s.N, plan.piece), sums, false};
  plan.sums_bytes = round_up(plan.sums.pieces * sums * size, 64);
  plan.lanes_bytes = p.vectors * p.pitch * width * size;
  plan.copy_bytes = round_up(elements.bytes(s.dtype), 64);
  return plan;
}

void make_tables(const Conv2dShape& s, Plan& plan) {
  const ConvCopy& copy = plan.elements.copy;
  plan.pixel.reserve(static_cast<size_t>(plan.product.pitch));
  for (int64_t n = 0; n < plan.strip; ++n)
    for (int64_t u = 0; u < s.P; ++u)
      for (int64_t v = 0; v < s.Q; v += plan.pairs ? 2 : 1)
        plan.pixel.push_back(n * plan.elements.image() + u * s.stride_h * copy.width +
                             v * s.stride_w);
  for (int64_t c = 0; c < s.C / s.groups; ++c)
    for (int64_t r = 0; r < s.R; ++r)
      for (int64_t t = 0; t < s.S; t += plan.product.taps)
        plan.offset.push_back(c * copy.plane() + r * s.dil_h * copy.width + t * s.dil_w);
  plan.product.pixel = plan.pixel.data(), plan.product.offset = plan.offset.data();
}

}  // namespace

bool images_weight_applies(const Conv2dShape& s) { return !conv2d_samples(s); }

bool images_weight_pays(const Conv2dShape& s) {
  const Plan plan = make_plan(s);
  const int64_t width = conv_table().width[s.dtype == DType::float64];
  const int64_t used = plan.product.K * (plan.pairs ? 2 : 1), C = plan.sums.C;
  return 4 * used >= 3 * plan.product.vectors * width && C * plan.sums.taps >= kLeastElements &&
         plan.product.taps > 1 && plan.sums.pieces >= 4 &&
         plan.lanes_bytes + plan.strip * plan.elements.image() * size_of(s.dtype) <= kStripBytes &&
         plan.sums_bytes / plan.sums.pieces <= kSumsBytes;
}

int64_t images_weight_workspace(const Conv2dShape& s) {
  const Plan plan = make_plan(s);
  return plan.sums_bytes + num_threads() * (plan.lanes_bytes + plan.copy_bytes);
}

void run_images_weight(const Conv2dShape& s, const void* x, const void* dy, void* dw,
                       void* workspace) {
  const ImagesWeightTable& table = DLX_SELECT_ISA(images_weight_table);
  const int type = s.dtype == DType::float64;
  const int64_t size = size_of(s.dtype), width = conv_table().width[type];
  Plan plan = make_plan(s);
  make_tables(s, plan);
  const ImagesWeight& p = plan.product;
  const ConvCopy& copy = plan.elements.copy;
  char* sums = static_cast<char*>(workspace);
  char* scratch = sums + plan.sums_bytes;
  const int64_t of_piece = plan.sums.piece, of_group = of_piece / s.groups;
  const int64_t x_image = s.C * s.H * s.W, dy_image = s.K * s.P * s.Q / (plan.pairs ? 2 : 1);
  const auto multiply = plan.pairs ? table.multiply_pairs : table.multiply[type];
  parallel_workers(plan.sums.pieces, 1, [&](int64_t begin, int64_t end, int worker) {
    char* lanes = scratch + worker * (plan.lanes_bytes + plan.copy_bytes);
    char* copies = lanes + plan.lanes_bytes;
    for (int64_t piece = begin; piece < end; ++piece) {
      const int64_t first = piece * plan.piece, last = std::min(first + plan.piece, s.N);
      for (int64_t n = first; n < last; n += plan.strip) {
        const int64_t count = std::min(plan.strip, last - n);
        const char* elements = static_cast<const char*>(x) + n * x_image * size;
        if (plan.elements.copied) {
          conv_table().copy[type](copy, elements, 0, count * s.C, copies);
          elements = copies;
        }
        for (int64_t g = 0; g < s.groups; ++g) {
          const char* of_dy = static_cast<const char*>(dy) + (n * s.K + g * p.K) * s.P * s.Q * size;
          table.lanes[plan.pairs ? 1 : type](p, count, of_dy, dy_image, lanes);
          multiply(p, count * p.plane, elements + g * plan.sums.C * copy.plane() * size, lanes,
                   n == first, sums + (piece * s.groups + g) * of_group * size);
        }
      }
      if (plan.pairs) table.add_pairs(of_piece / width, p.K, sums + piece * of_piece * size);
    }
  });
  parallel_for(of_piece / width, effective_grain(kSumGrain / (plan.sums.pieces + 4)),
               [&](int64_t begin, int64_t end) {
                 conv_table().outer_total[type](plan.sums, sums, begin, end, dw);
               });
}

}  // namespace dlx

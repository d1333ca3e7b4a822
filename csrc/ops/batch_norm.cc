#include "ops/batch_norm.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "core/choice.h"
#include "core/cpu_features.h"
#include "core/machine_limits.h"
#include "core/parallel.h"
#include "ops/batch_norm_cut.h"
#include "ops/norm_table.h"

namespace dlx {

DLX_EACH_ISA(extern const BatchNormTable batch_norm_table;)

namespace {

void check_parameter(const char* op, const char* what, const Array* p, const Array& x, int64_t C) {
  if (!p) return;
  DLX_CHECK_AS(TypeError, p->dtype == x.dtype, op, ": expected one dtype, got x ", x.dtype, " and ",
               what, " ", p->dtype);
  DLX_CHECK(p->shape == Dims{C}, op, ": ", what, " expects shape ", Dims{C},
            ", one per channel, got ", p->shape, "; x=", x.shape);
}

}  // namespace

BatchNormShape BatchNormShape::make(const char* op, const Array& x, const Array* gamma,
                                    const Array* beta, bool training, double eps) {
  DLX_CHECK_AS(TypeError, x.dtype == DType::float32 || x.dtype == DType::float64, op,
               ": expected float32 or float64, got ", x.dtype);
  DLX_CHECK(x.shape.ndim >= 2, op, ": expected x of shape (N, C, ...), got ", x.shape);
  BatchNormShape s{};
  s.dtype = x.dtype;
  s.N = x.shape[0], s.C = x.shape[1], s.L = 1;
  for (int i = 2; i < x.shape.ndim; ++i) s.L *= x.shape[i];
  check_parameter(op, "weight", gamma, x, s.C);
  check_parameter(op, "bias", beta, x, s.C);
  DLX_CHECK(!training || s.N * s.L != 1, op,
            ": training expects more than one value per channel, got one; x=", x.shape);
  s.has_gamma = gamma, s.has_beta = beta;
  s.training = training;
  s.eps = eps;
  return s;
}

void BatchNormShape::check_statistic(const char* op, const char* what, const Array& a,
                                     DType expected) const {
  DLX_CHECK_AS(TypeError, a.dtype == expected, op, ": expected ", what, " of ", expected, ", got ",
               a.dtype);
  DLX_CHECK(a.shape == Dims{C}, op, ": ", what, " expects shape ", Dims{C},
            ", one per channel, got ", a.shape);
}

namespace {

constexpr int64_t kGrain = 16384, kMostGrain = 262144;  // elements: 5-300 us
constexpr int kPerChannel = 4;                          // float64 numbers that the kernels keep

// The same sums in the same order, so that the results have the same bits. "planes": a pass over
// everything, then another one. "channels": both for one channel, which the second pass finds in
// the cache.
enum Algorithm { kPlanes, kChannels };
Choice choice("batch_norm", {"planes", "channels"});
constexpr int64_t kFewestChannels = 16;  // to have work for many threads
// Bytes that the second pass finds again: in L2, or in what of the last cache no other thread
// needs.
int64_t kept_bytes() { return std::max(core_cache_bytes(), cache_bytes() / (4 * num_threads())); }
// Bytes that are there still when the next op comes. Convolutions and pointwise ops share out
// images, not channels: a thread that takes channels gets half of its numbers from another core.
int64_t found_again() { return num_threads() > 1 ? cache_bytes() / 3 : 0; }

// Whether what sums are taken of is asked for ahead: planes lie apart.
Choice reads("batch_norm_reads", {"near", "far"});
// How the result is written: past the caches, where it would not stay in them.
Choice stores("batch_norm_result", {"cached", "streamed"});
bool streams(int64_t bytes) { return stores.pick(pays_to_stream(bytes), 0b11); }

bool channel_by_channel(const BatchNormShape& s, int arrays) {
  const int64_t bytes = s.N * s.L * size_of(s.dtype) * arrays;
  const bool fits = bytes <= kept_bytes() && s.C >= kFewestChannels && s.C * bytes > found_again();
  return choice.pick(fits ? kChannels : kPlanes, 1 << kPlanes | 1 << kChannels) == kChannels;
}

// A launch: its buffers in order, its table, its cut.
struct Call {
  const BatchNormShape& s;
  void* const* next;
  double* work;
  const BatchNormTable& table = DLX_SELECT_ISA(batch_norm_table);
  const BatchNormCut cut{s};
  const int t = s.dtype == DType::float64;
  const bool asks =
      cut.planes == 1 && reads.pick(pays_to_stream(4 * s.size() * size_of(s.dtype)), 0b11);

  Call(const void* shape, void* const* buffers, void* workspace)
      : s(*static_cast<const BatchNormShape*>(shape)),
        next(buffers),
        work(static_cast<double*>(workspace)) {}

  void* take() { return *next++; }
  void* take_if(bool there) { return there ? take() : nullptr; }
  double* partial(int i) const { return work + i * cut.sums(); }
  double* per_channel(int i) const { return work + 2 * cut.sums() + i * s.C; }

  char* at(const void* p, int64_t i) const {
    return static_cast<char*>(const_cast<void*>(p)) + i * size_of(s.dtype);
  }
  double read(const void* p, int64_t i) const {
    return t ? static_cast<const double*>(p)[i]
             : static_cast<double>(static_cast<const float*>(p)[i]);
  }
  void write(void* p, int64_t i, double v) const {
    if (t) {
      static_cast<double*>(p)[i] = v;
    } else {
      static_cast<float*>(p)[i] = static_cast<float>(v);
    }
  }

  // body(columns, element offset, index of its first sum) over the blocks of (N, C * L).
  template <class Body>
  void over_columns(const Body& body) const {
    const int64_t width = s.C * s.L, tiles = (width + kNormTile - 1) / kNormTile;
    const int64_t elements = std::clamp<int64_t>(s.N, 1, kRowsOfBlock) * kNormTile;
    parallel_for(cut.blocks * tiles, std::max<int64_t>(1, effective_grain(kGrain) / elements),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t u = begin; u < end; ++u) {
                     const int64_t block = u / tiles, first = u % tiles * kNormTile;
                     const int64_t row = block * kRowsOfBlock;
                     const NormColumns c{std::min(kRowsOfBlock, s.N - row),
                                         std::min(kNormTile, width - first), width, first, s.L};
                     body(c, row * width + first, block * width + first);
                   }
                 });
  }

  // body(block, channel, element offset, index of its sum) for a block of a channel. next: elements
  // from it to the one that comes after it, where that is asked for.
  template <class Body>
  void for_block(int64_t c, int64_t block, int64_t next, const Body& body) const {
    const int64_t n = block / cut.pieces * cut.planes, at = block % cut.pieces * cut.piece;
    const NormBlock b{std::min(cut.planes, s.N - n), std::min(cut.piece, s.L - at), s.C * s.L,
                      asks ? next : 0};
    body(b, c, (n * s.C + c) * s.L + at, c * cut.blocks + block);
  }

  // All blocks of channel c.
  template <class Body>
  void for_channel(int64_t c, const Body& body) const {
    const int64_t last = (cut.pieces - 1) * cut.piece;
    for (int64_t block = 0; block < cut.blocks; ++block) {
      const bool ends = block % cut.pieces == cut.pieces - 1;
      for_block(c, block, ends ? s.C * s.L - last : cut.piece, body);
    }
  }

  // Blocks [begin, end) of all channels, in the order of memory.
  template <class Body>
  void for_blocks(int64_t begin, int64_t end, const Body& body) const {
    for (int64_t u = begin; u < end; ++u) {
      const int64_t plane = u / cut.pieces, piece = u % cut.pieces;
      const bool ends = piece == cut.pieces - 1;
      for_block(plane % s.C, plane / s.C * cut.pieces + piece,
                ends ? s.L - piece * cut.piece : cut.piece, body);
    }
  }

  // sum as for_blocks, then finish(channel), then map(planes, begin, end) over the units of x. All
  // three for a channel of `arrays` at once, or one after the other for all channels.
  template <class Sum, class Finish, class Map>
  void over_planes(int arrays, const Sum& sum, const Finish& finish, const Map& map) const {
    const auto grain = [](int64_t elements) {
      return std::max<int64_t>(1, effective_grain(kGrain) / std::max<int64_t>(1, elements));
    };
    const bool past = streams((arrays + 1) * s.size() * size_of(s.dtype));
    if (channel_by_channel(s, arrays)) {
      return parallel_for(s.C, grain(s.N * s.L), [&](int64_t begin, int64_t end) {
        for (int64_t c = begin; c < end; ++c) {
          for_channel(c, sum);
          finish(c);
          map(NormPlanes{s.C, s.L, cut.piece, cut.pieces, c, s.C, past}, 0, s.N * cut.pieces);
        }
      });
    }
    parallel_for(s.C * cut.blocks, grain(cut.piece * std::min(cut.planes, s.N)),
                 [&](int64_t begin, int64_t end) { for_blocks(begin, end, sum); });
    over_channels(finish);
    over_units(past, map);
  }

  // map(planes, begin, end) over the units of x.
  template <class Map>
  void over_units(bool past, const Map& map) const {
    const NormPlanes planes{s.C, s.L, cut.piece, cut.pieces, 0, 1, past};
    const int64_t units = s.N * s.C * cut.pieces, piece = std::max<int64_t>(1, cut.piece);
    parallel_for(units, std::max<int64_t>(1, long_grain(units * piece, kGrain, kMostGrain) / piece),
                 [&](int64_t begin, int64_t end) { map(planes, begin, end); });
  }

  double total(const double* sums, int64_t c) const {
    const int64_t n = cut.sums_of_channel();
    if (!cut.columns && n >= kShort) return table.total(sums + cut.place(c, 0), n);
    double all = 0;
    for (int64_t i = 0; i < n; ++i) all += sums[cut.place(c, i)];
    return all;
  }
  // Of a channel; 1 for none, so that statistics and gradients of nothing are 0.
  double values() const { return static_cast<double>(std::max<int64_t>(1, s.N * s.L)); }

  template <class Body>
  void over_channels(const Body& body) const {
    parallel_for(s.C, std::max<int64_t>(1, effective_grain(4096) / (cut.sums_of_channel() + 16)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t c = begin; c < end; ++c) body(c);
                 });
  }

  void apply_columns(const void* x, const NormAffine& a, void* y) const {
    over_columns([&](const NormColumns& c, int64_t offset, int64_t) {
      NormAffine here = a;
      if (a.r) here.r = at(a.r, offset);
      table.affine_columns[t](c, at(x, offset), here, at(y, offset));
    });
  }

  // y from x alone, in one pass.
  void apply(const void* x, const NormAffine& affine, void* y) const {
    if (cut.columns) return apply_columns(x, affine, y);
    const bool past = streams(2 * s.size() * size_of(s.dtype));
    over_units(past, [&](const NormPlanes& p, int64_t begin, int64_t end) {
      table.affine[t](p, begin, end, x, affine, y);
    });
  }

  // What the pass over x needs of channel c.
  void set_affine(int64_t c, double rstd, const void* gamma, const void* beta) const {
    per_channel(0)[c] = rstd * (gamma ? read(gamma, c) : 1);
    per_channel(1)[c] = beta ? read(beta, c) : 0;
  }
  void statistics_of_channel(int64_t c, double* mean, double* var) const;
};

// Sums of squares about the means of blocks become one about the mean of all: Chan, Golub, LeVeque
// (1979), "Updating formulae and a pairwise algorithm for computing sample variances".
void Call::statistics_of_channel(int64_t c, double* mean, double* var) const {
  const double *sum = partial(0), *square = partial(1);
  mean[c] = total(sum, c) / values();
  double between = 0;
  for (int64_t i = 0; i < cut.sums_of_channel(); ++i) {
    const double n = cut.count(i), d = sum[cut.place(c, i)] / n - mean[c];
    between += n * d * d;
  }
  var[c] = (total(square, c) + between) / values();
}

}  // namespace

int64_t batch_norm_workspace(const void* shape) {
  const auto& s = *static_cast<const BatchNormShape*>(shape);
  return (2 * BatchNormCut(s).sums() + kPerChannel * s.C) * static_cast<int64_t>(sizeof(double));
}

namespace cpu {

void batch_norm(Ctx&, const void* shape, void* const* buffers, void* workspace) {
  Call call(shape, buffers, workspace);
  const BatchNormShape& s = call.s;
  const void *x = call.take(), *gamma = call.take_if(s.has_gamma), *beta = call.take_if(s.has_beta),
             *r = call.take_if(s.adds);
  void* y = call.take();
  auto *mean = static_cast<double*>(call.take()), *rstd = static_cast<double*>(call.take()),
       *var = static_cast<double*>(call.take());
  double *sum = call.partial(0), *square = call.partial(1);
  const NormAffine affine{mean, call.per_channel(0), call.per_channel(1), r, s.relu};
  const auto finish = [&](int64_t c) {
    call.statistics_of_channel(c, mean, var);
    rstd[c] = 1 / std::sqrt(var[c] + s.eps);
    call.set_affine(c, rstd[c], gamma, beta);
  };
  if (call.cut.columns) {
    call.over_columns([&](const NormColumns& c, int64_t offset, int64_t i) {
      call.table.moments_columns[call.t](c, call.at(x, offset), sum + i, square + i);
    });
    call.over_channels(finish);
    return call.apply_columns(x, affine, y);
  }
  call.over_planes(
      1,
      [&](const NormBlock& b, int64_t, int64_t offset, int64_t i) {
        call.table.moments[call.t](b, call.at(x, offset), sum + i, square + i);
      },
      finish,
      [&](const NormPlanes& p, int64_t begin, int64_t end) {
        call.table.affine[call.t](p, begin, end, x, affine, y);
      });
}

void batch_norm_apply(Ctx&, const void* shape, void* const* buffers, void* workspace) {
  Call call(shape, buffers, workspace);
  const BatchNormShape& s = call.s;
  const void *x = call.take(), *gamma = call.take_if(s.has_gamma), *beta = call.take_if(s.has_beta),
             *r = call.take_if(s.adds);
  const auto *mean = static_cast<const double*>(call.take()),
             *rstd = static_cast<const double*>(call.take());
  call.take();  // var
  for (int64_t c = 0; c < s.C; ++c) call.set_affine(c, rstd[c], gamma, beta);
  call.apply(x, {mean, call.per_channel(0), call.per_channel(1), r, s.relu}, call.take());
}

void batch_norm_inference(Ctx&, const void* shape, void* const* buffers, void* workspace) {
  Call call(shape, buffers, workspace);
  const BatchNormShape& s = call.s;
  const void *x = call.take(), *running_mean = call.take(), *running_var = call.take();
  const void *gamma = call.take_if(s.has_gamma), *beta = call.take_if(s.has_beta),
             *r = call.take_if(s.adds);
  double *scale = call.per_channel(0), *shift = call.per_channel(1), *mean = call.per_channel(2);
  for (int64_t c = 0; c < s.C; ++c) {
    mean[c] = call.read(running_mean, c);
    scale[c] = (gamma ? call.read(gamma, c) : 1) / std::sqrt(call.read(running_var, c) + s.eps);
    shift[c] = beta ? call.read(beta, c) : 0;
  }
  call.apply(x, {mean, scale, shift, r, s.relu}, call.take());
}

void batch_norm_backward(Ctx&, const void* shape, void* const* buffers, void* workspace) {
  Call call(shape, buffers, workspace);
  const BatchNormShape& s = call.s;
  const void *dy = call.take(), *x = call.take();
  const auto *mean = static_cast<const double*>(call.take()),
             *rstd = static_cast<const double*>(call.take());
  const void* gamma = call.take_if(s.has_gamma);
  void *dx = call.take(), *dgamma = call.take(), *dbeta = call.take();
  double *sum = call.partial(0), *product = call.partial(1);
  double *mean_dy = call.per_channel(0), *slope = call.per_channel(1), *scale = call.per_channel(2);

  const NormGradient gradient{mean, mean_dy, s.training ? slope : nullptr, scale, nullptr};
  const auto finish = [&](int64_t c) {
    const double dy_sum = call.total(sum, c), dy_d = call.total(product, c);
    call.write(dbeta, c, dy_sum);
    call.write(dgamma, c, dy_d * rstd[c]);
    mean_dy[c] = dy_sum / call.values();
    slope[c] = dy_d / call.values() * rstd[c] * rstd[c];
    scale[c] = rstd[c] * (gamma ? call.read(gamma, c) : 1);
  };
  if (call.cut.columns) {
    call.over_columns([&](const NormColumns& c, int64_t offset, int64_t i) {
      call.table.products_columns[call.t](c, call.at(dy, offset), call.at(x, offset), mean, sum + i,
                                          product + i);
    });
    call.over_channels(finish);
    return call.over_columns([&](const NormColumns& c, int64_t offset, int64_t) {
      call.table.gradient_columns[call.t](c, call.at(dy, offset), call.at(x, offset), gradient,
                                          call.at(dx, offset));
    });
  }
  call.over_planes(
      2,
      [&](const NormBlock& b, int64_t c, int64_t offset, int64_t i) {
        call.table.products[call.t](b, call.at(dy, offset), call.at(x, offset), mean[c], sum + i,
                                    product + i);
      },
      finish,
      [&](const NormPlanes& p, int64_t begin, int64_t end) {
        call.table.gradient[call.t](p, begin, end, dy, x, gradient, dx);
      });
}

}  // namespace cpu
}  // namespace dlx

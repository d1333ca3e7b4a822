#include "ops/group_norm.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "core/choice.h"
#include "core/cpu_features.h"
#include "core/machine_limits.h"
#include "core/parallel.h"
#include "ops/norm_table.h"

namespace dlx {

DLX_EACH_ISA(extern const BatchNormTable batch_norm_table;)

namespace {

void check_parameter(const char* op, const char* what, const Array* p, const Array& x) {
  if (!p) return;
  DLX_CHECK_AS(TypeError, p->dtype == x.dtype, op, ": expected one dtype, got x ", x.dtype, " and ",
               what, " ", p->dtype);
  DLX_CHECK(p->shape == Dims{x.shape[1]}, op, ": ", what, " expects shape ", Dims{x.shape[1]},
            ", one per channel, got ", p->shape, "; x=", x.shape);
}

}  // namespace

GroupNormShape GroupNormShape::make(const char* op, const Array& x, int64_t groups,
                                    const Array* gamma, const Array* beta, double eps) {
  DLX_CHECK_AS(TypeError, x.dtype == DType::float32 || x.dtype == DType::float64, op,
               ": expected float32 or float64, got ", x.dtype);
  DLX_CHECK(x.shape.ndim >= 2 && groups >= 1 && x.shape[1] % groups == 0, op,
            ": expected x of shape (N, C, ...), C a multiple of ", groups, ", got ", x.shape);
  check_parameter(op, "weight", gamma, x);
  check_parameter(op, "bias", beta, x);
  GroupNormShape s{};
  s.dtype = x.dtype;
  s.N = x.shape[0], s.C = x.shape[1], s.L = 1, s.G = groups;
  for (int i = 2; i < x.shape.ndim; ++i) s.L *= x.shape[i];
  DLX_CHECK(s.L > 0, op, ": expected channels of at least one value, got ", x.shape);
  s.has_gamma = gamma, s.has_beta = beta;
  s.eps = eps;
  return s;
}

namespace {

constexpr int64_t kGrain = 16384, kMostGrain = 262144;  // elements: 5-100 us
constexpr int64_t kPiece = 16384;                       // elements that one sum has at most
constexpr int64_t kPlanes = 64;                         // whose numbers are made at a time

// n elements, as evenly as whole ones allow: a fixed part of the order of additions.
struct Pieces {
  int64_t n, count, length;  // the last one may be shorter
  explicit Pieces(int64_t n_) : n(n_), count((n + kPiece - 1) / kPiece), length(0) {
    if (n > 0) length = (n + count - 1) / count, count = (n + length - 1) / length;
  }
  int64_t size(int64_t i) const { return std::min(length, n - i * length); }
  // body(unit, vector, piece) for units [begin, end): pieces of vectors, one after the other.
  template <class Body>
  void over(int64_t begin, int64_t end, const Body& body) const {
    if (begin == end) return;
    int64_t vector = begin / count, i = begin % count;
    for (int64_t u = begin; u < end; ++u) {
      body(u, vector, i);
      if (++i == count) ++vector, i = 0;
    }
  }
};

// The same sums in the same order, so that the results have the same bits. "passes": one over
// everything, then another. "groups": both for one group, which the second finds in the cache.
enum Algorithm { kPasses, kGroups };
Choice choice("group_norm", {"passes", "groups"});
constexpr int64_t kFewestGroups = 16;  // to have work for many threads
// Elements that wait in L1: with several groups the processor overlaps the ends of their sums.
constexpr int64_t kAtOnce = 2048;
// How the result is written: past the caches, where it would not stay in them.
Choice stores("group_norm_result", {"cached", "streamed"});

struct Call {
  const GroupNormShape& s;
  void* const* next;
  const BatchNormTable& table = DLX_SELECT_ISA(batch_norm_table);
  const Pieces of_plane{s.L};
  const int t = s.dtype == DType::float64;

  Call(const void* shape, void* const* buffers)
      : s(*static_cast<const GroupNormShape*>(shape)), next(buffers) {}

  void* take() { return *next++; }
  void* take_if(bool there) { return there ? take() : nullptr; }
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

  // sum(begin, end) of sums, `sums` for each group; finish(group); map(begin, end, past the
  // caches) of pieces of planes.
  template <class Sum, class Finish, class Map>
  void run(int arrays, int64_t sums, const Sum& sum, const Finish& finish, const Map& map) const {
    const auto grain = [](int64_t elements) {
      return std::max<int64_t>(1, effective_grain(kGrain) / std::max<int64_t>(1, elements));
    };
    const int64_t units = s.channels() * of_plane.count, bytes = s.D() * size_of(s.dtype) * arrays;
    const bool past = stores.pick(pays_to_stream((arrays + 1) * s.size() * size_of(s.dtype)), 0b11);
    const bool keeps = bytes <= core_cache_bytes() && s.rows() >= kFewestGroups;
    if (choice.pick(keeps ? kGroups : kPasses, 0b11) == kGroups) {
      const int64_t at_once = std::max<int64_t>(1, kAtOnce / std::max<int64_t>(1, s.D()));
      return parallel_for(s.rows(), grain(s.D()), [&](int64_t begin, int64_t end) {
        for (int64_t first = begin; first < end; first += at_once) {
          const int64_t last = std::min(end, first + at_once);
          sum(first * sums, last * sums);
          for (int64_t r = first; r < last; ++r) finish(r);
          map(first * units, last * units, past);
        }
      });
    }
    parallel_for(s.rows() * sums, grain(s.D() / std::max<int64_t>(1, sums)), sum);
    parallel_for(s.rows(), grain(16 * sums), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) finish(r);
    });
    const int64_t piece = of_plane.length;
    parallel_for(s.rows() * units,
                 std::max<int64_t>(1, long_grain(s.size(), kGrain, kMostGrain) / piece),
                 [&](int64_t begin, int64_t end) { map(begin, end, past); });
  }

  // body(planes, begin, end, plane): units of up to kPlanes planes, the first of which is `plane`.
  template <class Body>
  void over_planes(int64_t begin, int64_t end, bool past, const Body& body) const {
    while (begin < end) {
      const int64_t plane = begin / of_plane.count, first = plane * of_plane.count;
      const int64_t planes = std::min(kPlanes, (end - 1) / of_plane.count + 1 - plane);
      const int64_t stop = std::min(end, first + planes * of_plane.count);
      body(NormPlanes{planes, s.L, of_plane.length, of_plane.count, 0, 1, past}, begin - first,
           stop - first, plane);
      begin = stop;
    }
  }
  // body(i, row, channel) for planes plane + i, i < count: what they are of.
  template <class Body>
  void over_channels(int64_t plane, int64_t count, const Body& body) const {
    const int64_t of_group = s.channels();
    if (count == 0) return;  // perhaps of no channels
    int64_t row = plane / of_group, c = plane % s.C, left = (row + 1) * of_group - plane;
    for (int64_t i = 0; i < count; ++i) {
      body(i, row, c);
      if (++c == s.C) c = 0;
      if (--left == 0) ++row, left = of_group;
    }
  }
};

double total(const double* x, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += x[i];
  return sum;
}

}  // namespace

int64_t group_norm_workspace(const void* shape) {
  const auto& s = *static_cast<const GroupNormShape*>(shape);
  return 2 * s.rows() * Pieces(s.D()).count * static_cast<int64_t>(sizeof(double));
}

int64_t group_norm_backward_workspace(const void* shape) {
  const auto& s = *static_cast<const GroupNormShape*>(shape);
  const int64_t sums = s.planes() * Pieces(s.L).count;
  return 2 * (sums + s.rows()) * static_cast<int64_t>(sizeof(double));
}

namespace cpu {

void group_norm(Ctx&, const void* shape, void* const* buffers, void* workspace) {
  Call call(shape, buffers);
  const GroupNormShape& s = call.s;
  const void *x = call.take(), *gamma = call.take_if(s.has_gamma), *beta = call.take_if(s.has_beta);
  void* y = call.take();
  auto *mean = static_cast<double*>(call.take()), *rstd = static_cast<double*>(call.take());
  const Pieces pieces(s.D());
  auto *sum = static_cast<double*>(workspace), *square = sum + s.rows() * pieces.count;

  const auto sum_up = [&](int64_t begin, int64_t end) {
    pieces.over(begin, end, [&](int64_t u, int64_t row, int64_t i) {
      const int64_t n = pieces.size(i);
      const void* from = call.at(x, row * s.D() + i * pieces.length);
      call.table.moments[call.t]({1, n, 0, n}, from, sum + u, square + u);
    });
  };
  // Chan, Golub, LeVeque (1979), as for batch_norm.
  const auto finish = [&](int64_t row) {
    const double* of = sum + row * pieces.count;
    mean[row] = total(of, pieces.count) / s.values();
    double squares = total(square + row * pieces.count, pieces.count);
    for (int64_t i = 0; i < pieces.count; ++i) {
      const auto n = static_cast<double>(pieces.size(i));
      const double d = of[i] / n - mean[row];
      squares += n * d * d;
    }
    rstd[row] = 1 / std::sqrt(squares / s.values() + s.eps);
  };
  call.run(1, pieces.count, sum_up, finish, [&](int64_t from, int64_t to, bool past) {
    call.over_planes(from, to, past, [&](const NormPlanes& p, int64_t b, int64_t e, int64_t plane) {
      double means[kPlanes], scale[kPlanes], shift[kPlanes];
      call.over_channels(plane, p.channels, [&](int64_t i, int64_t row, int64_t c) {
        means[i] = mean[row];
        scale[i] = rstd[row] * (gamma ? call.read(gamma, c) : 1);
        shift[i] = beta ? call.read(beta, c) : 0;
      });
      const NormAffine affine{means, scale, shift, nullptr, false};
      call.table.affine[call.t](p, b, e, call.at(x, plane * s.L), affine, call.at(y, plane * s.L));
    });
  });
}

void group_norm_backward(Ctx&, const void* shape, void* const* buffers, void* workspace) {
  Call call(shape, buffers);
  const GroupNormShape& s = call.s;
  const void *dy = call.take(), *x = call.take();
  const auto *mean = static_cast<const double*>(call.take()),
             *rstd = static_cast<const double*>(call.take());
  const void* gamma = call.take_if(s.has_gamma);
  void *dx = call.take(), *dgamma = call.take(), *dbeta = call.take();
  const Pieces& pieces = call.of_plane;
  auto *sum = static_cast<double*>(workspace), *product = sum + s.planes() * pieces.count,
       *mean_g = product + s.planes() * pieces.count, *slope = mean_g + s.rows();
  const auto weight = [&](int64_t c) { return gamma ? call.read(gamma, c) : 1; };

  const auto sum_up = [&](int64_t begin, int64_t end) {
    pieces.over(begin, end, [&](int64_t u, int64_t plane, int64_t i) {
      const int64_t from = plane * s.L + i * pieces.length, n = pieces.size(i);
      call.table.products[call.t]({1, n, 0, n}, call.at(dy, from), call.at(x, from),
                                  mean[plane / s.channels()], sum + u, product + u);
    });
  };
  // The first sums of a plane become what it adds to dbeta and dgamma.
  const auto finish = [&](int64_t row) {
    double g = 0, g_d = 0;
    const int64_t first = row * s.channels();
    call.over_channels(first, s.channels(), [&](int64_t i, int64_t, int64_t c) {
      const int64_t at = (first + i) * pieces.count;
      const double dy_sum = total(sum + at, pieces.count), dy_d = total(product + at, pieces.count),
                   w = weight(c);
      sum[at] = dy_sum, product[at] = dy_d * rstd[row];
      g += w * dy_sum, g_d += w * dy_d;
    });
    mean_g[row] = g / s.values();
    slope[row] = g_d / s.values() * rstd[row] * rstd[row];
  };
  const int64_t sums = s.channels() * pieces.count;
  call.run(2, sums, sum_up, finish, [&](int64_t from, int64_t to, bool past) {
    call.over_planes(from, to, past, [&](const NormPlanes& p, int64_t b, int64_t e, int64_t plane) {
      double means[kPlanes], means_g[kPlanes], slopes[kPlanes], scale[kPlanes], weights[kPlanes];
      call.over_channels(plane, p.channels, [&](int64_t i, int64_t row, int64_t c) {
        means[i] = mean[row], means_g[i] = mean_g[row], slopes[i] = slope[row];
        scale[i] = rstd[row], weights[i] = weight(c);
      });
      const int64_t at = plane * s.L;
      const NormGradient gradient{means, means_g, slopes, scale, weights};
      call.table.gradient[call.t](p, b, e, call.at(dy, at), call.at(x, at), gradient,
                                  call.at(dx, at));
    });
  });
  const int64_t grain = effective_grain(kGrain) / std::max<int64_t>(1, s.N);
  parallel_for(s.C, std::max<int64_t>(1, grain), [&](int64_t begin, int64_t end) {
    for (int64_t first = begin; first < end; first += kPlanes) {
      const int64_t count = std::min(kPlanes, end - first);
      double dgammas[kPlanes] = {}, dbetas[kPlanes] = {};
      for (int64_t n = 0; n < s.N; ++n) {
        for (int64_t j = 0; j < count; ++j) {
          const int64_t at = (n * s.C + first + j) * pieces.count;
          dgammas[j] += product[at], dbetas[j] += sum[at];
        }
      }
      for (int64_t j = 0; j < count; ++j) {
        call.write(dgamma, first + j, dgammas[j]);
        call.write(dbeta, first + j, dbetas[j]);
      }
    }
  });
}

}  // namespace cpu
}  // namespace dlx

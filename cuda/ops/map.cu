// Every row of pointwise.h, and the casts. Arrays that are dense and aligned, with numbers among
// them, are read 16 bytes a thread; anything else element by element.
#include <cstdint>
#include <type_traits>

#include "cuda/core/context.h"
#include "cuda/core/grid.h"
#include "cuda/core/pack.h"
#include "cuda/ops/map_row.h"

namespace dlx::cuda {
namespace {

struct Operands {
  const void* x[kMaxMapInputs];
  uint8_t scalars;  // bit k: operand k is a number, not an array
  uint64_t scalar[kMaxMapInputs];
};

// Operand k from offset `at` on, as what is computed on: an array's elements, or a number.
template <int k, int kCount, class T, class C = typename ComputeOf<T>::type>
__device__ Pack<C, kCount> load(const Operands& in, int64_t at) {
  Pack<C, kCount> run;
  if (!(in.scalars >> k & 1)) {
    const auto stored = read_run<kCount>(static_cast<const T*>(in.x[k]) + at);
#pragma unroll
    for (int i = 0; i < kCount; ++i) run.value[i] = widen(stored.value[i]);
  } else {
    for (C& x : run.value) x = from_bits<C>(in.scalar[k]);
  }
  return run;
}

// kCount elements of y, whose operands begin at these offsets.
template <class R, class S, int kCount>
__device__ auto map_run(const Operands& in, int64_t at1, int64_t at2, int64_t at3) {
  using E = Element<R, S>;
  const auto a = load<0, kCount, typename E::First>(in, at1);
  Pack<typename E::Compute, kCount> b{}, c{};
  if constexpr (E::inputs > 1) b = load<1, kCount, S>(in, at2);
  if constexpr (E::inputs > 2) c = load<2, kCount, S>(in, at3);
  Pack<typename E::Result, kCount> y;
#pragma unroll
  for (int k = 0; k < kCount; ++k) y.value[k] = E::of(a.value[k], b.value[k], c.value[k]);
  return y;
}

template <class R, class S>
__global__ void map_dense(int64_t n, Operands in, void* out) {
  constexpr int kCount = kAccessBytes / sizeof(S);
  auto* y = static_cast<typename Element<R, S>::Result*>(out);
  for_each_item(n / kCount, [&](int64_t i) {
    const int64_t at = i * kCount;
    write_run(y + at, map_run<R, S, kCount>(in, at, at, at));
  });
  const int64_t rest = n % kCount;
  for_each_item(rest, [&](int64_t i) {
    const int64_t at = n - rest + i;
    write_run(y + at, map_run<R, S, 1>(in, at, at, at));
  });
}

template <class R, class S>
__global__ void map_strided(MapShape s, Operands in, void* out, int64_t n) {
  constexpr int kInputs = Element<R, S>::inputs;
  auto* y = static_cast<typename Element<R, S>::Result*>(out);
  for_each_item(n, [&](int64_t i) {
    int64_t offset[kMaxMapInputs] = {}, rest = i;
    for (int d = s.ndim - 1; d >= 0; --d) {
      const int64_t at = rest % s.extent[d];
      rest /= s.extent[d];
      for (int k = 0; k < kInputs; ++k) offset[k] += at * s.stride[k][d];
    }
    write_run(y + i, map_run<R, S, 1>(in, offset[0], offset[1], offset[2]));
  });
}

template <class R, class S>
void launch_row(const MapShape& s, void* const* buffers, Stream stream) {
  constexpr int kInputs = Element<R, S>::inputs;
  const int64_t n = s.size();
  Operands in{{}, s.scalars, {}};
  void* y = buffers[kInputs];
  bool aligned = is_aligned(y);
  for (int k = 0; k < kInputs; ++k) {
    in.x[k] = buffers[k];
    in.scalar[k] = s.scalar[k];
    aligned = aligned && (s.scalars >> k & 1 || is_aligned(buffers[k]));
  }
  if (s.dense && aligned) {
    launch_grid<map_dense<R, S>>(blocks_for(n / (kAccessBytes / sizeof(S)) + 1), kBlockThreads, 0,
                                 stream, n, in, y);
  } else {
    launch_grid<map_strided<R, S>>(blocks_for(n), kBlockThreads, 0, stream, s, in, y, n);
  }
}

using Launcher = void (*)(const MapShape&, void* const*, Stream);
struct Launchers {
  Launcher of[kNumDTypes];
};

// Null where a row has no such elements.
template <class R>
constexpr Launchers launchers_of() {
  Launchers all{};
  const auto set = [&]<class S>(DType t, S) {
    if constexpr (is_row_of<R, S>()) all.of[static_cast<int>(t)] = launch_row<R, S>;
  };
  set(DType::float32, float{}), set(DType::float64, double{});
  set(DType::bfloat16, bfloat16_t{}), set(DType::float16, float16_t{});
  set(DType::int32, int32_t{}), set(DType::int64, int64_t{});
  set(DType::uint8, uint8_t{}), set(DType::boolean, bool{});
  return all;
}

template <class... R>
Launcher launcher(pointwise::RowList<R...>, int row, DType dtype) {
  static constexpr Launchers all[] = {launchers_of<R>()...};
  return all[row].of[static_cast<int>(dtype)];
}

// Of the wider ones, 16 bytes hold as many.
template <class From, class To>
constexpr int kCastCount = kAccessBytes / std::max(sizeof(From), sizeof(To));

// packs: of kCastCount elements each; the rest goes one by one.
template <class From, class To>
__global__ void cast_elements(const From* x, To* y, int64_t n, int64_t packs) {
  constexpr int kCount = kCastCount<From, To>;
  for_each_item(packs, [&](int64_t i) {
    const auto from = read_run<kCount>(x + i * kCount);
    Pack<To, kCount> to;
#pragma unroll
    for (int k = 0; k < kCount; ++k) to.value[k] = Narrow<To>::of(widen(from.value[k]));
    write_run(y + i * kCount, to);
  });
  const int64_t done = packs * kCount;
  for_each_item(n - done, [&](int64_t i) { y[done + i] = Narrow<To>::of(widen(x[done + i])); });
}

template <class From, class To>
void launch_cast(int64_t n, const From* x, To* y, Stream stream) {
  const int64_t packs = is_aligned(x) && is_aligned(y) ? n / kCastCount<From, To> : 0;
  launch_grid<cast_elements<From, To>>(blocks_for(packs ? packs : n), kBlockThreads, 0, stream, x,
                                       y, n, packs);
}

}  // namespace

void map(Ctx& ctx, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const MapShape*>(shape);
  if (s.size() == 0) return;
  launcher(pointwise::Rows{}, s.row, s.dtype)(s, buffers, context(ctx).stream);
}

void cast(Ctx& ctx, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const CastShape*>(shape);
  if (s.n == 0) return;
  with_dtype(s.from, [&]<class From>(From) {
    with_dtype(s.to, [&]<class To>(To) {
      if constexpr (!std::is_same_v<From, To>)  // that is a copy
        launch_cast(s.n, static_cast<const From*>(buffers[0]), static_cast<To*>(buffers[1]),
                    context(ctx).stream);
    });
  });
}

}  // namespace dlx::cuda

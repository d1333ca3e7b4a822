#include "cuda/ops/random_draw.h"
#include "ops/random.h"

namespace dlx::cuda {
namespace {

// Each makes the kCount elements of a Philox block from its four words.
template <class T>
struct Uniform {
  static constexpr int kCount = 4 / kWords<T>;
  T low, width, most;
  __device__ void operator()(const PhiloxBlock& words, T* y) const {
#pragma unroll
    for (int k = 0; k < kCount; ++k)
      y[k] = uniform_of(words.lane + k * kWords<T>, low, width, most);
  }
};

template <class T>
struct Normal {
  static constexpr int kCount = 4 / kWords<T>;
  T mean, std;
  __device__ void operator()(const PhiloxBlock& words, T* y) const {
#pragma unroll
    for (int k = 0; k < kCount; k += 2)
      normal_pair(words.lane + k * kWords<T>, mean, std, y[k], y[k + 1]);
  }
};

template <class T>
struct Integer {
  static constexpr int kCount = 2;
  RandomIntShape shape;
  __device__ void operator()(const PhiloxBlock& words, T* y) const {
#pragma unroll
    for (int k = 0; k < kCount; ++k)
      y[k] = static_cast<T>(shape.value_of(word64(words.lane + 2 * k)));
  }
};

// y: (n,)  start: (2,) {seed, offset}. A Philox block a thread, of numbers as C, stored as T.
template <class T, class C, class Draw>
__global__ void draw_elements(const uint64_t* start, int64_t n, Draw draw, bool aligned, T* y) {
  constexpr int kCount = Draw::kCount;
  const uint64_t seed = start[0], offset = start[1];
  for_each_item((n + kCount - 1) / kCount, [&](int64_t i) {
    C drawn[kCount];
    draw(philox(seed, offset + static_cast<uint64_t>(i)), drawn);
    Pack<T, kCount> run;
#pragma unroll
    for (int k = 0; k < kCount; ++k) run.value[k] = Narrow<T>::of(drawn[k]);
    const int64_t first = i * kCount, there = n - first;
    write_some(y + first, run, there, aligned && there >= kCount);
  });
}

// buffers: y, cell
template <class T, class C, class Draw>
void draw_all(Ctx& ctx, int64_t n, const Draw& draw, void* const* buffers, void* start) {
  const Stream stream = context(ctx).stream;
  const int64_t blocks = (n + Draw::kCount - 1) / Draw::kCount;
  advance(stream, buffers[1], static_cast<uint64_t>(blocks), start);
  if (n == 0) return;
  launch_grid<draw_elements<T, C, Draw>>(
      blocks_for(blocks), kBlockThreads, 0, stream, static_cast<const uint64_t*>(start), n, draw,
      are_aligned(buffers[0], buffers[0]), static_cast<T*>(buffers[0]));
}

// f(T{}) with the dtype's element type; half precision is drawn as float32 and rounded.
template <class F>
void with_floating(DType t, const F& f) {
  with_dtype(t, [&]<class T>(T) {
    if constexpr (std::is_floating_point_v<typename ComputeOf<T>::type>) f(T{});
  });
}

}  // namespace

int64_t random_workspace(const void*) { return 2 * sizeof(uint64_t); }  // the cell before the draw

void random_uniform(Ctx& ctx, const void* shape, void* const* buffers, void* workspace) {
  const auto& s = *static_cast<const RandomUniformShape*>(shape);
  with_floating(s.dtype, [&]<class T>(T) {
    using C = typename ComputeOf<T>::type;
    const Uniform<C> draw{static_cast<C>(s.low), static_cast<C>(s.high - s.low),
                          static_cast<C>(s.last())};
    draw_all<T, C>(ctx, s.n, draw, buffers, workspace);
  });
}

void random_normal(Ctx& ctx, const void* shape, void* const* buffers, void* workspace) {
  const auto& s = *static_cast<const RandomNormalShape*>(shape);
  with_floating(s.dtype, [&]<class T>(T) {
    using C = typename ComputeOf<T>::type;
    const Normal<C> draw{static_cast<C>(s.mean), static_cast<C>(s.std)};
    draw_all<T, C>(ctx, s.n, draw, buffers, workspace);
  });
}

void random_int(Ctx& ctx, const void* shape, void* const* buffers, void* workspace) {
  const auto& s = *static_cast<const RandomIntShape*>(shape);
  const auto draw = [&]<class T>(T) {
    draw_all<T, T>(ctx, s.n, Integer<T>{s}, buffers, workspace);
  };
  if (s.dtype == DType::int64) return draw(int64_t{});
  if (s.dtype == DType::int32) return draw(int32_t{});
  draw(uint8_t{});
}

namespace {

// The order that sorts n random words, by merging: every run of sorted keys is twice as long after
// each launch. A key's place in the union of two runs is its place in its own plus the number of
// smaller keys in the other, found by bisection; keys are distinct, by their indices.
constexpr int kTile = kBlockThreads;  // keys that a block sorts

// Draws the keys; a thread counts the smaller ones of its tile.
__global__ void sort_tiles(const uint64_t* start, int64_t n, RandomKey* y) {
  DLX_SHARED(RandomKey, tile, [kTile]);
  const uint64_t seed = start[0], offset = start[1];
  for (int64_t first = int64_t{blockIdx.x} * kTile; first < n;
       first += int64_t{gridDim.x} * kTile) {
    const int64_t i = first + threadIdx.x, count = n - first < kTile ? n - first : kTile;
    const PhiloxBlock words = philox(seed, offset + static_cast<uint64_t>(i / 2));
    const RandomKey mine{word64(words.lane + i % 2 * 2), i};
    __syncthreads();  // nobody reads the tile before
    tile[threadIdx.x] = mine;
    __syncthreads();
    int rank = 0;
    for (int k = 0; k < count; ++k) rank += tile[k] < mine;
    if (i < n) y[first + rank] = mine;
  }
}

// x: (n,), sorted in runs of `run`  y: (n,), of 2 run
__global__ void merge_runs(int64_t n, int64_t run, const RandomKey* __restrict__ x,
                           RandomKey* __restrict__ y) {
  for_each_item(n, [&](int64_t i) {
    const RandomKey mine = x[i];
    const int64_t pair = i - i % (2 * run), middle = pair + run < n ? pair + run : n;
    const int64_t end = pair + 2 * run < n ? pair + 2 * run : n;
    const bool left = i < middle;
    int64_t low = left ? middle : pair, high = left ? end : middle;  // of the other run
    const int64_t its_first = low;
    while (low < high) {
      const int64_t half = low + (high - low) / 2;
      if (x[half] < mine) {
        low = half + 1;
      } else {
        high = half;
      }
    }
    y[i - (left ? 0 : run) + (low - its_first)] = mine;
  });
}

__global__ void take_indices(int64_t n, const RandomKey* x, int64_t* y) {
  for_each_item(n, [&](int64_t i) { y[i] = x[i].index; });
}

constexpr int64_t kStartBytes = 16;

}  // namespace

// The cell before the draw, then keys that are merged from one array into another and back.
int64_t random_permutation_workspace(const void* shape) {
  const int64_t n = static_cast<const RandomPermutationShape*>(shape)->n;
  return kStartBytes + 2 * n * static_cast<int64_t>(sizeof(RandomKey));
}

// y: (n,) int64  cell: (2,) int64
void random_permutation(Ctx& ctx, const void* shape, void* const* buffers, void* workspace) {
  const int64_t n = static_cast<const RandomPermutationShape*>(shape)->n;
  const Stream stream = context(ctx).stream;
  advance(stream, buffers[1], random_blocks(n, 8), workspace);
  if (n == 0) return;
  auto* keys = reinterpret_cast<RandomKey*>(static_cast<char*>(workspace) + kStartBytes);
  RandomKey* other = keys + n;
  launch_grid<sort_tiles>(blocks_for(n), kTile, 0, stream, static_cast<const uint64_t*>(workspace),
                          n, keys);
  for (int64_t run = kTile; run < n; run *= 2) {
    launch_grid<merge_runs>(blocks_for(n), kBlockThreads, 0, stream, n, run, keys, other);
    std::swap(keys, other);
  }
  launch_grid<take_indices>(blocks_for(n), kBlockThreads, 0, stream, n, keys,
                            static_cast<int64_t*>(buffers[0]));
}

}  // namespace dlx::cuda

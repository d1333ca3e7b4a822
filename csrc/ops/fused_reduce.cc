#include "ops/fused_reduce.h"

#include "core/machine_limits.h"
#include "ops/fused_loop.h"
#include "ops/reducer.h"

namespace dlx {
bool FusedReduceShape::is_worth_it() const {
  constexpr int64_t kFewest = 512;  // elements: fewer take longer than reading them again
  const bool one_pass = reduce.kind == Reduction::sum || reduce.kind == Reduction::mean ||
                        reduce.kind == Reduction::max || reduce.kind == Reduction::min;
  if (!one_pass || fused.n == 0) return false;
  const ReduceDims& d = reduce.all;  // that of a whole x may have any stride: it is one element
  const int64_t run = d.extent[d.ndim - 1];
  return run == fused.n || (d.stride[d.ndim - 1] == 1 && run >= kFewest);
}

std::string FusedReduceShape::text() const {
  std::string all = fused.text();
  all.pop_back();
  return all + ", " + kReductionName[static_cast<int>(reduce.kind)] + ")";
}

Cost FusedReduceShape::cost() const {
  Cost all = fused.cost();
  all.flops += fused.n;
  all.bytes += reduce.outputs * size_of(reduce.output_dtype());
  return all;
}

int64_t fused_reduce_workspace(const void* shape) {
  return reduce_workspace(&static_cast<const FusedReduceShape*>(shape)->reduce);
}

namespace cpu {
namespace {

// x as it is made: a block of rows at a time, and reduced there.
struct Made {
  const FusedReduceShape& shape;
  const FusedLoop& loop;

  int64_t columns() const { return 0; }

  class Reader {
   public:
    explicit Reader(const Made& x)
        : s_(x.shape.reduce),
          step_(x.shape.reduced),
          width_(size_of(s_.dtype)),
          worker_(x.loop, std::min(x.shape.fused.n, kReduceChunk)) {}

    void chunk(const ReduceKernel& kernel, int64_t chunk, int64_t first, int64_t n, const double*,
               ReduceState* state) {
      const int64_t at = chunk * kReduceChunk, len = chunk_length(s_, chunk);
      const int64_t rows = len == s_.count ? kReduceChunk / len : 1;
      for (int64_t i = 0; i < n; i += rows) {
        const int64_t some = std::min(rows, n - i);
        make((first + i) * s_.count + at, some * len);
        const bool half = is_half(s_.dtype);
        if (half) widen(s_.dtype, made_, wide_, some * len);
        kernel.rows(half ? wide_ : made_, len, some, len, nullptr, state + i);
      }
    }

    void chunks(const ReduceKernel& kernel, int64_t from, int64_t n, int64_t output,
                const double* centre, ReduceState* state) {
      for (int64_t i = 0; i < n; ++i) chunk(kernel, from + i, output, 1, centre, state + i);
    }

    void rows(ReduceRowsTable::Rows f, int64_t first, int64_t n, double divisor, char* y) {
      const int64_t rows = kReduceChunk / s_.count;
      for (int64_t i = 0; i < n; i += rows) {
        const int64_t some = std::min(rows, n - i);
        make((first + i) * s_.count, some * s_.count);
        f(made_, s_.count, some, s_.count, divisor, y + (first + i) * width_);
      }
    }

   private:
    // Elements [begin, begin + n), one output after the other.
    void make(int64_t begin, int64_t n) {
      walk_runs(s_.all, begin, n, [&](int64_t offset, int64_t, int64_t done, int64_t run) {
        worker_.run(offset, offset + run, step_, made_ + done * width_);
      });
    }

    const ReduceShape& s_;
    const int step_;
    const int64_t width_;
    FusedLoop::Worker worker_;
    alignas(64) char made_[kReduceChunk * 8], wide_[kReduceChunk * 4];
  };
};

}  // namespace

void fused_reduce(Ctx&, const void* shape, void* const* buffers, void* workspace) {
  const auto& s = *static_cast<const FusedReduceShape*>(shape);
  const FusedLoop loop(s.fused, buffers, pays_to_stream_a_pass(s.cost().bytes));
  const Made x{s, loop};
  const Reducer reducer(s.reduce, x, buffers[s.fused.inputs + s.fused.outputs]);
  if (const ReduceRowsTable::Rows rows = rows_function(s.reduce)) {
    reducer.run_rows(rows);
  } else {
    reducer.run(workspace);
  }
}

}  // namespace cpu
}  // namespace dlx

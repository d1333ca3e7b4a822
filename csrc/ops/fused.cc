#include "ops/fused.h"

#include <algorithm>

#include "core/check.h"
#include "core/machine_limits.h"
#include "core/parallel.h"
#include "ops/map_operands.h"

namespace dlx {
namespace {

// The blocks of a range: of results, of the operands of the step at hand, its raw and its wide
// values, then one for each operand that repeats itself; equal numbers share one.
struct Blocks {
  int operand[kMaxFusedSteps][kMaxMapInputs];
  int raw, wide, count;

  explicit Blocks(const FusedShape& s) : raw(s.blocks + kMaxMapInputs), wide(raw + 1) {
    count = wide + 1;
    for (int i = 0; i < s.steps; ++i)
      for (int k = 0; k < s.step[i].operands; ++k) {
        operand[i][k] = s.blocks + k;
        if (repeats(s.step[i], k) && !shares(s, i, k)) operand[i][k] = count++;
      }
  }

 private:
  static bool repeats(const FusedStep& step, int k) {
    return !step.is_cast && step.step[k] < 0 && OperandLayout(step.map, k).period;
  }
  bool shares(const FusedShape& s, int i, int k) {
    const auto is_number = [&](int j, int l) {
      return !s.step[j].is_cast && s.step[j].map.scalars >> l & 1;
    };
    if (!is_number(i, k)) return false;
    for (int j = 0; j < i; ++j)
      for (int l = 0; l < s.step[j].operands; ++l)
        if (is_number(j, l) && s.step[j].map.dtype == s.step[i].map.dtype &&
            s.step[j].map.scalar[l] == s.step[i].map.scalar[k]) {
          operand[i][k] = operand[j][l];
          return true;
        }
    return false;
  }
};

}  // namespace

int64_t FusedShape::scratch() const { return Blocks(*this).count * kMapBlockBytes; }

std::string FusedShape::text() const {
  std::string all;
  for (int i = 0; i < steps; ++i)
    all += message(i ? ", " : "fused(", step[i].is_cast ? "cast" : step[i].map.info().name);
  return all + ")";
}

Cost FusedShape::cost() const {
  Cost all;
  int64_t read[kMaxFusedArrays] = {};
  for (int i = 0; i < steps; ++i) {
    const FusedStep& s = step[i];
    if (!s.is_cast) all.flops += n * s.map.info().flops;
    if (s.stored >= 0) all.bytes += n * size_of(s.to);
    for (int k = 0; k < s.operands; ++k) {
      if (s.array[k] < 0) continue;
      int64_t elements = 1;  // a broadcast operand is read once
      if (s.is_cast) elements = n;
      for (int d = 0; d < s.map.ndim; ++d) elements *= s.map.stride[k][d] ? s.map.extent[d] : 1;
      const DType dtype = s.is_cast ? s.map.dtype : s.map.input_dtype(k);
      read[s.array[k]] = std::max(read[s.array[k]], elements * size_of(dtype));
    }
  }
  for (int64_t bytes : read) all.bytes += bytes;
  return all;
}

namespace cpu {
namespace {

constexpr int64_t kGrain = 32768;  // elements a chunk, as of map

struct FusedLoop {
  const FusedShape& s;
  void* const* buffers;
  const MapTable& table;
  const bool streams;

  const Blocks blocks;
  MapOperand operand[kMaxFusedSteps][kMaxMapInputs];

  FusedLoop(const FusedShape& shape, void* const* all_buffers, bool past_caches)
      : s(shape), buffers(all_buffers), table(map_table()), streams(past_caches), blocks(shape) {
    for (int i = 0; i < s.steps; ++i)
      for (int k = 0; k < s.step[i].operands; ++k)
        if (!s.step[i].is_cast) operand[i][k] = MapOperand(s.step[i].map, k);
  }

  void run(int64_t begin, int64_t end) const {
    alignas(64) char scratch[kFusedScratch];
    for (int i = 0; i < s.steps; ++i)
      for (int k = 0; k < s.step[i].operands; ++k)
        if (reads_memory(i, k))
          operand[i][k].prepare(array(i, k), end - begin, block(scratch, blocks.operand[i][k]));
    for (int64_t at = begin, n; at < end; at += n) {
      n = std::min(kMapBlock, end - at);
      for (int i = 0; i < s.steps; ++i)
        for (int k = 0; k < s.step[i].operands; ++k)
          if (reads_memory(i, k)) n = std::min(n, operand[i][k].most_at(at));
      run_block(at, n, scratch);
    }
    if (streams) table.end_stream();
  }

 private:
  static char* block(char* scratch, int i) { return scratch + i * kMapBlockBytes; }

  // An array, or a number; else the result of a step, or the operand of a cast.
  bool reads_memory(int i, int k) const { return !s.step[i].is_cast && s.step[i].step[k] < 0; }
  const void* array(int i, int k) const {
    const int8_t a = s.step[i].array[k];
    return a < 0 ? nullptr : buffers[a];
  }

  void run_block(int64_t at, int64_t n, char* scratch) const {
    const char* value[kMaxFusedSteps];
    for (int i = 0; i < s.steps; ++i) {
      const FusedStep& step = s.step[i];
      const void* in[kMaxMapInputs];
      for (int k = 0; k < step.operands; ++k) {
        char* own = block(scratch, blocks.operand[i][k]);
        if (reads_memory(i, k)) {
          in[k] = operand[i][k].load(array(i, k), at, n, block(scratch, blocks.raw), own);
        } else {
          in[k] = step.step[k] >= 0
                      ? value[step.step[k]]
                      : static_cast<const char*>(array(i, k)) + at * size_of(step.map.dtype);
          if (!step.is_cast) in[k] = operand[i][k].widened(in[k], n, own);
        }
      }
      char* y = block(scratch, step.block);
      char* stored = step.stored < 0 ? nullptr
                                     : static_cast<char*>(buffers[s.inputs + step.stored]) +
                                           at * size_of(step.to);
      if (stored && !streams) y = stored;
      compute(step, in, y, n, block(scratch, blocks.wide));
      value[i] = y;
      if (stored && streams) table.stream(y, stored, n * size_of(step.to));
    }
  }

  void compute(const FusedStep& step, const void* const* in, char* y, int64_t n, char* wide) const {
    if (step.is_cast) return convert(step.map.dtype, step.to, in[0], y, n);
    const DType compute = compute_dtype(step.map.dtype);
    const BlockFunction function = table.row[step.map.row].block[static_cast<int>(compute)];
    function(in, is_half(step.to) ? wide : y, n);
    if (is_half(step.to)) convert(compute, step.to, wide, y, n);
  }

  void convert(DType from, DType to, const void* x, void* y, int64_t n) const {
    table.convert[static_cast<int>(from)][static_cast<int>(to)](x, y, n);
  }
};

}  // namespace

void fused(Ctx&, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const FusedShape*>(shape);
  const bool streams = s.n > kGrain && pays_to_stream(s.cost().bytes);
  const FusedLoop loop(s, buffers, streams);
  parallel_for(s.n, effective_grain(kGrain),
               [&](int64_t begin, int64_t end) { loop.run(begin, end); });
}

}  // namespace cpu
}  // namespace dlx

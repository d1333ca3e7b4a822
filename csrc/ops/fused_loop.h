// The steps of a group of pointwise launches, block by block, each by the function of its own
// launch. Host code only.
#pragma once
#include <algorithm>
#include <cstring>

#include "ops/fused.h"
#include "ops/map_operands.h"

namespace dlx {

// The blocks of a range: of results, of the operands of the step at hand, its raw and its wide
// values, then one for each operand that repeats itself; equal numbers share one.
struct FusedBlocks {
  int operand[kMaxFusedSteps][kMaxMapInputs];
  int raw, wide, count;

  explicit FusedBlocks(const FusedShape& s) : raw(s.blocks + kMaxMapInputs), wide(raw + 1) {
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

namespace cpu {

class FusedLoop {
 public:
  // buffers: inputs, then outputs. streams: stores go past the caches.
  FusedLoop(const FusedShape& shape, void* const* buffers, bool streams)
      : s_(shape), buffers_(buffers), table_(map_table()), streams_(streams), blocks_(shape) {
    for (int i = 0; i < s_.steps; ++i)
      for (int k = 0; k < s_.step[i].operands; ++k)
        if (!s_.step[i].is_cast) operand_[i][k] = MapOperand(s_.step[i].map, k);
  }

  // What one thread computes, in ranges of at most `longest` elements.
  class Worker {
   public:
    Worker(const FusedLoop& loop, int64_t longest) : loop_(loop) {
      loop.for_each_in_memory([&](int i, int k, const MapOperand& x) {
        x.prepare(loop.array(i, k), longest, block(loop.blocks_.operand[i][k]));
      });
    }
    ~Worker() {
      if (loop_.streams_) loop_.table_.end_stream();
    }
    Worker(const Worker&) = delete;

    // Elements [begin, end). Those that step `seen` makes go to `values`, too.
    void run(int64_t begin, int64_t end, int seen = -1, char* values = nullptr) {
      for (int64_t at = begin, n; at < end; at += n) {
        n = std::min(kMapBlock, end - at);
        loop_.for_each_in_memory(
            [&](int, int, const MapOperand& x) { n = std::min(n, x.most_at(at)); });
        run_block(at, n, seen, values);
        if (seen >= 0) values += n * size_of(loop_.s_.step[seen].to);
      }
    }

   private:
    char* block(int i) { return scratch_ + i * kMapBlockBytes; }

    void run_block(int64_t at, int64_t n, int seen, char* values) {
      const FusedShape& s = loop_.s_;
      const char* value[kMaxFusedSteps];
      for (int i = 0; i < s.steps; ++i) {
        const FusedStep& step = s.step[i];
        const void* in[kMaxMapInputs];
        for (int k = 0; k < step.operands; ++k) in[k] = operand(i, k, at, n, value);
        const int64_t bytes = n * size_of(step.to);
        char* stored = step.stored < 0
                           ? nullptr
                           : static_cast<char*>(loop_.buffers_[s.inputs + step.stored]) +
                                 at * size_of(step.to);
        char* y = i == seen ? values : stored && !loop_.streams_ ? stored : block(step.block);
        loop_.compute(step, in, y, n, block(loop_.blocks_.wide));
        value[i] = y;
        if (!stored || stored == y) continue;
        if (loop_.streams_) {
          loop_.table_.stream(y, stored, bytes);
        } else {
          std::memcpy(stored, y, static_cast<size_t>(bytes));
        }
      }
    }

    const void* operand(int i, int k, int64_t at, int64_t n, const char* const* value) {
      const FusedStep& step = loop_.s_.step[i];
      const MapOperand& x = loop_.operand_[i][k];
      char* own = block(loop_.blocks_.operand[i][k]);
      if (loop_.reads_memory(i, k))
        return x.load(loop_.array(i, k), at, n, block(loop_.blocks_.raw), own);
      const char* dense = step.step[k] >= 0 ? value[step.step[k]]
                                            : static_cast<const char*>(loop_.array(i, k)) +
                                                  at * size_of(step.map.dtype);
      return step.is_cast ? dense : x.widened(dense, n, own);
    }

    const FusedLoop& loop_;
    alignas(64) char scratch_[kFusedScratch];
  };

 private:
  // An array, or a number; else the result of a step, or the operand of a cast.
  bool reads_memory(int i, int k) const { return !s_.step[i].is_cast && s_.step[i].step[k] < 0; }
  template <class Body>
  void for_each_in_memory(const Body& body) const {
    for (int i = 0; i < s_.steps; ++i)
      for (int k = 0; k < s_.step[i].operands; ++k)
        if (reads_memory(i, k)) body(i, k, operand_[i][k]);
  }
  const void* array(int i, int k) const {
    const int8_t a = s_.step[i].array[k];
    return a < 0 ? nullptr : buffers_[a];
  }

  void compute(const FusedStep& step, const void* const* in, char* y, int64_t n, char* wide) const {
    if (step.is_cast) return convert(step.map.dtype, step.to, in[0], y, n);
    const DType compute = compute_dtype(step.map.dtype);
    const BlockFunction function = table_.row[step.map.row].block[static_cast<int>(compute)];
    function(in, is_half(step.to) ? wide : y, n);
    if (is_half(step.to)) convert(compute, step.to, wide, y, n);
  }

  void convert(DType from, DType to, const void* x, void* y, int64_t n) const {
    table_.convert[static_cast<int>(from)][static_cast<int>(to)](x, y, n);
  }

  const FusedShape& s_;
  void* const* buffers_;
  const MapTable& table_;
  const bool streams_;
  const FusedBlocks blocks_;
  MapOperand operand_[kMaxFusedSteps][kMaxMapInputs];
};

}  // namespace cpu
}  // namespace dlx

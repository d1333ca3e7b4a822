// What comes after a launch becomes part of it, where its op can: a product or convolution, relu;
// batch norm, + residual, relu; the gradients of a pooling and of the relu before it.
#include <algorithm>
#include <optional>

#include "ops/map.h"
#include "ops/max_pool2d.h"
#include "program/passes.h"

namespace dlx {
namespace {

size_t at(int32_t i) { return static_cast<size_t>(i); }

class Epilogues {
 public:
  Epilogues(Record& record, const std::vector<bool>& kept)
      : record_(record), kept_(kept), uses_(uses_of(record)) {}

  void run() {
    std::vector<bool> gone(record_.calls.size());
    for (size_t i = 0; i < record_.calls.size(); ++i) gone[i] = absorbed(static_cast<int32_t>(i));
    std::vector<RecordedCall> calls;
    for (size_t i = 0; i < gone.size(); ++i)
      if (!gone[i]) calls.push_back(std::move(record_.calls[i]));
    record_.calls = std::move(calls);
  }

 private:
  RecordedCall& call(int32_t i) { return record_.calls[at(i)]; }
  MemoryUses& uses(const RecordedArray& a) { return uses_[at(a.memory)]; }

  std::optional<Epilogue> epilogue_of(const Op& op) const {
    if (&op == &relu_) return Epilogue::relu;
    if (&op == &add_) return Epilogue::add;
    if (&op == &relu_backward_) return Epilogue::relu_backward;
    return {};
  }

  // Launch i has become part of the one that makes its first operand.
  bool absorbed(int32_t i) {
    RecordedCall& next = call(i);
    if (next.op->kernels[0] != cpu::map) return false;
    const auto& map = *reinterpret_cast<const MapShape*>(next.shape.data());
    const std::optional<Epilogue> epilogue = epilogue_of(*next.op);
    if (!epilogue || map.scalars) return false;

    const RecordedArray x = next.arrays[0], y = next.arrays[next.inputs];
    const RecordedMemory& result = record_.memories[at(y.memory)];
    if (uses(x).writers.size() != 1 || uses(x).readers.size() != 1 || kept_[at(x.memory)] ||
        uses(y).writers.size() != 1 || result.older || result.from_host)
      return false;
    const int32_t before = uses(x).writers[0];
    RecordedCall& maker = call(before);
    const bool same = before < i && maker.op->absorb && maker.arrays[maker.inputs] == x &&
                      y.shape == x.shape && y.strides == x.strides && y.dtype == x.dtype;
    if (!same) return false;
    std::optional<RecordedArray> operand;  // one more input
    if (epilogue == Epilogue::add) operand = residual(next.arrays[1], x, before);
    if (epilogue == Epilogue::relu_backward) operand = maxima(next.arrays[1], maker);
    if (!operand && epilogue != Epilogue::relu) return false;
    if (!maker.op->absorb(maker.shape.data(), *epilogue)) return false;

    maker.arrays[maker.inputs] = y;
    uses(y).writers[0] = before;
    if (operand) {
      const auto place = static_cast<std::ptrdiff_t>(maker.inputs++);
      maker.arrays.insert(maker.arrays.begin() + place, *operand);
      std::erase(uses(next.arrays[1]).readers, i);
      uses(*operand).readers.push_back(before);
    }
    return true;
  }

  // r, if it lies as x does, and nobody writes it after launch `before`.
  std::optional<RecordedArray> residual(const RecordedArray& r, const RecordedArray& x,
                                        int32_t before) {
    const bool alike = r.shape == x.shape && r.strides == x.strides && r.dtype == x.dtype;
    if (!alike || r.memory == x.memory || !written_before(r, before)) return {};
    return r;
  }
  bool written_before(const RecordedArray& a, int32_t i) {
    const auto& writers = uses(a).writers;
    return std::all_of(writers.begin(), writers.end(), [&](int32_t writer) { return writer < i; });
  }

  // Of the launch of max_pool2d whose places `backward` reads, if it pooled x, which is as it was.
  std::optional<RecordedArray> maxima(const RecordedArray& x, const RecordedCall& backward) {
    if (backward.op != &ops::max_pool2d_backward) return {};
    const RecordedArray& places = backward.arrays[1];
    if (uses(places).writers.size() != 1) return {};
    const int32_t i = uses(places).writers[0];
    const RecordedCall& pool = call(i);
    if (pool.op != &ops::max_pool2d ||
        !same_shape<MaxPoolShape>(pool.shape.data(), backward.shape.data()))
      return {};
    const RecordedArray& y = pool.arrays[1];
    const bool found = pool.arrays[0] == x && pool.arrays[2] == places && written_before(x, i) &&
                       uses(y).writers.size() == 1;
    return found ? std::optional(y) : std::nullopt;
  }

  Record& record_;
  const std::vector<bool>& kept_;
  std::vector<MemoryUses> uses_;
  const Op& add_ = map_op(map_row("add"));
  const Op& relu_ = map_op(map_row("relu"));
  const Op& relu_backward_ = map_op(map_row("relu_backward"));
};

}  // namespace

void absorb_epilogues(Record& record, const std::vector<bool>& kept) {
  Epilogues(record, kept).run();
}

}  // namespace dlx

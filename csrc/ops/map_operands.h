// How a pointwise launch reads its operands block by block: strided, broadcast, scalar and half
// precision ones are brought into dense blocks of the compute dtype. Host code only.
#pragma once
#include <algorithm>
#include <cstring>

#include "ops/element_bits.h"
#include "ops/map.h"
#include "ops/strided.h"

namespace dlx {

constexpr int64_t kMapBlock = 1024;                // elements of a block: a few of them fit L1
constexpr int64_t kMapBlockBytes = kMapBlock * 8;  // of the widest dtype

inline bool is_half(DType t) { return t == DType::bfloat16 || t == DType::float16; }
inline DType compute_dtype(DType t) { return is_half(t) ? DType::float32 : t; }

// How an operand lies beside dense y.
struct OperandLayout {
  bool dense;
  int64_t period;  // element i is x[i mod period]: a number, a row for all rows; 0: neither
  int64_t run;     // else: how many elements follow one another, where they are many; 0: few

  OperandLayout() = default;
  OperandLayout(const MapShape& s, int k) : dense(false), period(1), run(0) {
    if (s.scalars >> k & 1) return;
    int64_t count = 1;
    int i = s.ndim - 1;
    while (i >= 0 && s.stride[k][i] == count) count *= s.extent[i--];
    dense = i < 0;
    while (i >= 0 && s.stride[k][i] == 0) --i;
    period = dense || i >= 0 || 2 * count > kMapBlock ? 0 : count;
    constexpr int64_t kLong = 256;  // fewer are copied to a block sooner than found
    const int inner = s.ndim - 1;
    if (!dense && !period && s.stride[k][inner] == 1 && s.extent[inner] >= kLong)
      run = s.extent[inner];
  }
};

class MapOperand {
 public:
  MapOperand() = default;
  MapOperand(const MapShape& shape, int operand)
      : layout(shape, operand),
        s_(&shape),
        k_(operand),
        from_(shape.input_dtype(operand)),
        to_(from_ == shape.dtype ? compute_dtype(from_) : from_) {}

  OperandLayout layout;

  // A block from element `at` on has at most this many elements.
  int64_t most_at(int64_t at) const {
    if (layout.run) return std::min(kMapBlock, layout.run - at % layout.run);
    return layout.period ? kMapBlock - at % layout.period : kMapBlock;
  }

  // Before the first load of a range of n elements; x: the array.
  void prepare(const void* x, int64_t n, char* block) const {
    if (layout.period) repeat(x, std::min(kMapBlock, n + layout.period), block);
  }

  // Elements at, ..., at + n - 1. block, which prepare() got too, and raw: of kMapBlockBytes.
  const void* load(const void* x, int64_t at, int64_t n, char* raw, char* block) const {
    if (layout.period) return block + at % layout.period * size_of(to_);
    if (layout.dense || layout.run)
      return widened(static_cast<const char*>(x) + offset_of(at) * size_of(from_), n, block);
    char* gathered = from_ == to_ ? block : raw;
    gather(size_of(from_), s_->ndim, s_->extent, s_->stride[k_], x, at, n, gathered);
    return from_ == to_ ? block : widened(raw, n, block);
  }

  // These n dense elements of the operand in the compute dtype.
  const void* widened(const void* x, int64_t n, char* block) const {
    if (from_ == to_) return x;
    convert(x, block, n);
    return block;
  }

 private:
  int64_t offset_of(int64_t at) const {
    if (layout.dense) return at;
    int64_t offset = 0;
    for (int i = s_->ndim - 1; i >= 0; --i) {
      offset += at % s_->extent[i] * s_->stride[k_][i];
      at /= s_->extent[i];
    }
    return offset;
  }
  void convert(const void* x, void* y, int64_t n) const {
    map_table().convert[static_cast<int>(from_)][static_cast<int>(to_)](x, y, n);
  }

  // The first n elements of a periodic operand.
  void repeat(const void* x, int64_t n, char* block) const {
    const int64_t period = layout.period;
    if (s_->scalars >> k_ & 1) {  // of the block's dtype already
      x = &s_->scalar[k_];
    } else if (from_ != to_) {
      convert(x, block, period);
      x = block;
    }
    with_bits(size_of(to_), [&]<class T>(T) {
      const T* row = static_cast<const T*>(x);
      T* out = reinterpret_cast<T*>(block);
      if (period == 1) return void(std::fill_n(out, n, *row));
      for (int64_t i = 0; i < n; i += period)
        if (const T* to_row = out + i; to_row != row)
          std::memcpy(out + i, row, static_cast<size_t>(std::min(period, n - i)) * sizeof(T));
    });
  }

  const MapShape* s_ = nullptr;
  int k_ = 0;
  DType from_{}, to_{};
};

}  // namespace dlx

#include "ops/map.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>
#include <vector>

#include "core/check.h"
#include "core/cpu_features.h"
#include "core/parallel.h"
#include "core/view.h"
#include "ops/strided.h"

namespace dlx {

DLX_EACH_ISA(extern const MapTable map_table;)

const MapTable& map_table() { return DLX_SELECT_ISA(map_table); }

int map_row(const char* name) {
  for (int i = 0; i < portable::map_table.rows; ++i)
    if (std::string_view(name) == portable::map_table.row[i].name) return i;
  return -1;
}

const Op& map_op(int row) {
  static const std::vector<Op> ops = [] {
    std::vector<Op> all;
    for (int i = 0; i < portable::map_table.rows; ++i)
      all.push_back({.name = portable::map_table.row[i].name,
                     .kernels = {cpu::map},
                     .strided = true,
                     .may_alias = (1u << kMaxMapInputs) - 1,
                     .cost = [](const void* shape) {
                       const auto& s = *static_cast<const MapShape*>(shape);
                       Cost cost{s.size() * s.info().flops, s.size() * size_of(s.output_dtype())};
                       for (int k = 0; k < s.info().inputs; ++k) {
                         if (s.scalars >> k & 1) continue;
                         int64_t read =
                             size_of(s.input_dtype(k));  // a broadcast operand is read once
                         for (int i = 0; i < s.ndim; ++i) read *= s.stride[k][i] ? s.extent[i] : 1;
                         cost.bytes += read;
                       }
                       return cost;
                     }});
    return all;
  }();
  return ops[row];
}

const MapRow& MapShape::info() const { return portable::map_table.row[row]; }

DType MapShape::input_dtype(int i) const {
  return info().kind == RowKind::select && i == 0 ? DType::boolean : dtype;
}

DType MapShape::output_dtype() const {
  RowKind kind = info().kind;
  return kind == RowKind::comparison || kind == RowKind::predicate ? DType::boolean : dtype;
}

namespace {

[[noreturn]] void cannot_broadcast(const char* op, int count, const Array* const* operands) {
  std::string shapes;
  for (int k = 0; k < count; ++k)
    if (operands[k]) shapes += message(" x", k + 1, "=", operands[k]->shape);
  throw std::invalid_argument(message(op, ": expected shapes that broadcast together;", shapes));
}

}  // namespace

MapShape MapShape::make(int row, DType dtype, int count, const Array* const* operands,
                        Dims* y_shape) {
  MapShape s{};
  s.row = row;
  s.dtype = dtype;
  s.dense = true;
  const Array* first = nullptr;
  bool same = true;
  for (int k = 0; k < count; ++k) {
    if (!operands[k]) {
      s.scalars |= 1u << k;
      continue;
    }
    if (!first) first = operands[k];
    same = same && operands[k]->shape == first->shape;
    s.dense = s.dense && operands[k]->is_dense();
  }
  if (same && s.dense) {  // nothing to align: one run
    *y_shape = first->shape;
    s.ndim = 1;
    s.extent[0] = first->size();
    for (int k = 0; k < count; ++k) s.stride[k][0] = operands[k] ? 1 : 0;
    return s;
  }
  s.dense = false;
  Dims shape;
  for (int k = 0; k < count; ++k)
    if (operands[k]) shape.ndim = std::max(shape.ndim, operands[k]->shape.ndim);
  std::fill_n(shape.extent, shape.ndim, 1);
  for (int k = 0; k < count; ++k) {
    if (!operands[k]) continue;
    const Array& x = *operands[k];
    for (int i = x.shape.ndim - 1, j = shape.ndim - 1; i >= 0; --i, --j) {
      if (x.shape[i] == 1) continue;
      if (shape[j] != 1 && shape[j] != x.shape[i]) cannot_broadcast(s.info().name, count, operands);
      shape[j] = x.shape[i];
      s.stride[k][j] = x.strides[i];
    }
  }
  *y_shape = shape;
  std::copy(shape.begin(), shape.end(), s.extent);
  check_extents(*y_shape, s.info().name);
  // y itself is dense: merging must keep the row-major order only, which it does for any strides.
  s.ndim = merge_dims(shape.ndim, s.extent, s.stride, kMaxMapInputs);
  std::fill(s.extent + s.ndim, s.extent + kMaxDims, 0);
  for (auto& stride : s.stride) std::fill(stride + s.ndim, stride + kMaxDims, 0);
  return s;
}

namespace cpu {
namespace {

constexpr int64_t kGrain = 32768;  // elements a chunk: 10-100 us
constexpr int64_t kBlock = 1024;   // elements gathered at a time: three operands of 8 bytes fit L1

bool is_half(DType t) { return t == DType::bfloat16 || t == DType::float16; }

// Operands that are strided, broadcast, scalar or half precision are brought into dense blocks of
// the compute dtype.
struct BlockLoop {
  const MapShape& s;
  void* const* buffers;
  const MapTable& table;
  DType compute;
  BlockFunction function;

  BlockLoop(const MapShape& shape, void* const* all_buffers)
      : s(shape),
        buffers(all_buffers),
        table(map_table()),
        compute(is_half(s.dtype) ? DType::float32 : s.dtype) {
    function = table.row[s.row].block[static_cast<int>(compute)];
  }

  DType block_dtype(int k) const {
    return s.input_dtype(k) == s.dtype ? compute : s.input_dtype(k);
  }

  void run(int64_t begin, int64_t end) const {
    alignas(64) char block[kMaxMapInputs + 1][kBlock * 8];
    alignas(64) char raw[kBlock * 8];
    const void* in[kMaxMapInputs];
    const int inputs = s.info().inputs;
    for (int k = 0; k < inputs; ++k)
      if (s.scalars >> k & 1) fill_scalar(k, std::min(kBlock, end - begin), block[k]);

    const DType y_dtype = s.output_dtype();
    char* y = static_cast<char*>(buffers[inputs]);
    for (int64_t at = begin; at < end; at += kBlock) {
      int64_t n = std::min(kBlock, end - at);
      for (int k = 0; k < inputs; ++k)
        in[k] = s.scalars >> k & 1 ? block[k] : load(k, at, n, raw, block[k]);
      if (is_half(y_dtype)) {
        function(in, block[kMaxMapInputs], n);
        convert(compute, y_dtype, block[kMaxMapInputs], y + at * size_of(y_dtype), n);
      } else {
        function(in, y + at * size_of(y_dtype), n);
      }
    }
  }

 private:
  void convert(DType from, DType to, const void* x, void* out, int64_t n) const {
    table.convert[static_cast<int>(from)][static_cast<int>(to)](x, out, n);
  }

  void fill_scalar(int k, int64_t n, char* block) const {
    const int64_t width = size_of(block_dtype(k));
    for (int64_t i = 0; i < n; ++i)
      std::memcpy(block + i * width, &s.scalar[k], static_cast<size_t>(width));
  }

  const void* load(int k, int64_t at, int64_t n, char* raw, char* block) const {
    const DType from = s.input_dtype(k), to = block_dtype(k);
    const char* x = static_cast<const char*>(buffers[k]);
    const bool dense = s.ndim == 1 && s.stride[k][0] == 1;
    if (dense && from == to) return x + at * size_of(from);
    if (dense) {
      convert(from, to, x + at * size_of(from), block, n);
      return block;
    }
    char* gathered = from == to ? block : raw;
    gather(size_of(from), s.ndim, s.extent, s.stride[k], x, at, n, gathered);
    if (from != to) convert(from, to, raw, block, n);
    return block;
  }
};

}  // namespace

void map(Ctx&, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const MapShape*>(shape);
  const int64_t n = s.size();
  if (s.dense && !s.scalars && !is_half(s.dtype)) {
    const BlockFunction function = map_table().row[s.row].block[static_cast<int>(s.dtype)];
    const int inputs = s.info().inputs;
    const int64_t y_width = size_of(s.output_dtype());
    parallel_for(n, effective_grain(kGrain), [&](int64_t begin, int64_t end) {
      const void* in[kMaxMapInputs];
      for (int k = 0; k < inputs; ++k)
        in[k] = static_cast<const char*>(buffers[k]) + begin * size_of(s.input_dtype(k));
      function(in, static_cast<char*>(buffers[inputs]) + begin * y_width, end - begin);
    });
    return;
  }
  BlockLoop loop(s, buffers);
  parallel_for(n, effective_grain(kGrain),
               [&](int64_t begin, int64_t end) { loop.run(begin, end); });
}

void cast(Ctx&, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const CastShape*>(shape);
  const auto convert = map_table().convert[static_cast<int>(s.from)][static_cast<int>(s.to)];
  parallel_for(s.n, effective_grain(kGrain), [&](int64_t begin, int64_t end) {
    convert(static_cast<const char*>(buffers[0]) + begin * size_of(s.from),
            static_cast<char*>(buffers[1]) + begin * size_of(s.to), end - begin);
  });
}

}  // namespace cpu
}  // namespace dlx

#include "ops/map.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>
#include <vector>

#include "core/check.h"
#include "core/choice.h"
#include "core/cpu_features.h"
#include "core/machine_limits.h"
#include "core/parallel.h"
#include "core/view.h"
#include "ops/map_operands.h"

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
      all.push_back(
          {.name = portable::map_table.row[i].name,
           .kernels = DLX_KERNELS(map),
           .strided = true,
           .may_alias = (1u << kMaxMapInputs) - 1,
           .cost =
               [](const void* shape) {
                 const auto& s = *static_cast<const MapShape*>(shape);
                 Cost cost{s.size() * s.info().flops, s.size() * size_of(s.output_dtype())};
                 for (int k = 0; k < s.info().inputs; ++k) {
                   if (s.scalars >> k & 1) continue;
                   int64_t read = size_of(s.input_dtype(k));  // a broadcast operand is read once
                   for (int i = 0; i < s.ndim; ++i) read *= s.stride[k][i] ? s.extent[i] : 1;
                   cost.bytes += read;
                 }
                 return cost;
               },
           .cheap = true});
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

constexpr int64_t kGrain = 32768, kMostGrain = 524288;  // elements a chunk: 10-500 us

Choice stores("pointwise", {"cached", "streamed"});

BlockFunction function_of(int row, DType t, bool streams) {
  const MapRow& functions = map_table().row[row];
  return (streams ? functions.stream : functions.block)[static_cast<int>(t)];
}

// For operands that are not all dense arrays of the compute dtype.
struct BlockLoop {
  const MapShape& s;
  void* const* buffers;
  const MapTable& table;
  const bool streams;
  const DType compute;
  bool copies;  // what streams: the function itself cannot
  BlockFunction function;
  MapOperand operand[kMaxMapInputs];

  BlockLoop(const MapShape& shape, void* const* all_buffers, bool y_streams)
      : s(shape),
        buffers(all_buffers),
        table(map_table()),
        streams(y_streams),
        compute(compute_dtype(s.dtype)) {
    copies = streams && (is_half(s.dtype) || !function_of(s.row, compute, true));
    function = function_of(s.row, compute, streams && !copies);
    for (int k = 0; k < s.info().inputs; ++k) operand[k] = MapOperand(s, k);
  }

  void run(int64_t begin, int64_t end) const {
    alignas(64) char block[kMaxMapInputs + 1][kMapBlockBytes];
    alignas(64) char raw[kMapBlockBytes];
    const void* in[kMaxMapInputs];
    const int inputs = s.info().inputs;
    for (int k = 0; k < inputs; ++k) operand[k].prepare(buffers[k], end - begin, block[k]);

    char* result = block[kMaxMapInputs];
    const DType y_dtype = s.output_dtype();
    const int64_t y_width = size_of(y_dtype);
    for (int64_t at = begin, n; at < end; at += n) {
      n = std::min(kMapBlock, end - at);
      for (int k = 0; k < inputs; ++k) n = std::min(n, operand[k].most_at(at));
      for (int k = 0; k < inputs; ++k) in[k] = operand[k].load(buffers[k], at, n, raw, block[k]);
      char* y = static_cast<char*>(buffers[inputs]) + at * y_width;
      if (!copies && !is_half(y_dtype)) {
        function(in, y, n);
        continue;
      }
      function(in, result, n);
      char* from = result;
      if (is_half(y_dtype))
        table.convert[static_cast<int>(compute)][static_cast<int>(y_dtype)](
            result, from = copies ? raw : y, n);
      if (copies) table.stream(from, y, n * y_width);
    }
    if (streams) table.end_stream();
  }
};

}  // namespace

void map(Ctx&, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const MapShape*>(shape);
  const int64_t n = s.size();
  const bool large = n > kGrain && pays_to_stream_a_pass(map_op(s.row).cost(shape).bytes);
  const bool streams = stores.pick(large, 0b11);
  const BlockFunction function = is_half(s.dtype) ? nullptr : function_of(s.row, s.dtype, streams);
  if (s.dense && !s.scalars && function) {
    const int inputs = s.info().inputs;
    const int64_t y_width = size_of(s.output_dtype());
    parallel_for(n, long_grain(n, kGrain, kMostGrain), [&](int64_t begin, int64_t end) {
      const void* in[kMaxMapInputs];
      for (int k = 0; k < inputs; ++k)
        in[k] = static_cast<const char*>(buffers[k]) + begin * size_of(s.input_dtype(k));
      function(in, static_cast<char*>(buffers[inputs]) + begin * y_width, end - begin);
      if (streams) map_table().end_stream();
    });
    return;
  }
  BlockLoop loop(s, buffers, streams);
  parallel_for(n, long_grain(n, kGrain, kMostGrain),
               [&](int64_t begin, int64_t end) { loop.run(begin, end); });
}

void cast(Ctx&, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const CastShape*>(shape);
  const MapTable& table = map_table();
  const auto convert = table.convert[static_cast<int>(s.from)][static_cast<int>(s.to)];
  const int64_t x_width = size_of(s.from), y_width = size_of(s.to);
  const bool streams = pays_to_stream_a_pass(s.n * (x_width + y_width));
  parallel_for(s.n, long_grain(s.n, kGrain, kMostGrain), [&](int64_t begin, int64_t end) {
    const char* x = static_cast<const char*>(buffers[0]);
    char* y = static_cast<char*>(buffers[1]);
    if (!streams) return convert(x + begin * x_width, y + begin * y_width, end - begin);
    alignas(64) char block[kMapBlockBytes];
    for (int64_t at = begin; at < end; at += kMapBlock) {
      const int64_t some = std::min(kMapBlock, end - at);
      convert(x + at * x_width, block, some);
      table.stream(block, y + at * y_width, some * y_width);
    }
    table.end_stream();
  });
}

}  // namespace cpu
}  // namespace dlx

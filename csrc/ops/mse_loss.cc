#include "ops/mse_loss.h"

#include <algorithm>

#include "core/check.h"
#include "core/cpu_features.h"
#include "core/parallel.h"
#include "ops/loss_number.h"
#include "ops/loss_table.h"

namespace dlx {

DLX_EACH_ISA(extern const LossTable loss_table;)

MseLossShape MseLossShape::make(const Array& x, const Array& target, LossReduction reduction) {
  DLX_CHECK_AS(TypeError, x.dtype == DType::float32 || x.dtype == DType::float64,
               "mse_loss: expected float32 or float64, got ", x.dtype);
  DLX_CHECK_AS(TypeError, x.dtype == target.dtype, "mse_loss: expected one dtype, got input ",
               x.dtype, " and target ", target.dtype);
  DLX_CHECK(x.shape == target.shape,
            "mse_loss: expected input and target of one shape (they do not broadcast); input=",
            x.shape, " target=", target.shape);
  MseLossShape s{};
  s.dtype = x.dtype;
  s.reduction = reduction;
  s.n = x.size();
  return s;
}

namespace cpu {
namespace {

constexpr int64_t kGrain = 32768;  // elements: 10-50 us
constexpr int64_t kBlock = 4096;  // elements of a partial sum: part of the fixed order of additions

int64_t blocks(const MseLossShape& s) {
  return s.reduction == LossReduction::none ? 0 : (s.n + kBlock - 1) / kBlock;
}

int by_dtype(DType t) { return t == DType::float64; }

const char* at(const void* buffer, int64_t i, DType t) {
  return static_cast<const char*>(buffer) + i * size_of(t);
}
char* at(void* buffer, int64_t i, DType t) { return static_cast<char*>(buffer) + i * size_of(t); }

}  // namespace

void mse_loss(Ctx&, const void* shape, void* const* buffers, void* workspace) {
  const auto& s = *static_cast<const MseLossShape*>(shape);
  const LossTable& table = DLX_SELECT_ISA(loss_table);
  const void *x = buffers[0], *target = buffers[1];
  if (s.reduction == LossReduction::none) {
    parallel_for(s.n, effective_grain(kGrain), [&](int64_t begin, int64_t end) {
      table.squares[by_dtype(s.dtype)](at(x, begin, s.dtype), at(target, begin, s.dtype),
                                       end - begin, at(buffers[2], begin, s.dtype));
    });
    return;
  }
  auto* partial = static_cast<double*>(workspace);
  parallel_for(blocks(s), effective_grain(kGrain / kBlock), [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const int64_t first = b * kBlock, n = std::min(kBlock, s.n - first);
      partial[b] = table.squared_distance[by_dtype(s.dtype)](at(x, first, s.dtype),
                                                             at(target, first, s.dtype), n);
    }
  });
  const double sum = table.total(partial, blocks(s));
  write_number(s.reduction == LossReduction::mean ? sum / static_cast<double>(s.n) : sum,
               buffers[2], s.dtype);
}

void mse_loss_backward(Ctx&, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const MseLossShape*>(shape);
  const LossTable& table = DLX_SELECT_ISA(loss_table);
  const void *dloss = buffers[0], *x = buffers[1], *target = buffers[2];
  const bool each = s.reduction == LossReduction::none;
  double scale = 2;
  if (!each) scale *= read_number(dloss, s.dtype);
  if (s.reduction == LossReduction::mean) scale /= static_cast<double>(s.n);
  parallel_for(s.n, effective_grain(kGrain), [&](int64_t begin, int64_t end) {
    table.differences[by_dtype(s.dtype)](each ? at(dloss, begin, s.dtype) : nullptr,
                                         at(x, begin, s.dtype), at(target, begin, s.dtype), scale,
                                         end - begin, at(buffers[3], begin, s.dtype));
  });
}

int64_t mse_loss_workspace(const void* shape) {
  return blocks(*static_cast<const MseLossShape*>(shape)) * static_cast<int64_t>(sizeof(double));
}

}  // namespace cpu
}  // namespace dlx

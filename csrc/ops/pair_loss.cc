#include "ops/pair_loss.h"

#include <algorithm>
#include <bit>

#include "core/check.h"
#include "core/cpu_features.h"
#include "core/parallel.h"
#include "ops/loss_number.h"

namespace dlx {

DLX_EACH_ISA(extern const PairLossTable pair_loss_table;)

PairLossShape PairLossShape::make(const char* op, PairLoss kind, const Array& x,
                                  const Array& target, const Array* weight, const Array* parameters,
                                  double parameter, LossReduction reduction) {
  DLX_CHECK_AS(TypeError, x.dtype == DType::float32 || x.dtype == DType::float64, op,
               ": expected float32 or float64, got ", x.dtype);
  DLX_CHECK_AS(TypeError, x.dtype == target.dtype, op, ": expected one dtype, got input ", x.dtype,
               " and target ", target.dtype);
  DLX_CHECK(x.shape == target.shape, op,
            ": expected input and target of one shape (they do not broadcast); input=", x.shape,
            " target=", target.shape);
  for (const Array* factor : {weight, parameters})
    DLX_CHECK(!factor || (factor->shape == x.shape && factor->dtype == x.dtype), op,
              ": expected weights of the input's dtype and shape; input=", x.shape);
  PairLossShape s{};
  s.dtype = x.dtype;
  s.reduction = reduction;
  s.kind = kind;
  s.weighted = weight != nullptr;
  s.parametrised = parameters != nullptr;
  s.parameter = parameter;
  s.n = x.size();
  return s;
}

namespace {

// By PairLoss, as the formulas stand there; exp and log count as one.
constexpr int kLossFlops[] = {2, 5, 4, 7, 10, 4};
constexpr int kSlopeFlops[] = {2, 2, 2, 4, 8, 1};

constexpr int64_t kGrain = 32768;  // elements: 10-50 us
constexpr int64_t kBlock = 4096;  // elements of a partial sum: part of the fixed order of additions

int64_t blocks(const PairLossShape& s) {
  return s.reduction == LossReduction::none ? 0 : (s.n + kBlock - 1) / kBlock;
}

int by_dtype(DType t) { return t == DType::float64; }

char* at(const PairLossShape& s, void* buffer, int64_t i) {
  return static_cast<char*>(buffer) + i * size_of(s.dtype);
}

// Pairs [begin, end); `in` begins with x and target.
PairRun run_of(const PairLossShape& s, void* const* in, int64_t begin, int64_t end) {
  PairRun run{at(s, in[0], begin), at(s, in[1], begin), nullptr, nullptr, s.parameter, end - begin};
  if (s.weighted) run.weight = at(s, in[2], begin);
  if (s.parametrised) run.parameters = at(s, in[2 + s.weighted], begin);
  return run;
}

}  // namespace

Cost pair_loss_cost(const void* shape) {
  const auto& s = *static_cast<const PairLossShape*>(shape);
  const bool adds = s.reduction != LossReduction::none;
  return {(kLossFlops[static_cast<int>(s.kind)] + s.weighted + adds) * s.n,
          size_of(s.dtype) * ((2 + s.weighted + s.parametrised) * s.n + s.losses())};
}

Cost pair_loss_backward_cost(const void* shape) {
  const auto& s = *static_cast<const PairLossShape*>(shape);
  const bool each = s.reduction == LossReduction::none;
  return {(kSlopeFlops[static_cast<int>(s.kind)] + 1 + s.weighted + each) * s.n,
          size_of(s.dtype) * ((3 + s.weighted + s.parametrised) * s.n + s.losses())};
}

std::string explain_probability(const void*, const ErrorSlot& error) {
  throw std::invalid_argument(
      message("binary_cross_entropy: expected probabilities from 0 to 1 as input, got ",
              std::bit_cast<double>(error.value), " at element ", error.row, " of ", error.limit,
              "; for scores take binary_cross_entropy_with_logits"));
}

namespace cpu {

int64_t pair_loss_workspace(const void* shape) {
  return blocks(*static_cast<const PairLossShape*>(shape)) * static_cast<int64_t>(sizeof(double));
}

void pair_loss(Ctx& ctx, const void* shape, void* const* buffers, void* workspace) {
  const auto& s = *static_cast<const PairLossShape*>(shape);
  const PairLossTable& table = DLX_SELECT_ISA(pair_loss_table);
  const int kind = static_cast<int>(s.kind), type = by_dtype(s.dtype);
  void* loss = buffers[2 + s.weighted + s.parametrised];
  if (s.kind == PairLoss::binary_cross_entropy) {
    const int64_t bad = table.first_outside[type](buffers[0], s.n);
    if (bad < s.n) {
      const double value = read_number(at(s, buffers[0], bad), s.dtype);
      ctx.error.report(bad, std::bit_cast<int64_t>(value), s.n);
    }
  }
  if (s.reduction == LossReduction::none) {
    parallel_for(s.n, effective_grain(kGrain), [&](int64_t begin, int64_t end) {
      table.losses[kind][type](run_of(s, buffers, begin, end), at(s, loss, begin));
    });
    return;
  }
  auto* partial = static_cast<double*>(workspace);
  parallel_for(blocks(s), effective_grain(kGrain / kBlock), [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b)
      partial[b] =
          table.sum[kind][type](run_of(s, buffers, b * kBlock, std::min((b + 1) * kBlock, s.n)));
  });
  const double sum = table.total(partial, blocks(s));
  write_number(s.reduction == LossReduction::mean ? sum / static_cast<double>(s.n) : sum, loss,
               s.dtype);
}

void pair_loss_backward(Ctx&, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const PairLossShape*>(shape);
  const PairLossTable& table = DLX_SELECT_ISA(pair_loss_table);
  const auto slopes = table.slopes[static_cast<int>(s.kind)][by_dtype(s.dtype)];
  const bool each = s.reduction == LossReduction::none;
  void* dx = buffers[3 + s.weighted + s.parametrised];
  double scale = each ? 1 : read_number(buffers[0], s.dtype);
  if (s.reduction == LossReduction::mean) scale /= static_cast<double>(s.n);
  parallel_for(s.n, effective_grain(kGrain), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i += kBlock)  // what several loops pass over stays in L1
      slopes(run_of(s, buffers + 1, i, std::min(i + kBlock, end)),
             each ? at(s, buffers[0], i) : nullptr, scale, at(s, dx, i));
  });
}

}  // namespace cpu
}  // namespace dlx

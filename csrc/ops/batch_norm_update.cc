#include "ops/batch_norm_update.h"

#include "core/check.h"

namespace dlx {

BatchNormUpdateShape BatchNormUpdateShape::make(const Array& mean, const Array& var,
                                                const Array& running_mean, const Array& running_var,
                                                const Array* count, int64_t n, bool cumulative,
                                                double momentum) {
  const char* op = "batch_norm_update";
  DLX_CHECK(mean.dtype == DType::float64 && var.dtype == DType::float64 && mean.shape.ndim == 1 &&
                var.shape == mean.shape,
            op, ": expected mean and var as batch_norm gives them");
  const DType t = running_mean.dtype;
  DLX_CHECK_AS(TypeError, (t == DType::float32 || t == DType::float64) && running_var.dtype == t,
               op, ": expected running statistics of one dtype, float32 or float64, got ", t,
               " and ", running_var.dtype);
  DLX_CHECK(running_mean.shape == mean.shape && running_var.shape == mean.shape, op,
            ": expected running statistics of shape ", mean.shape, ", got ", running_mean.shape,
            " and ", running_var.shape);
  DLX_CHECK(!count || (count->dtype == DType::int64 && count->shape == Dims{}), op,
            ": expected num_batches_tracked, int64 of shape ()");
  DLX_CHECK(count || !cumulative, op, ": a cumulative average needs num_batches_tracked");
  BatchNormUpdateShape s{};
  s.dtype = t;
  s.C = mean.shape[0];
  s.n = n;
  s.cumulative = cumulative;
  s.counted = count;
  s.momentum = momentum;
  return s;
}

namespace cpu {

void batch_norm_update(Ctx&, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const BatchNormUpdateShape*>(shape);
  const auto *mean = static_cast<const double*>(buffers[0]),
             *var = static_cast<const double*>(buffers[1]);
  double factor = s.momentum;
  if (s.counted) {
    const int64_t count = ++*static_cast<int64_t*>(buffers[4]);
    if (s.cumulative) factor = 1 / static_cast<double>(count);
  }
  if (s.n == 0) return;
  const auto n = static_cast<double>(s.n);
  const auto mix = [&]<class T>(T*) {
    auto *running_mean = static_cast<T*>(buffers[2]), *running_var = static_cast<T*>(buffers[3]);
    for (int64_t c = 0; c < s.C; ++c) {
      const double unbiased = var[c] * (n / (n - 1));
      running_mean[c] =
          static_cast<T>((1 - factor) * static_cast<double>(running_mean[c]) + factor * mean[c]);
      running_var[c] =
          static_cast<T>((1 - factor) * static_cast<double>(running_var[c]) + factor * unbiased);
    }
  };
  if (s.dtype == DType::float64) {
    mix(static_cast<double*>(nullptr));
  } else {
    mix(static_cast<float*>(nullptr));
  }
}

}  // namespace cpu
}  // namespace dlx

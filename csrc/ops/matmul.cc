#include "ops/matmul.h"

#include <algorithm>

#include "core/check.h"
#include "core/view.h"

namespace dlx {

MatmulShape MatmulShape::make(const Array& a, const Array& b, const Array* bias, Dims* y_shape) {
  const auto shapes = [&] { return message("; a=", a.shape, " b=", b.shape); };
  DLX_CHECK_AS(TypeError, a.dtype == b.dtype, "matmul: expected one dtype, got a ", a.dtype,
               " and b ", b.dtype);
  DLX_CHECK_AS(TypeError, is_floating(a.dtype), "matmul: expected a floating dtype, got ", a.dtype);
  DLX_CHECK(a.shape.ndim > 0 && b.shape.ndim > 0, "matmul: expected at least 1 dimension",
            shapes());

  const int an = a.shape.ndim, bn = b.shape.ndim;
  MatmulShape s{};
  GemmShape& g = s.gemm;
  g.dtype = a.dtype;
  g.bias = bias != nullptr;
  g.m = an > 1 ? a.shape[an - 2] : 1;
  g.a_row = an > 1 ? a.strides[an - 2] : 0;
  g.k = a.shape[an - 1];
  g.a_col = a.strides[an - 1];
  g.n = bn > 1 ? b.shape[bn - 1] : 1;
  g.b_col = bn > 1 ? b.strides[bn - 1] : 0;
  g.b_row = b.strides[bn > 1 ? bn - 2 : 0];
  const int64_t b_k = b.shape[bn > 1 ? bn - 2 : 0];
  DLX_CHECK(g.k == b_k, "matmul: a has ", g.k, " columns, b has ", b_k, " rows", shapes());
  g.c_row = g.n;

  // Batch dimensions, aligned at the right.
  const int a_batch = std::max(an - 2, 0), b_batch = std::max(bn - 2, 0);
  g.batch_ndim = std::max(a_batch, b_batch);
  Dims y;
  for (int i = 0; i < g.batch_ndim; ++i) {
    const int ai = i - (g.batch_ndim - a_batch), bi = i - (g.batch_ndim - b_batch);
    const int64_t ae = ai >= 0 ? a.shape[ai] : 1, be = bi >= 0 ? b.shape[bi] : 1;
    DLX_CHECK(ae == be || ae == 1 || be == 1, "matmul: expected batch dimensions that broadcast",
              shapes());
    g.batch[i] = ae == 1 ? be : ae;
    g.a_batch[i] = ae == 1 ? 0 : a.strides[ai];
    g.b_batch[i] = be == 1 ? 0 : b.strides[bi];
    y.push_back(g.batch[i]);
  }
  if (an > 1) y.push_back(g.m);
  if (bn > 1) y.push_back(g.n);
  check_extents(y, "matmul");
  int64_t c_stride = g.m * g.n;
  for (int i = g.batch_ndim - 1; i >= 0; --i) {
    g.c_batch[i] = c_stride;
    c_stride *= g.batch[i];
  }
  *y_shape = y;
  return s;
}

namespace cpu {

void matmul(Ctx&, const void* shape, void* const* buffers, void* workspace) {
  const GemmShape& s = static_cast<const MatmulShape*>(shape)->gemm;
  void* const* y = buffers + (s.bias ? 3 : 2);
  gemm(s, buffers[0], buffers[1], *y, workspace, s.bias ? buffers[2] : nullptr);
}

int64_t matmul_workspace(const void* shape) {
  return gemm_workspace(static_cast<const MatmulShape*>(shape)->gemm);
}

}  // namespace cpu
}  // namespace dlx

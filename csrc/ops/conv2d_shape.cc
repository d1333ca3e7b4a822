// What a user can get wrong.
#include <cstring>

#include "core/check.h"
#include "core/precision.h"
#include "core/view.h"
#include "ops/conv2d.h"

namespace dlx {
namespace {

constexpr int64_t kLargest = int64_t{1} << 31;  // of one option: products stay countable

// A shape as the user gave it: 1d ops pass images and kernels of one row.
Dims shown(const char* op, const Dims& shape) {
  if (!std::strstr(op, "1d") || shape.ndim != 4) return shape;
  return {shape[0], shape[1], shape[3]};
}

void check_operands(const char* op, const char* names, const Array& a, const Array& b) {
  const std::string first(1, names[0]), second(names + 1);
  DLX_CHECK_AS(TypeError, a.dtype == b.dtype, op, ": expected one dtype, got ", a.dtype, " and ",
               b.dtype);
  DLX_CHECK_AS(TypeError, a.dtype == DType::float32 || a.dtype == DType::float64, op,
               ": no kernel for ", a.dtype, "; it works on float32, float64");
  DLX_CHECK(a.shape.ndim == 4 && b.shape.ndim == 4, op, ": expected ", first, " and ", second,
            " of 4 dimensions; ", first, "=", a.shape, " ", second, "=", b.shape);
}

Conv2dShape with_options(const char* op, const Array& a, const Conv2dOptions& o) {
  for (const Dims* d : {&o.size, &o.stride, &o.padding, &o.dilation}) {
    DLX_CHECK(d->ndim == 2, op, ": expected options of 2 numbers, got ", *d);
    for (int64_t v : *d)
      DLX_CHECK(d == &o.size || (v > -kLargest && v < kLargest), op, ": an option of ", v,
                " is out of range");
  }
  const auto positive = [&](const char* what, const Dims& d) {
    DLX_CHECK(d[0] > 0 && d[1] > 0, op, ": expected ", what, " > 0, got ", d);
  };
  positive("stride", o.stride);
  positive("dilation", o.dilation);
  DLX_CHECK(o.size[0] >= 0 && o.size[1] >= 0, op, ": expected a size >= 0, got ", o.size);
  DLX_CHECK(o.groups > 0, op, ": expected groups > 0, got ", o.groups);
  Conv2dShape s{};
  s.dtype = a.dtype;
  s.exact = precision() == Precision::exact;
  s.stride_h = o.stride[0], s.stride_w = o.stride[1];
  s.pad_top = o.padding[0], s.pad_left = o.padding[1];
  s.dil_h = o.dilation[0], s.dil_w = o.dilation[1];
  s.groups = o.groups;
  return s;
}

void check_bias(const char* op, const Array* b, DType dtype, int64_t channels) {
  if (!b) return;
  DLX_CHECK_AS(TypeError, b->dtype == dtype, op, ": expected one dtype, got ", dtype, " and bias ",
               b->dtype);
  DLX_CHECK(b->shape == Dims{channels}, op, ": expected a bias of shape ", Dims{channels},
            ", one per output channel, got ", b->shape);
}

}  // namespace

Conv2dShape conv2d_shape(const char* op, const Array& x, const Array& w, const Array* b,
                         const Conv2dOptions& o) {
  check_operands(op, "xw", x, w);
  Conv2dShape s = with_options(op, x, o);
  s.N = x.shape[0], s.C = x.shape[1], s.H = x.shape[2], s.W = x.shape[3];
  s.K = w.shape[0], s.R = w.shape[2], s.S = w.shape[3];
  s.P = o.size[0], s.Q = o.size[1];
  s.bias = b != nullptr;
  const auto shapes = [&] {
    return message("; x=", shown(op, x.shape), " w=", shown(op, w.shape),
                   s.groups > 1 ? message(" groups=", s.groups) : "");
  };
  DLX_CHECK(s.K % s.groups == 0, op, ": w's ", s.K, " output channels do not fall into ", s.groups,
            " groups", shapes());
  DLX_CHECK(s.C == w.shape[1] * s.groups, op, ": w expects ", w.shape[1] * s.groups,
            " input channels, x has ", s.C, shapes());
  check_bias(op, b, s.dtype, s.K);
  check_extents({s.N, s.K, s.P, s.Q}, op);
  return s;
}

Conv2dShape conv_transpose2d_shape(const char* op, const Array& dy, const Array& w, const Array* b,
                                   const Conv2dOptions& o) {
  check_operands(op, "xw", dy, w);
  Conv2dShape s = with_options(op, dy, o);
  s.N = dy.shape[0], s.K = dy.shape[1], s.P = dy.shape[2], s.Q = dy.shape[3];
  s.C = w.shape[1] * s.groups, s.R = w.shape[2], s.S = w.shape[3];
  s.H = o.size[0], s.W = o.size[1];
  s.bias = b != nullptr;
  const auto shapes = [&] {
    return message("; x=", shown(op, dy.shape), " w=", shown(op, w.shape),
                   s.groups > 1 ? message(" groups=", s.groups) : "");
  };
  DLX_CHECK(s.K == w.shape[0], op, ": w expects ", w.shape[0], " input channels, x has ", s.K,
            shapes());
  DLX_CHECK(s.K % s.groups == 0, op, ": x's ", s.K, " channels do not fall into ", s.groups,
            " groups", shapes());
  check_bias(op, b, s.dtype, s.C);
  check_extents({s.N, s.C, s.H, s.W}, op);
  return s;
}

Conv2dShape conv2d_backward_weight_shape(const Array& x, const Array& dy, const Conv2dOptions& o) {
  const char* op = "conv2d_backward_weight";
  check_operands(op, "xdy", x, dy);
  Conv2dShape s = with_options(op, x, o);
  s.N = x.shape[0], s.C = x.shape[1], s.H = x.shape[2], s.W = x.shape[3];
  s.K = dy.shape[1], s.P = dy.shape[2], s.Q = dy.shape[3];
  s.R = o.size[0], s.S = o.size[1];
  const auto shapes = [&] {
    return message("; x=", x.shape, " dy=", dy.shape,
                   s.groups > 1 ? message(" groups=", s.groups) : "");
  };
  DLX_CHECK(dy.shape[0] == s.N, op, ": expected as many images in dy as in x", shapes());
  DLX_CHECK(s.C % s.groups == 0 && s.K % s.groups == 0, op, ": expected channels that fall into ",
            s.groups, " groups", shapes());
  check_extents({s.K, s.C / s.groups, s.R, s.S}, op);
  return s;
}

}  // namespace dlx

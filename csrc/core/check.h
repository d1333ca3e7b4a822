// Errors are exceptions, raised at the border: DLX_CHECK(cond, "op: expected ...; ", value, ...).
#pragma once
#include <sstream>
#include <stdexcept>
#include <string>

#include "core/array.h"
#include "core/dtype.h"

namespace dlx {

// Becomes Python's TypeError; std::invalid_argument becomes ValueError, std::out_of_range
// IndexError.
struct TypeError : std::runtime_error {
  using std::runtime_error::runtime_error;
};
// Becomes Python's FloatingPointError.
struct FloatingPointError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline std::ostream& operator<<(std::ostream& out, DType t) { return out << name_of(t); }

inline std::ostream& operator<<(std::ostream& out, Device d) {
  return d.kind == DeviceKind::cpu ? out << "cpu" : out << "cuda:" << int{d.index};
}

// Shapes print as Python tuples: (), (3,), (2, 4).
inline std::ostream& operator<<(std::ostream& out, const Dims& dims) {
  out << '(';
  for (int i = 0; i < dims.ndim; ++i) out << (i ? ", " : "") << dims[i];
  return out << (dims.ndim == 1 ? ",)" : ")");
}

template <class... Parts>
std::string message(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

#define DLX_CHECK_AS(Error, condition, ...)     \
  do {                                          \
    if (!(condition)) [[unlikely]]              \
      throw Error(::dlx::message(__VA_ARGS__)); \
  } while (0)
#define DLX_CHECK(condition, ...) DLX_CHECK_AS(std::invalid_argument, condition, __VA_ARGS__)

}  // namespace dlx

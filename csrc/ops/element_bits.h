// Ops that move elements without reading them take them for unsigned integers of their size.
#pragma once
#include <cstdint>

namespace dlx {

// body(T{}) for the unsigned T of `element_bytes` bytes.
template <class Body>
constexpr void with_bits(int64_t element_bytes, const Body& body) {
  if (element_bytes == 4) return body(uint32_t{});
  if (element_bytes == 8) return body(uint64_t{});
  if (element_bytes == 2) return body(uint16_t{});
  body(uint8_t{});
}

}  // namespace dlx

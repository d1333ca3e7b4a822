// The eight element types. POD only: kernel files of every instruction set include this header.
#pragma once
#include <cstdint>

namespace dlx {

enum class DType : uint8_t { float32, float64, bfloat16, float16, int32, int64, uint8, boolean };
constexpr int kNumDTypes = 8;

constexpr int kDTypeSize[kNumDTypes] = {4, 8, 2, 2, 4, 8, 1, 1};
constexpr const char* kDTypeName[kNumDTypes] = {"float32", "float64", "bfloat16", "float16",
                                                "int32",   "int64",   "uint8",    "bool"};

constexpr int64_t size_of(DType t) { return kDTypeSize[static_cast<int>(t)]; }
constexpr const char* name_of(DType t) { return kDTypeName[static_cast<int>(t)]; }
constexpr bool is_floating(DType t) { return t <= DType::float16; }
constexpr bool is_integer(DType t) { return t >= DType::int32 && t <= DType::uint8; }

// Storage formats only: kernels convert blocks of them to float32, compute, and convert back.
struct bfloat16_t {
  uint16_t bits;
};
struct float16_t {
  uint16_t bits;
};

template <class T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::float32;
};
template <>
struct DTypeOf<double> {
  static constexpr DType value = DType::float64;
};
template <>
struct DTypeOf<bfloat16_t> {
  static constexpr DType value = DType::bfloat16;
};
template <>
struct DTypeOf<float16_t> {
  static constexpr DType value = DType::float16;
};
template <>
struct DTypeOf<int32_t> {
  static constexpr DType value = DType::int32;
};
template <>
struct DTypeOf<int64_t> {
  static constexpr DType value = DType::int64;
};
template <>
struct DTypeOf<uint8_t> {
  static constexpr DType value = DType::uint8;
};
template <>
struct DTypeOf<bool> {
  static constexpr DType value = DType::boolean;
};

}  // namespace dlx

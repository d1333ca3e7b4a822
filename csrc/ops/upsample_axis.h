// Reading an UpsampleAxis, on both devices: to be included in the namespace of a kernel file.
// No #pragma once: a test may have several such namespaces.

// x's pixel behind `first`; the last has itself behind it.
constexpr int64_t behind(const UpsampleAxis& axis, int64_t first) {
  return first + 1 < axis.n ? first + 1 : axis.n - 1;
}

// The first of y's positions that may see x's pixel j; the last stand before begin[j + 1].
constexpr int64_t first_seeing(const UpsampleAxis& axis, int64_t j) {
  return axis.begin[axis.weight && j > 0 ? j - 1 : j];
}

// The weight with which position i of y sees pixel j of x.
constexpr double weight_of(const UpsampleAxis& axis, int64_t i, int64_t j) {
  if (!axis.weight) return 1;
  const int64_t first = axis.first[i];
  return (first == j ? 1 - axis.weight[i] : 0) + (behind(axis, first) == j ? axis.weight[i] : 0);
}

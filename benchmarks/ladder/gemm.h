// A rung of the matrix product: C (n,n) = A B, float32, row-major, one thread, n = 1024.
#pragma once
#include "rung.h"

constexpr int64_t n = 1024;

void gemm(const float* A, const float* B, float* C);

int main() {
  const Floats A = noise(n * n), B = noise(n * n);
  Floats C(n * n);
  const double time = seconds([&] { gemm(A.data(), B.data(), C.data()); });
  for (int64_t at = 0; at < n * n; at += 4099) {
    double sum = 0, terms = 0;
    for (int64_t p = 0; p < n; ++p) {
      const double term = double{A[at / n * n + p]} * B[p * n + at % n];
      sum += term, terms += std::fabs(term);
    }
    check(C[at], sum, terms);
  }
  std::printf("%.9f\n", time);
}

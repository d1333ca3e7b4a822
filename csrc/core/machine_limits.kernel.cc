#include "core/machine_limits.h"

#if defined(__FMA__)
#include <immintrin.h>
#endif

namespace dlx::DLX_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int kBytes = 64;
#elif defined(__AVX__)
constexpr int kBytes = 32;
#else
constexpr int kBytes = 16;
#endif

// Independent sums: 12 hide the latency of an FMA (4 or 5 cycles, 2 a cycle), and with the two
// operands still fit into 16 registers.
constexpr int kSums = 12;

template <class T>
struct Wide {
  typedef T Type __attribute__((vector_size(kBytes)));
};

template <class T>
using Vector = typename Wide<T>::Type;

#if defined(__AVX512F__)
Vector<float> fma(Vector<float> a, Vector<float> b, Vector<float> c) {
  return _mm512_fmadd_ps(a, b, c);
}
Vector<double> fma(Vector<double> a, Vector<double> b, Vector<double> c) {
  return _mm512_fmadd_pd(a, b, c);
}
#elif defined(__FMA__)
Vector<float> fma(Vector<float> a, Vector<float> b, Vector<float> c) {
  return _mm256_fmadd_ps(a, b, c);
}
Vector<double> fma(Vector<double> a, Vector<double> b, Vector<double> c) {
  return _mm256_fmadd_pd(a, b, c);
}
#else
template <class V>
V fma(V a, V b, V c) {
  return a * b + c;
}
#endif

// sum = sum * a + b, which stays near b / (1 - a): no infinities, no denormals.
template <class T>
void fma_loop(int64_t rounds) {
  Vector<T> sum[kSums] = {};
  Vector<T> a = Vector<T>{} + T(0.5), b = Vector<T>{} + T(1);
  asm volatile("" : "+m"(a), "+m"(b));  // unknown to the compiler, or it would compute the result
  for (int64_t i = 0; i < rounds; ++i)
#pragma GCC unroll 12
    for (int k = 0; k < kSums; ++k) sum[k] = fma(sum[k], a, b);
#pragma GCC unroll 12
  for (int k = 0; k < kSums; ++k) asm volatile("" : : "m"(sum[k]));
}

// Plain stores, as the ops use: each written line is read first. Through an opaque register, or the
// compiler calls memcpy, which may stream past the caches.
void copy(const char* x, char* y, int64_t bytes) {
  for (int64_t i = 0; i < bytes; i += kBytes) {
    Vector<float> v = *reinterpret_cast<const Vector<float>*>(x + i);
#if defined(__x86_64__)
    asm volatile("" : "+x"(v));
#else
    asm volatile("" : "+w"(v));
#endif
    *reinterpret_cast<Vector<float>*>(y + i) = v;
  }
}

template <class T>
constexpr int64_t flops_per_round = 2 * kSums * (kBytes / static_cast<int>(sizeof(T)));

}  // namespace

const LimitKernels limit_kernels = {flops_per_round<float>, flops_per_round<double>,
                                    fma_loop<float>, fma_loop<double>, copy};

}  // namespace dlx::DLX_ISA

#include "core/machine_limits.h"

#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
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
// operands still fit into 16 registers. Of the 32 of NEON 16: its cores begin up to 4 a cycle.
#if defined(__ARM_NEON)
constexpr int kSums = 16;
#else
constexpr int kSums = 12;
#endif

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
#elif defined(__ARM_NEON)
Vector<float> fma(Vector<float> a, Vector<float> b, Vector<float> c) { return vfmaq_f32(c, a, b); }
Vector<double> fma(Vector<double> a, Vector<double> b, Vector<double> c) {
  return vfmaq_f64(c, a, b);
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
#pragma GCC unroll 16
    for (int k = 0; k < kSums; ++k) sum[k] = fma(sum[k], a, b);
#pragma GCC unroll 16
  for (int k = 0; k < kSums; ++k) asm volatile("" : : "m"(sum[k]));
}

#if defined(__AVX512F__)
// Products of pairs of zeros, added to independent sums: twice as many as above, as VDPBF16PS takes
// 6 cycles on Zen 5, and two begin in each.
[[gnu::target("avx512bf16")]] void fma_bf16(int64_t rounds) {
  __m512 sum[2 * kSums] = {};
  __m512i pairs = {};
  asm volatile("" : "+m"(pairs));
  for (int64_t i = 0; i < rounds; i += 2)
#pragma GCC unroll 24
    for (int k = 0; k < 2 * kSums; ++k)
      sum[k] = _mm512_dpbf16_ps(sum[k], (__m512bh)pairs, (__m512bh)pairs);
#pragma GCC unroll 24
  for (int k = 0; k < 2 * kSums; ++k) asm volatile("" : : "m"(sum[k]));
}

// Four products of tiles (16,32) (32,16), each tile loaded once from L1 and used twice, as a matrix
// product must. Products of tiles that stay in registers, or of zeros, run faster.
[[gnu::target("amx-tile,amx-bf16")]] void tiles_bf16(int64_t rounds) {
  struct alignas(64) Config {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  } config;
  constexpr int kTile = 16 * 32;
  alignas(64) uint16_t numbers[4 * kTile];  // 0.5 to 2, of both signs
  for (int i = 0; i < 4 * kTile; ++i)
    numbers[i] = static_cast<uint16_t>(0x3f00 | (i * 0x9e3779b1u >> 16 & 0x80ff));
  asm volatile("" : "+m"(config), "+m"(numbers));
  _tile_loadconfig(&config);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int64_t i = 0; i < rounds; ++i) {
    _tile_loadd(6, numbers, 64);
    _tile_loadd(4, numbers + 2 * kTile, 64);
    _tile_loadd(7, numbers + kTile, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(5, numbers + 3 * kTile, 64);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_release();
}
#else
constexpr void (*fma_bf16)(int64_t) = nullptr;
constexpr void (*tiles_bf16)(int64_t) = nullptr;
#endif

#if defined(__AVX512F__)
void stream(char* p, Vector<float> v) { _mm512_stream_ps(reinterpret_cast<float*>(p), v); }
#elif defined(__AVX__)
void stream(char* p, Vector<float> v) { _mm256_stream_ps(reinterpret_cast<float*>(p), v); }
#elif defined(__SSE2__)
void stream(char* p, Vector<float> v) { _mm_stream_ps(reinterpret_cast<float*>(p), v); }
#else
void stream(char* p, Vector<float> v) { *reinterpret_cast<Vector<float>*>(p) = v; }
#endif

constexpr int64_t kLine = 64, kAhead = 4096;  // bytes: reads are asked for so early

// Each vector written is the sum of those read, or of ones.
template <bool kStreaming, int kReads, int kWrites>
void move(const char* const* x, char* const* y, int64_t lines, int64_t x_step, int64_t y_step) {
  const char* from[kReads + 1];
  char* to[kWrites + 1];
  for (int k = 0; k < kReads; ++k) from[k] = x[k];
  for (int k = 0; k < kWrites; ++k) to[k] = y[k];
#pragma GCC unroll 4
  for (int64_t i = 0; i < lines; ++i) {
    const int64_t here = i * x_step * kLine, there = i * y_step * kLine;
    if (kStreaming)
      for (int k = 0; k < kReads; ++k) __builtin_prefetch(from[k] + here + kAhead);
    for (int64_t at = 0; at < kLine; at += kBytes) {
      Vector<float> v = Vector<float>{} + static_cast<float>(kReads == 0);
      for (int k = 0; k < kReads; ++k)
        v += *reinterpret_cast<const Vector<float>*>(from[k] + here + at);
#if defined(__x86_64__)
      asm volatile("" : "+x"(v));  // opaque, or the compiler calls memcpy or memset
#else
      asm volatile("" : "+w"(v));
#endif
      for (int k = 0; k < kWrites; ++k) {
        if constexpr (kStreaming) {
          stream(to[k] + there + at, v);
        } else {
          *reinterpret_cast<Vector<float>*>(to[k] + there + at) = v;
        }
      }
    }
  }
#if defined(__SSE2__)
  if (kStreaming) _mm_sfence();
#endif
}

// Loads alone: nothing else takes part.
template <int kReads>
void read(const char* const* x, char* const*, int64_t lines, int64_t x_step, int64_t) {
  const char* from[kReads];
  for (int k = 0; k < kReads; ++k) from[k] = x[k];
#pragma GCC unroll 4
  for (int64_t i = 0; i < lines; ++i) {
    for (int k = 0; k < kReads; ++k) {
      const char* line = from[k] + i * x_step * kLine;
      __builtin_prefetch(line + kAhead);
      for (int64_t at = 0; at < kLine; at += kBytes) {
        const auto v = *reinterpret_cast<const Vector<float>*>(line + at);
#if defined(__x86_64__)
        asm volatile("" : : "x"(v));
#else
        asm volatile("" : : "w"(v));
#endif
      }
    }
  }
}

template <int kReads, int kWrites>
constexpr void set_moves(LimitKernels& k) {
  if constexpr (kWrites == 0) {
    k.move[0][kReads][kWrites] = k.move[1][kReads][kWrites] = read<kReads>;
  } else {
    k.move[0][kReads][kWrites] = move<false, kReads, kWrites>;
    k.move[1][kReads][kWrites] = move<true, kReads, kWrites>;
  }
  if constexpr (kWrites < kMostWrites) {
    set_moves<kReads, kWrites + 1>(k);
  } else if constexpr (kReads < kMostReads) {
    set_moves<kReads + 1, 0>(k);
  }
}

template <class T>
constexpr int64_t flops_per_round = 2 * kSums * (kBytes / static_cast<int>(sizeof(T)));

constexpr LimitKernels make_kernels() {
  LimitKernels k{flops_per_round<float>,
                 flops_per_round<double>,
                 fma_loop<float>,
                 fma_loop<double>,
                 fma_bf16,
                 tiles_bf16,
                 {}};
  set_moves<0, 1>(k);
  return k;
}

}  // namespace

const LimitKernels limit_kernels = make_kernels();

}  // namespace dlx::DLX_ISA

// What the machine lends this process: the instruction set that kernels run on, chosen once, at
// first use, from the CPU or from DLX_ISA; and the number of CPUs.
#pragma once
#include <array>

namespace dlx {

// portable: what every CPU of the architecture has.
#if defined(__aarch64__)
// NEON with FMA: Armv8-A.
enum class Isa { portable };
constexpr int kNumIsas = 1;
constexpr const char* kIsaName[kNumIsas] = {"portable"};
#else
// x86-64-v1 to v4 of the psABI: v2 adds SSE4.2, avx2 is v3 (with FMA, F16C, BMI2), avx512 is v4 (F,
// BW, CD, DQ, VL).
enum class Isa { portable, x86_64_v2, avx2, avx512 };
constexpr int kNumIsas = 4;
constexpr const char* kIsaName[kNumIsas] = {"portable", "x86-64-v2", "avx2", "avx512"};
#endif

int usable_cpus();  // by affinity and cgroup quota (v1 and v2, rounded up)

Isa best_isa();  // the most this CPU and its operating system run
// Throws std::invalid_argument naming the legal values for an unknown name or one this CPU cannot
// run.
void set_isa(const char* name);

// VDPBF16PS, where avx512 is the level in use.
bool has_bf16();
// It does more multiply-adds than float32's. Not on cores with AMX: Granite Rapids has 125 GFLOP/s
// of it beside 243 in float32.
bool has_fast_bf16();
// AMX's tiles of bfloat16, where avx512 is the level in use. The first call asks Linux to let this
// process use them: it keeps 8 KB more of each thread that does.
bool has_amx_bf16();

namespace detail {
extern int chosen_isa;  // -1: not chosen yet
Isa choose_isa();
}  // namespace detail

// best_isa(), or what DLX_ISA or set_isa asked for; the first call throws as set_isa does. Asked on
// every kernel call: one plain load. always_inline and a builtin, so that kernel files emit no
// function that instruction sets share.
[[gnu::always_inline]] inline Isa current_isa() {
  const int isa = __atomic_load_n(&detail::chosen_isa, __ATOMIC_RELAXED);
  return isa >= 0 ? static_cast<Isa>(isa) : detail::choose_isa();
}

// Each family of kernels ends in one table of function pointers, defined once per level:
//   DLX_EACH_ISA(extern const RowKernels row_kernels;)
//   const RowKernels& row_kernels() { return DLX_SELECT_ISA(row_kernels); }
#if defined(__aarch64__)
#define DLX_EACH_ISA(declaration) \
  namespace portable {            \
  declaration                     \
  }
#define DLX_SELECT_ISA(table) \
  (*std::array{&portable::table}[static_cast<int>(::dlx::current_isa())])
#else
#define DLX_EACH_ISA(declaration) \
  namespace portable {            \
  declaration                     \
  }                               \
  namespace x86_64_v2 {           \
  declaration                     \
  }                               \
  namespace avx2 {                \
  declaration                     \
  }                               \
  namespace avx512 {              \
  declaration                     \
  }
#define DLX_SELECT_ISA(table)                                     \
  (*std::array{&portable::table, &x86_64_v2::table, &avx2::table, \
               &avx512::table}[static_cast<int>(::dlx::current_isa())])
#endif

}  // namespace dlx

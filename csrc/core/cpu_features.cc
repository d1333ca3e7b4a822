#include "core/cpu_features.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif
#include <sched.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <string>

namespace dlx {

namespace {

#if defined(__x86_64__)
// Of CPUID, leaf 7.
bool cpu_has_amx_bf16() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> 22 & 1) && (d >> 24 & 1);
}

// Documentation/arch/x86/xstate.rst of Linux. A kernel without tiles, or a process whose signal
// stacks are too small for them, gets no permission.
bool may_use_tiles() {
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}
#endif

constexpr int kNoQuota = 1 << 20;

// CPUs granted by the quota in one cgroup folder, rounded up: v2 has "max 100000" or "150000
// 100000" in cpu.max, v1 has two files, with quota -1 for none.
int quota_of(const std::string& folder) {
  std::string quota;
  double period = 0;
  if (!(std::ifstream(folder + "/cpu.max") >> quota >> period)) {
    std::ifstream(folder + "/cpu.cfs_quota_us") >> quota;
    std::ifstream(folder + "/cpu.cfs_period_us") >> period;
  }
  const double granted = std::atof(quota.c_str());  // 0 for "max" and for no file
  return granted > 0 && period > 0 ? std::min<double>(kNoQuota, std::ceil(granted / period))
                                   : kNoQuota;
}

// The tightest quota on the way from this process's cgroup to the root. In a container the listed
// path may be the host's; then only the root, which is the container's own cgroup, exists.
int cgroup_cpus() {
  int cpus = kNoQuota;
  std::ifstream groups("/proc/self/cgroup");  // lines "id:controllers:path"; v2 has no controllers
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':') + 1, second = line.find(':', first);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first, second - first) + ",";
    const bool v1 = controllers.find(",cpu,") != std::string::npos;
    if (!v1 && controllers != ",,") continue;
    const std::string root = v1 ? "/sys/fs/cgroup/cpu" : "/sys/fs/cgroup";
    std::string path = line.substr(second + 1);
    cpus = std::min(cpus, quota_of(root + path));
    for (size_t slash; (slash = path.rfind('/')) != std::string::npos;) {
      path.resize(slash);
      cpus = std::min(cpus, quota_of(root + path));
    }
  }
  return cpus;
}

}  // namespace

int detail::chosen_isa = -1;

Isa best_isa() {
#if defined(__x86_64__)
  __builtin_cpu_init();  // CPUID, and XGETBV for the registers that the operating system saves
  if (__builtin_cpu_supports("x86-64-v4")) return Isa::avx512;
  if (__builtin_cpu_supports("x86-64-v3")) return Isa::avx2;
  if (__builtin_cpu_supports("x86-64-v2")) return Isa::x86_64_v2;
#endif
  return Isa::portable;
}

void set_isa(const char* name) {
  const std::string wanted = name;
  int isa = 0;
  while (isa < kNumIsas && wanted != kIsaName[isa]) ++isa;
  if (isa == kNumIsas) {
    std::string names = kIsaName[0];
    for (int i = 1; i < kNumIsas; ++i) names += std::string(", ") + kIsaName[i];
    throw std::invalid_argument("DLX_ISA: expected one of " + names + "; got '" + wanted + "'");
  }
  const int best = static_cast<int>(best_isa());
  if (isa > best)
    throw std::invalid_argument("DLX_ISA=" + wanted + ": this CPU supports up to " +
                                kIsaName[best]);
  __atomic_store_n(&detail::chosen_isa, isa, __ATOMIC_RELAXED);
}

bool has_bf16() {
#if defined(__x86_64__)
  static const bool present = __builtin_cpu_supports("avx512bf16");
  return present && current_isa() == Isa::avx512;
#else
  return false;
#endif
}

bool has_fast_bf16() {
#if defined(__x86_64__)
  static const bool amx = cpu_has_amx_bf16();
  return has_bf16() && !amx;
#else
  return false;
#endif
}

bool has_amx_bf16() {
#if defined(__x86_64__)
  if (!has_bf16()) return false;
  static const bool usable = cpu_has_amx_bf16() && may_use_tiles();
  return usable;
#else
  return false;
#endif
}

Isa detail::choose_isa() {
  const char* env = std::getenv("DLX_ISA");
  set_isa(env && *env ? env : kIsaName[static_cast<int>(best_isa())]);
  return current_isa();
}

int usable_cpus() {
  static const int cpus = [] {
    cpu_set_t set;
    const bool known = sched_getaffinity(0, sizeof set, &set) == 0;  // fails above 1024 CPUs
    return std::max(1, std::min(known ? CPU_COUNT(&set) : 1024, cgroup_cpus()));
  }();
  return cpus;
}

}  // namespace dlx

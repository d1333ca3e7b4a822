// What tests in Python ask of the emulator, by ctypes.
#include <string>

#include "launch.h"

// A line for each kernel that the program could launch: how often it did, a tab, the kernel's name.
extern "C" __attribute__((visibility("default"))) const char* dlx_simt_launch_counts() {
  static std::string text;
  text.clear();
  for (const simt::LaunchCount* c : simt::launch_counts())
    text += std::to_string(c->launches) + '\t' + c->name + '\n';
  return text.c_str();
}

#pragma once

#include "packproof/kernel_abi.h"

#include <stdexcept>
#include <string>
#include <vector>

#include <dlfcn.h>

namespace packproof {

/// The host builds of our kernels that this CPU can run, the fastest first.
inline std::vector<std::string> runnable_library_files() {
  std::vector<std::string> files;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    files.emplace_back("packproof_kernels_host_v3.so");
  }
  files.emplace_back("packproof_kernels_host.so");
  return files;
}

/// Loads a module from the build's bin folder, for the rest of the process.
inline const packproof_library& load_library(const std::string& file) {
  const std::string path = std::string(PACKPROOF_BINARY_DIR) + "/bin/" + file;
  void* module = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (module == nullptr) throw std::runtime_error(dlerror());
  const auto entry =
      reinterpret_cast<packproof_kernel_library_fn>(dlsym(module, "packproof_kernel_library"));
  if (entry == nullptr) throw std::runtime_error(path + ": no packproof_kernel_library");
  return *entry();
}

inline const packproof_library& fastest_library() {
  return load_library(runnable_library_files()[0]);
}

inline const packproof_kernel& kernel_of(const packproof_library& library, packproof_op op) {
  for (int64_t i = 0; i < library.num_kernels; ++i) {
    if (library.kernels[i].op == op) return library.kernels[i];
  }
  throw std::runtime_error("no kernel of op " + std::to_string(op));
}

/// A call's status and sentence.
struct LaunchResult {
  packproof_status status;
  std::string sentence;
};

template <typename Args>
LaunchResult launch_on(const packproof_library& library, packproof_op op, const Args& args) {
  packproof_message message{};
  const packproof_status status =
      kernel_of(library, op).launch(&args, nullptr, 0, nullptr, &message);
  return {status, message.text};
}

}  // namespace packproof

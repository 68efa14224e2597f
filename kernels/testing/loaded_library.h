#pragma once

#include "kernels/testing/test_memory.h"
#include "packproof/kernel_abi.h"

#include <cstddef>
#include <memory>
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

/// The first kernel of an op that supports a call, or the last one where none does; with a variant
/// demanded, that one.
inline const packproof_kernel& kernel_of(const packproof_library& library, packproof_op op,
                                         const void* args, const std::string& variant = "") {
  const packproof_kernel* last = nullptr;
  for (int64_t i = 0; i < library.num_kernels; ++i) {
    const packproof_kernel& kernel = library.kernels[i];
    if (kernel.op != op || (!variant.empty() && variant != kernel.variant)) continue;
    last = &kernel;
    if (kernel.unsupported_reason(args, test_device_sm()) == nullptr) break;
  }
  if (last == nullptr) {
    throw std::runtime_error("no kernel '" + variant + "' of op " + std::to_string(op));
  }
  return *last;
}

/// A call's status and sentence.
struct LaunchResult {
  packproof_status status;
  std::string sentence;
};

/// Memory for one call's workspace, full of NaN. It stays until the next call, since a device may
/// still be at work when `launch` returns.
inline void* test_workspace(std::size_t bytes) {
  constexpr std::size_t kAlignment = 256;
  static TestVector<unsigned char> memory;
  memory.assign(bytes + kAlignment, 0xff);
  void* address = memory.data();
  std::size_t space = memory.size();
  return bytes == 0 ? nullptr : std::align(kAlignment, bytes, address, space);
}

template <typename Args>
LaunchResult launch_on(const packproof_library& library, packproof_op op, const Args& args,
                       const std::string& variant = "") {
  packproof_message message{};
  const packproof_kernel& kernel = kernel_of(library, op, &args, variant);
  const std::size_t bytes = kernel.workspace_size(&args);
  const packproof_status status =
      kernel.launch(&args, test_workspace(bytes), bytes, nullptr, &message);
  return {status, message.text};
}

}  // namespace packproof

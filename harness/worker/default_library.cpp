#include "harness/worker/default_library.h"

#include <array>
#include <vector>

#include <unistd.h>

namespace packproof {

namespace {

bool readable(const std::string& path) { return ::access(path.c_str(), R_OK) == 0; }

bool supports_x86_64_v3() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("bmi2");
#else
  return false;
#endif
}

}  // namespace

std::string executable_folder() {
  std::array<char, 4096> path;
  const ssize_t length = ::readlink("/proc/self/exe", path.data(), path.size());
  const std::string full(path.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
  const std::size_t slash = full.rfind('/');
  return slash == std::string::npos ? "." : full.substr(0, slash);
}

Result<std::string> default_library(std::string_view device) {
  std::vector<std::string> names;
  if (device == "host") {
    if (supports_x86_64_v3()) names.emplace_back("packproof_kernels_host_v3.so");
    names.emplace_back("packproof_kernels_host.so");
  } else if (device == "cuda") {
    names.emplace_back("packproof_kernels_cuda.so");
  } else {
    return usage_error("device: expected host or cuda, found '" + std::string(device) + "'");
  }
  const std::string folder = executable_folder();
  for (const std::string& name : names) {
    if (readable(folder + "/" + name)) return folder + "/" + name;
  }
  return infrastructure_error("the kernel library '" + folder + "/" + names.back() +
                              "' does not exist; build the target of that name");
}

}  // namespace packproof

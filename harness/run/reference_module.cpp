#include "harness/run/reference_module.h"

#include <cstdlib>
#include <string>
#include <string_view>
#include <system_error>

#include <dlfcn.h>

namespace packproof {

namespace {

constexpr const char* kModuleName = "packproof_reference.so";
constexpr const char* kSymbol = "packproof_reference";

Result<const reference::Reference*> open_module() {
  const std::filesystem::path path = reference_module_path();
  std::error_code code;
  if (!std::filesystem::exists(path, code))
    return infrastructure_error("the reference module '" + path.string() +
                                "' is not there: build with PACKPROOF_ENABLE_REFERENCE=ON, or set "
                                "PACKPROOF_MODULE_DIR to the folder that holds it");
  // Never closed: libtorch does not survive being unloaded.
  void* module = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (module == nullptr)
    return infrastructure_error("the reference module cannot be loaded: " + std::string(dlerror()));
  using Interface = const char* (*)();
  const auto interface =
      reinterpret_cast<Interface>(dlsym(module, "packproof_reference_interface"));
  if (interface == nullptr || std::string_view(interface()) != PACKPROOF_REFERENCE_INTERFACE)
    return infrastructure_error("the reference module '" + path.string() +
                                "' was built from other headers than this program: build both from "
                                "one source tree");
  using EntryPoint = const reference::Reference* (*)();
  const auto entry = reinterpret_cast<EntryPoint>(dlsym(module, kSymbol));
  const reference::Reference* reference = entry == nullptr ? nullptr : entry();
  if (reference == nullptr)
    return infrastructure_error("the reference module '" + path.string() +
                                "' gives no reference under the symbol " + kSymbol);
  return reference;
}

}  // namespace

std::filesystem::path reference_module_path() {
  if (const char* folder = std::getenv("PACKPROOF_MODULE_DIR"); folder != nullptr && *folder != 0)
    return std::filesystem::path(folder) / kModuleName;
  std::error_code code;
  return std::filesystem::read_symlink("/proc/self/exe", code).parent_path() / kModuleName;
}

Result<const reference::Reference*> load_reference() {
  static const Result<const reference::Reference*> reference = open_module();
  return reference;
}

}  // namespace packproof

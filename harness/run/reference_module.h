#pragma once

#include "harness/core/result.h"
#include "reference/reference.h"

#include <filesystem>

namespace packproof {

/// The double-precision reference, loaded on the first call: libtorch costs half a second at start,
/// which commands that compute nothing must not pay.
///
/// The module `packproof_reference.so` is looked for in the folder named by the environment variable
/// PACKPROOF_MODULE_DIR when that is set, else beside the running program. The object lives as long
/// as the process. A missing or broken module is an error on every call. Safe from any thread.
Result<const reference::Reference*> load_reference();

/// The file that `load_reference` opens.
std::filesystem::path reference_module_path();

}  // namespace packproof

#pragma once

#include "harness/core/result.h"

#include <string>
#include <string_view>

namespace packproof {

/// The folder of the running executable, where modules stand beside it.
std::string executable_folder();

/// The project's own kernel library for "host" or "cuda", beside the executable: on a CPU with AVX2,
/// FMA and BMI2 the build for x86-64-v3 where it exists. kUsage for another device; kInfrastructure
/// when the file is missing.
Result<std::string> default_library(std::string_view device);

}  // namespace packproof

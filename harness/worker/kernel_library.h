#pragma once

#include "harness/candidate/candidate.h"
#include "harness/core/op_call.h"
#include "harness/core/result.h"
#include "packproof/kernel_abi.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace packproof {

/// A loaded shared object that exports packproof_kernel_library(). Lives in the worker process
/// only, and is never unloaded: code of a library may still run at exit.
class KernelLibrary {
 public:
  /// Loads with RTLD_NOW | RTLD_LOCAL and checks the table. kUsage when the file can't be loaded,
  /// kInvalidInput when its table is missing, null, of another version or has malformed rows.
  static Result<KernelLibrary> load(const std::string& path);

  /// One row of the table, or why no row takes the call.
  struct Selection {
    const packproof_kernel* kernel = nullptr;
    std::string refusal;
  };

  /// The first row of op and direction whose unsupported_reason is null; with a demanded variant
  /// only rows of that name are asked.
  Selection select(Op op, Direction direction, std::string_view variant, const void* args,
                   int32_t sm) const;

  const packproof_library& table() const { return *table_; }

  bool on_cuda() const { return table_->device == PACKPROOF_DEVICE_CUDA; }

  /// Its delta rules know the pool of states that a call over whole sequences may have.
  bool has_state_pools() const;

  /// Loading left the floating-point control word changed (it was put back).
  bool changed_float_mode() const { return changed_float_mode_; }

  /// What the library says of itself. Capabilities list the dtypes that the rows of an op take; shapes
  /// and options a row refuses by unsupported_reason, call by call.
  CandidateInfo info() const;

 private:
  KernelLibrary() = default;

  Status check_rows(const std::string& path);
  std::vector<const packproof_kernel*> rows_of(Op op, Direction direction) const;

  const packproof_library* table_ = nullptr;
  std::vector<const packproof_kernel*> rows_;
  std::string identity_;
  bool changed_float_mode_ = false;
};

}  // namespace packproof

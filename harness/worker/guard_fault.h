#pragma once

#include <cstddef>
#include <string_view>

namespace packproof {

/// Guard pages around one buffer, for the sentence a fault leaves behind. The name is shortened to
/// 63 characters.
struct GuardedRange {
  const std::byte* guard_begin;
  const std::byte* begin;
  const std::byte* end;
  const std::byte* guard_end;
};

/// Makes SIGSEGV and SIGBUS write one line to standard error before the process dies of them:
/// "causal_conv1d fwd 'naive' wrote past the end of 'output' (end + 4 bytes)". Once per process.
void install_fault_report();

/// Announces what is running, for the fault line; empty when nothing is.
void set_fault_context(std::string_view call);

/// Keeps a range known to the fault report while it lives.
class FaultRegistration {
 public:
  FaultRegistration(std::string_view name, const GuardedRange& range);
  FaultRegistration(const FaultRegistration&) = delete;
  FaultRegistration& operator=(const FaultRegistration&) = delete;
  ~FaultRegistration();

 private:
  int slot_;  ///< -1 when all slots are taken: the fault is then reported without the name.
};

}  // namespace packproof

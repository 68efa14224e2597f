#pragma once

#include "kernels/common/launch.cuh"
#include "kernels/simt/launch.h"

#include <string>

#include <gtest/gtest.h>

namespace packproof::simt {

/// Launches and returns the sentence of the fault; empty when there is none.
template <auto kKernel, class... Args>
std::string fault_of(const LaunchConfig& config, Args... args) {
  packproof_message message{};
  const packproof_status status = launch<kKernel>(config, &message, args...);
  EXPECT_TRUE(status == PACKPROOF_OK || status == PACKPROOF_UNDEFINED_BEHAVIOUR) << message.text;
  EXPECT_EQ(status == PACKPROOF_OK, message.text[0] == '\0') << message.text;
  return message.text;
}

/// Runs under a schedule seed until the end of the scope.
class ScopedSchedule {
 public:
  explicit ScopedSchedule(uint64_t seed) { set_schedule(seed); }

  ~ScopedSchedule() { set_schedule(0); }

  ScopedSchedule(const ScopedSchedule&) = delete;
  ScopedSchedule& operator=(const ScopedSchedule&) = delete;
};

}  // namespace packproof::simt

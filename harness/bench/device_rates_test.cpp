#include "harness/bench/device_rates.h"

#include "harness/worker/host_device.h"

#include <gtest/gtest.h>

namespace packproof {
namespace {

TEST(DeviceRates, TheHostCopiesAndHasNoProductToCompareWith) {
  HostDevice host;
  const Result<DeviceRates> rates = measure_rates(host);
  ASSERT_TRUE(rates.ok()) << rates.error().message;
  EXPECT_EQ(rates->device, "host");
  EXPECT_GT(rates->copy_bytes_per_second, 1e8);
  EXPECT_EQ(rates->product_flop_per_second, 0.0);
  EXPECT_FALSE(rates->product_remark.empty());
}

}  // namespace
}  // namespace packproof

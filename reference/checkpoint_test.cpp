#include "reference/checkpoint.h"

#include <array>

#include <gtest/gtest.h>

namespace packproof::reference {
namespace {

const std::filesystem::path kModels = PACKPROOF_SOURCE_DIR "/fixtures/oracle/models";

TEST(Checkpoint, LoadsEveryOracleModel) {
  for (const char* name :
       {"dense_r3", "dense_tied", "moe_r2", "next_r4", "dense_multimodal_bf16"}) {
    SCOPED_TRACE(name);
    const auto config = load_model_config(kModels / name);
    ASSERT_TRUE(config.ok()) << config.error().message;
    const auto checkpoint = load_checkpoint(kModels / name, *config, nullptr);
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.error().message;
    const Status status = check_tensors(*config, *checkpoint);
    EXPECT_TRUE(status.ok()) << status.error().message;
  }
}

}  // namespace
}  // namespace packproof::reference

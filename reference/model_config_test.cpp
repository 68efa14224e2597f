#include "reference/model_config.h"

#include <gtest/gtest.h>

namespace packproof::reference {
namespace {

TEST(ModelConfig, AppliesTheClassDefaults) {
  const auto config = parse_model_config(R"({"model_type": "qwen3_5_text"})", "config.json");
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->hidden_size, 4096);
  EXPECT_EQ(config->rotary_dim(), 64);
  EXPECT_EQ(config->layer_types.size(), 32u);
}

}  // namespace
}  // namespace packproof::reference

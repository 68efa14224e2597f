#include "reference/model_config.h"

#include "reference/checkpoint.h"

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace packproof::reference {
namespace {

/// A configuration of class defaults with `fields` (JSON members) in addition.
std::string document(const std::string& model_type, const std::string& fields) {
  std::string text = R"({"model_type": ")" + model_type + "\"";
  if (!fields.empty()) text += ", " + fields;
  return text + "}";
}

Result<ModelConfig> parsed(const std::string& fields, const std::string& type = "qwen3_5_text") {
  return parse_model_config(document(type, fields), "config.json");
}

std::string refusal_of(const std::string& fields, const std::string& type = "qwen3_5_text") {
  const auto config = parsed(fields, type);
  return config.ok() ? "accepted" : config.error().message;
}

TEST(ModelConfig, HasTheDefaultsOfQwen35) {
  const auto config = parsed("");
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->family, ModelFamily::kQwen35);
  EXPECT_EQ(config->vocab_size, 248320);
  EXPECT_EQ(config->hidden_size, 4096);
  EXPECT_EQ(config->intermediate_size, 12288);
  EXPECT_EQ(config->num_hidden_layers, 32);
  EXPECT_EQ(config->num_attention_heads, 16);
  EXPECT_EQ(config->num_key_value_heads, 4);
  EXPECT_EQ(config->head_dim, 256);
  EXPECT_EQ(config->rotary_dim(), 64);
  EXPECT_EQ(config->conv_dim(), 8192);
  EXPECT_EQ(config->linear_conv_kernel_dim, 4);
  EXPECT_EQ(config->rope_theta, 10000.0);
  EXPECT_EQ(config->rms_norm_eps, 1e-6);
  EXPECT_EQ(config->mrope_section, (std::vector<int64_t>{11, 11, 10}));
  EXPECT_FALSE(config->tie_word_embeddings);
  EXPECT_FALSE(config->is_moe_layer(0));
  ASSERT_EQ(config->layer_types.size(), 32u);
  for (std::size_t i = 0; i < 32; ++i) {
    EXPECT_EQ(config->layer_types[i] == LayerType::kFullAttention, i % 4 == 3) << i;
  }
}

TEST(ModelConfig, HasTheDefaultsOfTheMixtures) {
  const auto moe = parsed("", "qwen3_5_moe_text");
  ASSERT_TRUE(moe.ok()) << moe.error().message;
  EXPECT_EQ(moe->vocab_size, 248320);
  EXPECT_EQ(moe->hidden_size, 2048);
  EXPECT_EQ(moe->num_hidden_layers, 40);
  EXPECT_EQ(moe->num_key_value_heads, 2);
  EXPECT_EQ(moe->num_experts, 256);
  EXPECT_EQ(moe->num_experts_per_tok, 8);
  EXPECT_EQ(moe->moe_intermediate_size, 512);
  EXPECT_TRUE(moe->norm_topk_prob);
  EXPECT_TRUE(moe->is_moe_layer(0));
  const auto next = parsed("", "qwen3_next");
  ASSERT_TRUE(next.ok()) << next.error().message;
  EXPECT_EQ(next->vocab_size, 151936);
  EXPECT_EQ(next->hidden_size, 2048);
  EXPECT_EQ(next->intermediate_size, 5632);
  EXPECT_EQ(next->num_hidden_layers, 48);
  EXPECT_EQ(next->num_experts, 512);
  EXPECT_EQ(next->num_experts_per_tok, 10);
  EXPECT_TRUE(next->norm_topk_prob);
}

TEST(ModelConfig, ReadsANestedTextConfig) {
  for (const auto& [type, text_type] :
       {std::pair("qwen3_5", "qwen3_5_text"), std::pair("qwen3_5_moe", "qwen3_5_moe_text")}) {
    const auto config = parsed(R"("tie_word_embeddings": true, "hidden_size": 7,
        "text_config": {"hidden_size": 96, "model_type": ")" +
                                   std::string(text_type) + "\"}",
                               type);
    ASSERT_TRUE(config.ok()) << config.error().message;
    EXPECT_EQ(config->hidden_size, 96);
    EXPECT_TRUE(config->tie_word_embeddings);
  }
  EXPECT_EQ(refusal_of("", "qwen3_5"),
            "config.json: text_config: expected an object, found nothing");
  EXPECT_EQ(refusal_of(R"("text_config": {"model_type": "llama"})", "qwen3_5"),
            "config.json: text_config.model_type: expected \"qwen3_5_text\", found \"llama\"");
  EXPECT_EQ(refusal_of(R"("text_config": {"head_dim": "a"})", "qwen3_5"),
            "config.json: text_config.head_dim: expected an integer, found \"a\"");
}

TEST(ModelConfig, TakesRotaryParametersFromTheFirstPlaceThatHasThem) {
  struct Row {
    const char* fields;
    double theta;
    double factor;
  };

  const std::vector<Row> rows{
      {"", 1e4, 0.25},
      {R"("rope_parameters": null, "rope_scaling": null)", 1e4, 0.25},
      {R"("rope_theta": 1000000, "partial_rotary_factor": 0.5)", 1e6, 0.5},
      {R"("rope_parameters": {"rope_theta": 1e7})", 1e7, 0.25},
      {R"("rope_parameters": {"rope_theta": 1e7}, "rope_theta": 1e5, "partial_rotary_factor": 1)",
       1e7, 1.0},
      {R"("rope_parameters": {"partial_rotary_factor": 0.5}, "partial_rotary_factor": 1)", 1e4,
       0.5},
      {R"("rope_scaling": {"type": "default", "rope_theta": 3}, "rope_parameters": {"rope_theta": 4, "partial_rotary_factor": 0.5})",
       3.0, 0.25},
      {R"("rope_scaling": {}, "rope_parameters": {"rope_theta": 4})", 4.0, 0.25},
  };
  for (const Row& row : rows) {
    const auto config = parsed(row.fields);
    ASSERT_TRUE(config.ok()) << row.fields << ": " << config.error().message;
    EXPECT_EQ(config->rope_theta, row.theta) << row.fields;
    EXPECT_EQ(config->partial_rotary_factor, row.factor) << row.fields;
  }
}

TEST(ModelConfig, UnderstandsLayerTypes) {
  const auto interval = parsed(R"("num_hidden_layers": 5, "full_attention_interval": 2)");
  ASSERT_TRUE(interval.ok()) << interval.error().message;
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(interval->layer_types[i] == LayerType::kFullAttention, i % 2 == 1);
  }
  const auto listed = parsed(R"("num_hidden_layers": 3, "full_attention_interval": 0,
      "layer_types": ["full_attention", "mamba", "attention"])");
  ASSERT_TRUE(listed.ok()) << listed.error().message;
  EXPECT_EQ(listed->layer_types,
            (std::vector<LayerType>{LayerType::kFullAttention, LayerType::kLinearAttention,
                                    LayerType::kFullAttention}));
}

TEST(ModelConfig, DecidesWhichLayersOfQwen3NextAreMixtures) {
  const auto config = parsed(
      R"("num_hidden_layers": 6, "decoder_sparse_step": 2, "mlp_only_layers": [3])", "qwen3_next");
  ASSERT_TRUE(config.ok()) << config.error().message;
  for (int64_t layer = 0; layer < 6; ++layer) {
    EXPECT_EQ(config->is_moe_layer(layer), layer == 1 || layer == 5) << layer;
  }
  const auto dense = parsed(R"("num_experts": 0, "num_experts_per_tok": 10)", "qwen3_next");
  ASSERT_TRUE(dense.ok()) << dense.error().message;
  EXPECT_FALSE(dense->is_moe_layer(0));
}

TEST(ModelConfig, PadTokenMayBeNone) {
  EXPECT_EQ(parsed(R"("pad_token_id": 3)")->pad_token_id, 3);
  EXPECT_EQ(parsed(R"("pad_token_id": null)")->pad_token_id, std::nullopt);
  EXPECT_FALSE(parsed(R"("pad_token_id": "three")").ok());
}

TEST(ModelConfig, IgnoresWhatTheClassDoesNotHave) {
  const auto dense = parsed(R"("num_experts": "many", "attn_output_gate": true,
      "mamba_ssm_dtype": "float32", "mtp_num_hidden_layers": 1, "pad_token_id": null)");
  EXPECT_TRUE(dense.ok()) << dense.error().message;
  const auto moe = parsed(R"("norm_topk_prob": false, "intermediate_size": null,
      "mlp_only_layers": [0], "decoder_sparse_step": 0)",
                          "qwen3_5_moe_text");
  ASSERT_TRUE(moe.ok()) << moe.error().message;
  EXPECT_TRUE(moe->norm_topk_prob);
  EXPECT_TRUE(moe->is_moe_layer(0));
}

TEST(ModelConfig, RefusesByFieldAndValue) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {R"("hidden_size": "4096")", "hidden_size: expected an integer, found \"4096\""},
      {R"("hidden_size": 4096.0)", "hidden_size: expected an integer, found 4096.0"},
      {R"("hidden_size": null)", "hidden_size: expected an integer, found null"},
      {R"("hidden_size": 18446744073709551615)",
       "hidden_size: expected an integer, found 18446744073709551615"},
      {R"("hidden_size": 0)", "hidden_size: expected an integer from 1 to 2147483647, found 0"},
      {R"("vocab_size": -1)", "vocab_size: expected an integer from 1 to 2147483647, found -1"},
      {R"("head_dim": 2147483648)",
       "head_dim: expected an integer from 1 to 2147483647, found 2147483648"},
      {R"("num_hidden_layers": 1000000000)",
       "num_hidden_layers: expected an integer from 1 to 4096, found 1000000000"},
      {R"("tie_word_embeddings": 1)", "tie_word_embeddings: expected true or false, found 1"},
      {R"("rms_norm_eps": "small")", "rms_norm_eps: expected a number, found \"small\""},
      {R"("rms_norm_eps": 0)", "rms_norm_eps: expected a positive number, found 0"},
      {R"("hidden_act": "gelu")", "hidden_act: expected \"silu\" or \"swish\", found \"gelu\""},
      {R"("num_attention_heads": 6)",
       "num_attention_heads: expected a multiple of num_key_value_heads = 4, found 6"},
      {R"("linear_num_value_heads": 24)",
       "linear_num_value_heads: expected a multiple of linear_num_key_heads = 16, found 24"},
      {R"("linear_conv_kernel_dim": 1)",
       "linear_conv_kernel_dim: expected an integer from 2 to 64, found 1"},
      {R"("head_dim": 20)",
       "partial_rotary_factor: expected an even rotary width floor(head_dim * "
       "partial_rotary_factor) of at least 2 with head_dim = 20, found 0.25, which gives 5"},
      {R"("partial_rotary_factor": 1.5)",
       "partial_rotary_factor: expected a number above 0 and at most 1, found 1.5"},
      {R"("rope_theta": -1)", "rope_theta: expected a positive number, found -1"},
      {R"("rope_parameters": {"rope_type": "yarn", "factor": 4})",
       "rope_parameters.rope_type: expected \"default\", found \"yarn\""},
      {R"("rope_scaling": {"type": "linear"})",
       "rope_scaling.type: expected \"default\", found \"linear\""},
      {R"("rope_parameters": [1])", "rope_parameters: expected an object, found [1]"},
      {R"("rope_parameters": {"mrope_section": [11, 11, 11]})",
       "mrope_section: expected three sizes of at least 0 whose sum is half the rotary width, 32, "
       "found [11, 11, 11]"},
      {R"("rope_parameters": {"mrope_section": [16, 16]})",
       "mrope_section: expected three sizes of at least 0 whose sum is half the rotary width, 32, "
       "found [16, 16]"},
      {R"("rope_parameters": {"mrope_section": [40, -8, 0]})",
       "mrope_section: expected three sizes of at least 0 whose sum is half the rotary width, 32, "
       "found [40, -8, 0]"},
      {R"("rope_parameters": {"mrope_section": [9223372036854775807, 9223372036854775807, 34]})",
       "mrope_section: expected three sizes of at least 0 whose sum is half the rotary width, 32, "
       "found [9223372036854775807, 9223372036854775807, 34]"},
      {R"("rope_parameters": {"mrope_section": "x"})",
       "rope_parameters.mrope_section: expected a list of integers, found \"x\""},
      {R"("full_attention_interval": 0)",
       "full_attention_interval: expected an integer of at least 1, found 0"},
      {R"("layer_types": ["linear_attention"])",
       "layer_types: expected num_hidden_layers = 32 entries, found 1"},
      {R"("layer_types": ["sliding_attention"])",
       "layer_types[0]: expected \"linear_attention\" or \"full_attention\", found "
       "\"sliding_attention\""},
      {R"("layer_types": 4)",
       "layer_types: expected a list of \"linear_attention\" and \"full_attention\", found 4"},
  };
  for (const auto& [fields, expected] : cases) {
    EXPECT_EQ(refusal_of(fields), "config.json: " + expected);
  }
}

TEST(ModelConfig, RefusesImpossibleMixtures) {
  EXPECT_EQ(refusal_of(R"("num_experts": 4)", "qwen3_5_moe_text"),
            "config.json: num_experts_per_tok: expected an integer from 1 to num_experts = 4, "
            "found 8");
  EXPECT_EQ(refusal_of(R"("num_experts": 0)", "qwen3_5_moe_text"),
            "config.json: num_experts: expected an integer from 1 to 65536, found 0");
  EXPECT_EQ(refusal_of(R"("decoder_sparse_step": 0)", "qwen3_next"),
            "config.json: decoder_sparse_step: expected an integer from 1 to 2147483647, found 0");
  EXPECT_EQ(refusal_of(R"("mlp_only_layers": [0, 48])", "qwen3_next"),
            "config.json: mlp_only_layers[1]: expected a layer from 0 to 47, found 48");
  EXPECT_EQ(refusal_of(R"("mlp_only_layers": null)", "qwen3_next"),
            "config.json: mlp_only_layers: expected a list of integers, found null");
}

TEST(ModelConfig, RefusesOtherDocuments) {
  const auto refusal = [](const std::string& text) {
    const auto config = parse_model_config(text, "config.json");
    return config.ok() ? std::string("accepted") : config.error().message;
  };
  EXPECT_EQ(refusal("[]"), "config.json: expected an object, found []");
  EXPECT_EQ(refusal("{}"),
            "config.json: model_type: expected one of qwen3_5_text, qwen3_5, qwen3_5_moe_text, "
            "qwen3_5_moe, qwen3_next, found nothing");
  EXPECT_EQ(refusal(R"({"model_type": "llama"})"),
            "config.json: model_type: expected one of qwen3_5_text, qwen3_5, qwen3_5_moe_text, "
            "qwen3_5_moe, qwen3_next, found \"llama\"");
  EXPECT_EQ(refusal(R"({"model_type": "qwen3_next", "head_dim": 16, "head_dim": 16})"),
            "config.json: expected JSON with every key once, found the key \"head_dim\" twice");
  EXPECT_EQ(refusal("").find("config.json: expected JSON"), 0u);
}

TEST(ModelConfig, ReadsEveryOracleModel) {
  const std::filesystem::path models = PACKPROOF_SOURCE_DIR "/fixtures/oracle/models";
  const auto tied = load_model_config(models / "dense_tied");
  ASSERT_TRUE(tied.ok()) << tied.error().message;
  EXPECT_TRUE(tied->tie_word_embeddings);
  EXPECT_TRUE(tied->attention_bias);
  EXPECT_EQ(tied->rope_theta, 1e7);
  EXPECT_EQ(tied->rotary_dim(), 8);
  EXPECT_EQ(tied->linear_conv_kernel_dim, 3);
  EXPECT_EQ(tied->layer_types[1], LayerType::kFullAttention);
  const auto next = load_model_config(models / "next_r4");
  ASSERT_TRUE(next.ok()) << next.error().message;
  EXPECT_FALSE(next->norm_topk_prob);
  EXPECT_FALSE(next->is_moe_layer(1));
  EXPECT_TRUE(next->is_moe_layer(2));
  EXPECT_EQ(next->router_aux_loss_coef, 0.02);
  const auto nested = load_model_config(models / "dense_multimodal_bf16");
  ASSERT_TRUE(nested.ok()) << nested.error().message;
  EXPECT_EQ(nested->vocab_size, 59);
}

}  // namespace
}  // namespace packproof::reference

#include "reference/model_test_support.h"

#include <algorithm>
#include <map>

#include <gtest/gtest.h>

namespace packproof::reference {
namespace {

std::vector<int64_t> ints(const Tensor& tensor) {
  std::vector<int64_t> values;
  for (int64_t i = 0; i < tensor.numel(); ++i) values.push_back(tensor.int_at(i));
  return values;
}

TEST(ModelHook, SeesEveryReplaceableOpWithItsPacking) {
  const ModelConfig config = tiny_config(ModelFamily::kQwen35);
  const auto model = tiny_model(config, 1);
  const TestBatch batch = test_batch(config, {3, 1, 4}, 2);
  std::map<std::pair<int64_t, Op>, OpCall> seen;
  ForwardOptions options;
  options.hook = [&](const OpSite& site) -> Result<TensorMap> {
    seen[{site.layer, site.call.op}] = site.call;
    for (const auto& [name, output] : site.call.outputs) {
      EXPECT_EQ(output.shape, site.expected.at(name).shape());
    }
    return site.expected;
  };
  const auto hooked = model->forward(batch.packed(), options);
  const auto plain = model->forward(batch.packed(), {});
  ASSERT_TRUE(hooked.ok() && plain.ok());
  EXPECT_EQ(relative_error(hooked->logits, plain->logits), 0.0);

  ASSERT_EQ(seen.size(), 6u);  // Three ops in layers 0 and 2.
  const OpCall& conv = seen.at({2, Op::kCausalConv1d});
  EXPECT_EQ(conv.input("x").shape(), (std::vector<int64_t>{1, 8, config.conv_dim()}));
  EXPECT_EQ(conv.input("weight").shape(), (std::vector<int64_t>{config.conv_dim(), 4}));
  EXPECT_EQ(ints(conv.input("cu_seqlens")), (std::vector<int64_t>{0, 3, 4, 8}));
  EXPECT_EQ(ints(conv.input("seq_idx")), (std::vector<int64_t>{0, 0, 0, 1, 2, 2, 2, 2}));
  EXPECT_EQ(conv.outputs.at("final_state").shape, (std::vector<int64_t>{3, config.conv_dim(), 3}));
  const OpCall& rule = seen.at({0, Op::kRecurrentGatedDeltaRule});
  EXPECT_EQ(rule.input("q").shape(), (std::vector<int64_t>{1, 8, 2, 4}));
  EXPECT_EQ(rule.input("v").shape(), (std::vector<int64_t>{1, 8, 4, 6}));
  EXPECT_TRUE(rule.attributes.qk_l2norm);
  EXPECT_FALSE(rule.has("seq_idx"));
  EXPECT_EQ(rule.attributes.max_seqlen, 4);
  EXPECT_EQ(seen.at({0, Op::kGatedRmsNorm}).input("x").shape(), (std::vector<int64_t>{32, 6}));
}

TEST(ModelHook, ModelGoesOnWithReturnedOutputsAndStates) {
  const ModelConfig config = tiny_config(ModelFamily::kQwen35);
  const auto model = tiny_model(config, 1);
  const TestBatch batch = test_batch(config, {9}, 2);
  for (const Op op : {Op::kCausalConv1d, Op::kRecurrentGatedDeltaRule, Op::kGatedRmsNorm}) {
    ForwardOptions options;
    options.states = true;
    options.hook = [&](const OpSite& site) -> Result<TensorMap> {
      TensorMap outputs = site.expected;
      if (site.call.op == op && site.layer == 0) {
        for (auto& [name, tensor] : outputs) tensor.set(0, tensor.at(0) + 1.0);
      }
      return outputs;
    };
    const auto changed = model->forward(batch.packed(), options);
    options.hook = nullptr;
    const auto plain = model->forward(batch.packed(), options);
    ASSERT_TRUE(changed.ok() && plain.ok());
    EXPECT_GT(relative_error(changed->logits, plain->logits), 1e-8);
    if (op == Op::kCausalConv1d) {
      // Column 0 of the op's W - 1 columns is column 1 of the library's W.
      EXPECT_NEAR(changed->conv_state.at(0).at(1) - plain->conv_state.at(0).at(1), 1.0, 1e-12);
      EXPECT_EQ(changed->conv_state.at(0).at(0), plain->conv_state.at(0).at(0));
    }
    if (op == Op::kRecurrentGatedDeltaRule) {
      EXPECT_NEAR(changed->recurrent_state.at(0).at(0) - plain->recurrent_state.at(0).at(0), 1.0,
                  1e-12);
    }
  }
}

TEST(ModelHook, SingleTokenContinuationUsesUpdateOps) {
  const ModelConfig config = tiny_config(ModelFamily::kQwen35);
  const auto model = tiny_model(config, 1);
  const auto cache = model->make_cache(2);
  ModelBatch prompt;
  prompt.input_ids = random_ids(config, {2, 5}, 3);
  ASSERT_TRUE(model->forward_cached(prompt, *cache, {}).ok());
  ModelBatch next;
  next.input_ids = random_ids(config, {2, 1}, 4);
  std::vector<OpCall> calls;
  ForwardOptions options;
  options.hook = [&](const OpSite& site) -> Result<TensorMap> {
    calls.push_back(site.call);
    return site.expected;
  };
  ASSERT_TRUE(model->forward_cached(next, *cache, options).ok());
  ASSERT_EQ(calls.size(), 6u);
  EXPECT_EQ(calls[0].op, Op::kCausalConv1dUpdate);
  EXPECT_EQ(calls[0].input("x").shape(), (std::vector<int64_t>{2, config.conv_dim()}));
  EXPECT_EQ(calls[0].input("conv_state").shape(), (std::vector<int64_t>{2, config.conv_dim(), 3}));
  EXPECT_EQ(calls[1].op, Op::kRecurrentGatedDeltaRuleUpdate);
  EXPECT_EQ(calls[1].input("state").shape(), (std::vector<int64_t>{2, 4, 4, 6}));
  EXPECT_EQ(calls[1].outputs.at("output").shape, (std::vector<int64_t>{2, 4, 6}));
}

TEST(ModelHook, ItsErrorsAndMissingOutputsComeBack) {
  const ModelConfig config = tiny_config(ModelFamily::kQwen35);
  const auto model = tiny_model(config, 1);
  const TestBatch batch = test_batch(config, {4}, 2);
  ForwardOptions options;
  options.hook = [](const OpSite&) -> Result<TensorMap> {
    return infrastructure_error("the candidate went away");
  };
  const auto failed = model->forward(batch.packed(), options);
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().code, Code::kInfrastructure);
  EXPECT_EQ(failed.error().message, "the candidate went away");
  options.hook = [](const OpSite& site) -> Result<TensorMap> {
    TensorMap outputs = site.expected;
    outputs.erase("output");
    return outputs;
  };
  const auto missing = model->forward(batch.packed(), options);
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().message,
            "layer 0, causal_conv1d: expected the hook to return 'output' of shape [1, 4, 40], "
            "found no such tensor");
}

}  // namespace
}  // namespace packproof::reference

#include "reference/model.h"

#include "reference/model_test_support.h"

#include <gtest/gtest.h>

namespace packproof::reference {
namespace {

// Two double-precision evaluations in another order: about 1e-15 per operation, some 30 operations
// deep. The oracle data agree to 3e-15; 1e-13 leaves a factor of 30 for unlucky draws.
constexpr double kSameValue = 1e-13;

const std::vector<int64_t> kLengths{1, 3, 0, 4, 17, 1, 2};

ForwardOptions everything() {
  ForwardOptions options;
  options.hidden_states = true;
  options.states = true;
  return options;
}

/// The rows of sequence n in a packed [1, T, X] or [T, X] tensor, in the same rank.
Tensor rows_of(const Packing& packing, int64_t n, const Tensor& tensor) {
  return tensor.slice(tensor.rank() - 2, packing.begin(n), packing.begin(n) + packing.length(n));
}

class ModelForms : public ::testing::TestWithParam<std::pair<std::string, ModelConfig>> {
 protected:
  const ModelConfig& config() const { return GetParam().second; }

  std::unique_ptr<Model> model_ = tiny_model(GetParam().second, 11);
};

TEST_P(ModelForms, PackedEqualsAloneInEveryTensor) {
  const TestBatch batch = test_batch(config(), kLengths, 5);
  const auto packed = model_->forward(batch.packed(), everything());
  ASSERT_TRUE(packed.ok()) << packed.error().message;
  ASSERT_EQ(packed->hidden_states.size(), 4u);
  for (int64_t n = 0; n < batch.packing.num_seqs(); ++n) {
    if (batch.packing.length(n) == 0) continue;
    const auto alone = model_->forward(batch.alone(n), everything());
    ASSERT_TRUE(alone.ok()) << alone.error().message;
    EXPECT_LE(relative_error(rows_of(batch.packing, n, packed->logits), alone->logits), kSameValue);
    for (std::size_t i = 0; i < packed->hidden_states.size(); ++i) {
      EXPECT_LE(relative_error(rows_of(batch.packing, n, packed->hidden_states[i]),
                               alone->hidden_states[i]),
                kSameValue);
    }
    for (std::size_t i = 0; i < packed->router_logits.size(); ++i) {
      EXPECT_LE(relative_error(rows_of(batch.packing, n, packed->router_logits[i]),
                               alone->router_logits[i]),
                kSameValue);
    }
    ASSERT_EQ(packed->conv_state.size(), 2u);
    for (const auto& [layer, state] : packed->conv_state) {
      EXPECT_LE(relative_error(state.slice(0, n, n + 1), alone->conv_state.at(layer)), kSameValue);
      EXPECT_LE(relative_error(packed->recurrent_state.at(layer).slice(0, n, n + 1),
                               alone->recurrent_state.at(layer)),
                kSameValue);
    }
  }
}

TEST_P(ModelForms, EmptySequenceLeavesZeroStates) {
  const auto packed = model_->forward(test_batch(config(), kLengths, 5).packed(), everything());
  ASSERT_TRUE(packed.ok());
  for (const auto& [layer, state] : packed->recurrent_state) {
    const Tensor empty = state.slice(0, 2, 3);
    EXPECT_EQ(relative_error(empty, Tensor(DType::kF64, empty.shape())), 0.0);
  }
}

TEST_P(ModelForms, PaddedEqualsPackedAtTokens) {
  const TestBatch batch = test_batch(config(), kLengths, 6);
  const auto packed = model_->forward(batch.packed(), everything());
  ASSERT_TRUE(packed.ok());
  for (const PadSide side : {PadSide::kLeft, PadSide::kRight}) {
    const PaddedLayout layout = padded_layout(batch.packing, side, 3);
    const auto padded = model_->forward(batch.padded(layout), everything());
    ASSERT_TRUE(padded.ok()) << padded.error().message;
    EXPECT_LE(relative_error(batch.gathered(layout, padded->logits), packed->logits), kSameValue);
    if (side == PadSide::kRight) continue;  // Pads after the tokens decay the states (spec 4.1).
    for (const auto& [layer, state] : padded->recurrent_state) {
      EXPECT_LE(relative_error(state, packed->recurrent_state.at(layer)), kSameValue);
      EXPECT_LE(relative_error(padded->conv_state.at(layer), packed->conv_state.at(layer)),
                kSameValue);
    }
  }
}

TEST_P(ModelForms, RightPaddingLeavesOtherStates) {
  const TestBatch batch = test_batch(config(), {2, 9}, 6);
  const auto packed = model_->forward(batch.packed(), everything());
  const auto padded =
      model_->forward(batch.padded(padded_layout(batch.packing, PadSide::kRight)), everything());
  ASSERT_TRUE(packed.ok() && padded.ok());
  EXPECT_GT(relative_error(padded->recurrent_state.at(0).slice(0, 0, 1),
                           packed->recurrent_state.at(0).slice(0, 0, 1)),
            1e-3);
}

TEST_P(ModelForms, SlackRowsReachNothing) {
  const TestBatch batch = test_batch(config(), {5, 9}, 7);
  const auto exact = model_->forward(batch.packed(), everything());
  ModelBatch slack = batch.packed();
  slack.input_ids = random_ids(config(), {1, 17}, 8);
  for (int64_t t = 0; t < 14; ++t) slack.input_ids.set_int(t, batch.ids.int_at(t));
  const auto with_slack = model_->forward(slack, everything());
  ASSERT_TRUE(exact.ok() && with_slack.ok());
  EXPECT_LE(relative_error(with_slack->logits.slice(1, 0, 14), exact->logits), kSameValue);
  EXPECT_LE(relative_error(with_slack->recurrent_state.at(2), exact->recurrent_state.at(2)),
            kSameValue);
}

TEST_P(ModelForms, FastRecurrenceEqualsDefinition) {
  const auto definition = tiny_model(config(), 11, {.definition_only = true});
  const TestBatch batch = test_batch(config(), kLengths, 5);
  const auto fast = model_->forward(batch.packed(), everything());
  const auto slow = definition->forward(batch.packed(), everything());
  ASSERT_TRUE(fast.ok() && slow.ok());
  EXPECT_LE(relative_error(fast->logits, slow->logits), kSameValue);
  EXPECT_LE(relative_error(fast->recurrent_state.at(0), slow->recurrent_state.at(0)), kSameValue);
}

TEST_P(ModelForms, ConvStateHoldsTheLastRawColumnsOfEverySequence) {
  const TestBatch batch = test_batch(config(), kLengths, 5);
  Tensor raw;  // [1, T, cd]: what the convolution of layer 0 reads.
  ForwardOptions options = everything();
  options.hook = [&](const OpSite& site) -> Result<TensorMap> {
    if (site.layer == 0 && site.call.op == Op::kCausalConv1d) raw = site.call.input("x");
    return site.expected;
  };
  const auto packed = model_->forward(batch.packed(), options);
  ASSERT_TRUE(packed.ok());
  const Tensor& state = packed->conv_state.at(0);
  const int64_t width = config().linear_conv_kernel_dim;
  const int64_t channels = config().conv_dim();
  ASSERT_EQ(state.shape(), (std::vector<int64_t>{batch.packing.num_seqs(), channels, width}));
  for (int64_t n = 0; n < batch.packing.num_seqs(); ++n) {
    for (int64_t column = 0; column < width; ++column) {
      const int64_t t = batch.packing.length(n) - width + column;
      for (int64_t c = 0; c < channels; ++c) {
        const double expected = t < 0 ? 0.0 : raw.at((batch.packing.begin(n) + t) * channels + c);
        ASSERT_EQ(state.at((n * channels + c) * width + column), expected)
            << "sequence " << n << ", channel " << c << ", column " << column;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Families, ModelForms, ::testing::ValuesIn(tiny_configs()),
                         [](const auto& info) { return info.param.first; });

TEST(ModelPositions, ThreeEqualRowsAreOneRow) {
  const ModelConfig config = tiny_config(ModelFamily::kQwen35);
  const auto model = tiny_model(config, 3);
  ModelBatch one;
  one.input_ids = random_ids(config, {1, 6}, 1);
  one.position_ids = Tensor::from_ints(DType::kI64, {1, 6}, std::vector<int64_t>{4, 9, 2, 0, 7, 7});
  ModelBatch three = one;
  three.position_ids = Tensor(DType::kI64, {3, 1, 6});
  for (int64_t i = 0; i < 18; ++i) three.position_ids->set_int(i, one.position_ids->int_at(i % 6));
  const auto a = model->forward(one, {});
  const auto b = model->forward(three, {});
  three.position_ids->set_int(8, 3);  // Height of token 2: frequency 1 follows it.
  const auto c = model->forward(three, {});
  ASSERT_TRUE(a.ok() && b.ok() && c.ok());
  EXPECT_EQ(relative_error(a->logits, b->logits), 0.0);
  EXPECT_GT(relative_error(c->logits, b->logits), 1e-6);
}

TEST(ModelPositions, RestartInEveryPackedSequence) {
  const ModelConfig config = tiny_config(ModelFamily::kQwen35);
  const auto model = tiny_model(config, 3);
  const TestBatch batch = test_batch(config, {5, 0, 7}, 2);
  ModelBatch given = batch.packed();
  given.position_ids = batch.packing.position_ids_tensor();
  const auto restarted = model->forward(given, {});
  for (int64_t t = 0; t < 12; ++t) given.position_ids->set_int(t, t);
  const auto running = model->forward(given, {});
  const auto by_default = model->forward(batch.packed(), {});
  ASSERT_TRUE(restarted.ok() && running.ok() && by_default.ok());
  EXPECT_EQ(relative_error(by_default->logits, restarted->logits), 0.0);
  // A rotation depends on differences of positions only, so running ones change roundings alone.
  EXPECT_GT(relative_error(running->logits, restarted->logits), 0.0);
}

TEST(ModelPositions, Float32AnglesDifferByTheirRounding) {
  const ModelConfig config = tiny_config(ModelFamily::kQwen35);
  const auto model = tiny_model(config, 3);
  const TestBatch batch = test_batch(config, {60}, 2);
  ForwardOptions rounded;
  rounded.rope_float32 = true;
  const auto exact = model->forward(batch.packed(), {});
  const auto single = model->forward(batch.packed(), rounded);
  ASSERT_TRUE(exact.ok() && single.ok());
  const double error = relative_error(single->logits, exact->logits);
  // Angles up to 60 carry an error of at most 60 * 2^-24 = 4e-6.
  EXPECT_GT(error, 1e-10);
  EXPECT_LT(error, 1e-4);
}

}  // namespace
}  // namespace packproof::reference

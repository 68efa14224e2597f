#include "harness/run/stack_check.h"

#include "harness/run/model_check.h"
#include "harness/run/toy_reference.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

namespace packproof {
namespace {

constexpr int64_t kVocabulary = 50;

/// Exact in float32.
double logit(double sum, int64_t v) { return 0.015625 * sum * static_cast<double>(v % 7); }

/// Layer 0 is the running sum of id + 1 over a row's or pack's own tokens; logits follow from it.
class SummingModel : public toy::Model {
 public:
  Result<reference::ModelOutput> forward(const reference::ModelBatch& batch,
                                         const reference::ForwardOptions&) const override {
    const int64_t length = batch.input_ids.dim(1);
    reference::ModelOutput output;
    output.logits = Tensor(DType::kF64, {1, length, kVocabulary});
    output.hidden_states.assign(2, Tensor(DType::kF64, {1, length, 1}));
    double sum = 0.0;
    for (int64_t t = 0; t < length; ++t) {
      for (const int64_t begin : batch.cu_seqlens) sum = begin == t ? 0.0 : sum;
      const double id = static_cast<double>(batch.input_ids.int_at(t) + 1);
      sum += id;
      output.hidden_states[0].set(t, id);
      output.hidden_states[1].set(t, sum);
      for (int64_t v = 0; v < kVocabulary; ++v) {
        output.logits.set(t * kVocabulary + v, logit(sum, v));
      }
    }
    return output;
  }

  /// Sums have no weights: nothing is disturbed.
  Result<std::unique_ptr<reference::Model>> perturbed(double, uint64_t) const override {
    return std::unique_ptr<reference::Model>(std::make_unique<SummingModel>());
  }
};

enum class Behaviour { kRight, kLeaks, kRefuses, kNan, kWrongShape, kWrongLoss };

/// Runs the model by itself, in one way or another.
class SummingCandidate : public toy::Candidate {
 public:
  explicit SummingCandidate(Behaviour behaviour) : toy::Candidate(""), behaviour_(behaviour) {}

  CallResult forward_model(const ModelCall& call, const CallOptions&) override {
    CallResult result;
    if (behaviour_ == Behaviour::kRefuses) {
      result.status = CallStatus::kNotSupported;
      result.message = "cannot keep packed sequences apart";
      return result;
    }
    const Tensor& ids = call.inputs.at("input_ids");
    reference::ModelBatch batch;
    batch.input_ids = ids;
    const Tensor& bounds = call.inputs.at("cu_seqlens");
    for (int64_t n = 0; n < bounds.numel(); ++n) {
      if (behaviour_ != Behaviour::kLeaks || n == 0) batch.cu_seqlens.push_back(bounds.int_at(n));
    }
    const reference::ModelOutput output = SummingModel().forward(batch, {}).value();
    const int64_t tokens = ids.numel();
    result.outputs["logits"] = output.logits.reshaped({tokens, kVocabulary}).to(DType::kF32);
    result.outputs["hidden_states.00"] =
        output.hidden_states[0].reshaped({tokens, 1}).to(DType::kF32);
    result.outputs["hidden_states.01"] =
        output.hidden_states[1].reshaped({tokens, 1}).to(DType::kF32);
    if (behaviour_ == Behaviour::kNan) {
      result.outputs["hidden_states.01"].set(2, std::numeric_limits<double>::quiet_NaN());
    }
    if (behaviour_ == Behaviour::kWrongShape) {
      result.outputs["hidden_states.01"] = Tensor(DType::kF32, {tokens, 2});
    }
    if (behaviour_ == Behaviour::kWrongLoss) {
      result.outputs["loss"] = Tensor(DType::kF32, {1});
      result.outputs["loss"].set(0, 1.0);
    }
    return result;
  }

 private:
  Behaviour behaviour_;
};

CaseResult judge(Behaviour behaviour, std::vector<int64_t> lens = {2, 0, 3, 1}) {
  SummingCandidate candidate(behaviour);
  const toy::Reference reference;
  return check_stack(SummingModel(),
                     {.name = "toy", .folder = ".", .lens = std::move(lens), .seed = 3}, candidate,
                     reference);
}

TEST(StackCheck, RightModelPasses) {
  const CaseResult result = judge(Behaviour::kRight);
  ASSERT_EQ(result.checks.size(), 3u);
  EXPECT_EQ(result.checks[0].outcome, OutcomeKind::kPass) << result.checks[0].detail;
  EXPECT_EQ(result.checks[1].outcome, OutcomeKind::kPass) << result.checks[1].detail;
  EXPECT_EQ(result.checks[2].outcome, OutcomeKind::kNotRun);
  EXPECT_EQ(result.id, "stack=toy mode=both dtype=f32 lens=2,0,3,1");
}

TEST(StackCheck, LeakIsNamedByLayerSequenceAndToken) {
  const CaseResult result = judge(Behaviour::kLeaks);
  EXPECT_EQ(result.checks[0].outcome, OutcomeKind::kFail);
  EXPECT_NE(result.checks[0].detail.find("layer 0 is the first that differs from each sequence "
                                         "alone, at sequence 2, token 0"),
            std::string::npos)
      << result.checks[0].detail;
  EXPECT_EQ(result.checks[1].outcome, OutcomeKind::kFail);
  EXPECT_NE(result.checks[1].detail.find("KL "), std::string::npos);
  EXPECT_NE(result.checks[1].detail.find("beyond their limits: sequences 2, 3"), std::string::npos)
      << result.checks[1].detail;
}

TEST(StackCheck, RefusalIsNoVerdictAndKeepsItsSentence) {
  const CaseResult result = judge(Behaviour::kRefuses);
  ASSERT_EQ(result.checks.size(), 1u);
  EXPECT_EQ(result.checks[0].outcome, OutcomeKind::kNotSupported);
  EXPECT_EQ(result.checks[0].detail, "refused: cannot keep packed sequences apart");
}

TEST(StackCheck, NanAndWrongShapesFail) {
  const CaseResult nan = judge(Behaviour::kNan);
  EXPECT_EQ(nan.checks[0].outcome, OutcomeKind::kFail);
  EXPECT_NE(nan.checks[0].detail.find("sequence 2, token 0"), std::string::npos);
  const CaseResult shape = judge(Behaviour::kWrongShape);
  EXPECT_EQ(shape.checks[0].outcome, OutcomeKind::kFail);
  EXPECT_NE(shape.checks[0].detail.find("'hidden_states.01' of shape [6, 1], found [6, 2]"),
            std::string::npos)
      << shape.checks[0].detail;
}

TEST(StackCheck, SinglesHaveNoLoss) {
  const CaseResult result = judge(Behaviour::kWrongLoss, {1, 1});
  EXPECT_EQ(result.checks[0].outcome, OutcomeKind::kPass) << result.checks[0].detail;
  EXPECT_EQ(result.checks[2].outcome, OutcomeKind::kNotRun);
  EXPECT_EQ(result.checks[2].detail, "no token is scored");
}

TEST(StackCheck, DrawnTextHasNoPadTokens) {
  reference::ModelConfig config;
  config.vocab_size = 3;
  config.pad_token_id = 2;
  const Tensor ids = draw_input_ids(config, 64, 1);
  bool zero = false;
  for (int64_t t = 0; t < ids.numel(); ++t) {
    EXPECT_NE(ids.int_at(t), 2);
    zero = zero || ids.int_at(t) == 0;
  }
  EXPECT_TRUE(zero);
}

TEST(StackCheck, LossIsComparedWhereThereIsOne) {
  const CaseResult result = judge(Behaviour::kWrongLoss);
  EXPECT_EQ(result.checks[2].check, "loss");
  EXPECT_EQ(result.checks[2].outcome, OutcomeKind::kFail) << result.checks[2].detail;
}

}  // namespace
}  // namespace packproof

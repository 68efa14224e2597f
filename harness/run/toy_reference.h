#pragma once

#include "harness/candidate/candidate.h"
#include "reference/reference.h"

#include <cmath>
#include <memory>
#include <string>
#include <utility>

/// A reference, a model and a candidate of a few lines, for tests of the code that runs them.
namespace packproof::toy {

class Cache : public reference::ModelCache {
 public:
  int64_t sequence_length() const override { return 0; }
};

/// Logits [B, L, 3]: the running sum of (id + 1) over a row's or pack's own tokens, times 1, 2, 3.
/// One "linear" layer 0 whose recurrent state [N, 1, 1, 1] is the sum. No gradients.
class Model : public reference::Model {
 public:
  explicit Model(double error = 0.0) : error_(error) {
    config_.vocab_size = 50;
    config_.linear_conv_kernel_dim = 4;
  }

  const reference::ModelConfig& config() const override { return config_; }

  Result<reference::ModelOutput> forward(const reference::ModelBatch& batch,
                                         const reference::ForwardOptions&) const override {
    const int64_t rows = batch.input_ids.dim(0);
    const int64_t length = batch.input_ids.dim(1);
    const bool packed = !batch.cu_seqlens.empty();
    const int64_t sequences = packed ? static_cast<int64_t>(batch.cu_seqlens.size()) - 1 : rows;
    reference::ModelOutput output;
    output.logits = Tensor(DType::kF64, {rows, length, 3});
    Tensor state(DType::kF64, {sequences, 1, 1, 1});
    for (int64_t n = 0; n < sequences; ++n) {
      const auto at = static_cast<std::size_t>(n);
      const int64_t begin = packed ? batch.cu_seqlens[at] : n * length;
      const int64_t end = packed ? batch.cu_seqlens[at + 1] : (n + 1) * length;
      double sum = 0.0;
      for (int64_t i = begin; i < end; ++i) {
        const bool token =
            !batch.attention_mask.has_value() || batch.attention_mask->int_at(i) != 0;
        if (token) sum += static_cast<double>(batch.input_ids.int_at(i) + 1);
        for (int64_t v = 0; v < 3; ++v)
          output.logits.set(3 * i + v, sum * static_cast<double>(v + 1) * (1.0 + error_));
      }
      state.set(n, sum);
    }
    output.recurrent_state[0] = std::move(state);
    return output;
  }

  std::unique_ptr<reference::ModelCache> make_cache(int64_t) const override {
    return std::make_unique<Cache>();
  }

  Result<reference::ModelOutput> forward_cached(const reference::ModelBatch&,
                                                reference::ModelCache&,
                                                const reference::ForwardOptions&) const override {
    return invalid_input("the toy keeps no cache");
  }

  Result<LossResult> loss_and_gradients(const reference::ModelBatch&, const Tensor&,
                                        GradientMethod) const override {
    return invalid_input("the toy has no gradients");
  }

 private:
  reference::ModelConfig config_;
  double error_;
};

/// Evaluates gated_rms_norm forward; models are toys whose logits are off by the factor 1 + error.
class Reference : public reference::Reference {
 public:
  explicit Reference(double error = 0.0) : error_(error) {}

  using reference::Reference::evaluate;

  Result<reference::OpResult> evaluate(const OpCall& call,
                                       const reference::EvaluateOptions&) const override {
    if (call.op != Op::kGatedRmsNorm || call.direction != Direction::kForward)
      return invalid_input("the toy evaluates gated_rms_norm only");
    const Tensor& x = call.input("x");
    const int64_t width = x.dim(x.rank() - 1);
    reference::OpResult result;
    Tensor output(DType::kF64, x.shape());
    Tensor bound(DType::kF64, x.shape());
    for (int64_t row = 0; row < x.numel() / width; ++row) {
      double squares = 0.0;
      for (int64_t i = 0; i < width; ++i) squares += std::pow(x.at(row * width + i), 2);
      const double scale =
          1.0 / std::sqrt(squares / static_cast<double>(width) + call.attributes.eps);
      for (int64_t i = 0; i < width; ++i) {
        const double z = call.input("z").at(row * width + i);
        const double value =
            x.at(row * width + i) * scale * call.input("weight").at(i) * z / (1.0 + std::exp(-z));
        output.set(row * width + i, value);
        // Generous for ten float32 roundings; what matters here is that it is small and positive.
        bound.set(row * width + i, std::ldexp(std::abs(value), -20) + 1e-30);
      }
    }
    result.outputs["output"] = std::move(output);
    result.float32_bounds["output"] = std::move(bound);
    return result;
  }

  Result<std::unique_ptr<reference::Model>> load_model(const std::filesystem::path& folder,
                                                       reference::ModelLoadReport*) const override {
    if (!std::filesystem::exists(folder))
      return usage_error(folder.string() + ": expected a folder, found nothing");
    return std::unique_ptr<reference::Model>(std::make_unique<Model>(error_));
  }

  Result<std::unique_ptr<reference::Model>> random_model(const reference::ModelConfig&, GateRegime,
                                                         uint64_t,
                                                         reference::WeightInit) const override {
    return invalid_input("the toy draws no weights");
  }

 private:
  double error_;
};

/// Gives the toy reference's values times 1 + error, rounded once to the demanded dtype.
class Candidate : public packproof::Candidate {
 public:
  explicit Candidate(std::string identity, double error = 0.0) : error_(error) {
    info_.name = "toy";
    info_.version = "1";
    info_.device = "host";
    info_.identity = std::move(identity);
  }

  const CandidateInfo& info() const override { return info_; }

  CallResult call(const OpCall& call, const CallOptions&) override {
    CallResult result;
    Result<reference::OpResult> values = Reference().evaluate(call);
    if (!values) {
      result.status = CallStatus::kNotSupported;
      result.message = values.error().message;
      return result;
    }
    result.variant = "plain";
    Tensor& exact = values->outputs.at("output");
    for (double& value : exact.values<double>()) value *= 1.0 + error_;
    result.outputs["output"] = exact.to(call.outputs.at("output").dtype);
    return result;
  }

 private:
  CandidateInfo info_;
  double error_;
};

}  // namespace packproof::toy

#include "reference/model.h"

#include "harness/core/random_stream.h"
#include "reference/aten_tensor.h"
#include "reference/decoder.h"
#include "reference/loss.h"
#include "reference/loss_gradients.h"
#include "reference/mixer_ops.h"
#include "reference/model_cache.h"

#include <exception>
#include <new>
#include <string>
#include <utility>

#include <c10/core/GradMode.h>

namespace packproof::reference {
namespace {

/// Runs `work` and turns what libtorch, or a hook, throws into an Error.
template <typename Work>
auto guarded(Work&& work) -> decltype(work()) {
  try {
    return work();
  } catch (const HookFailure& failure) {
    return failure.error;
  } catch (const std::bad_alloc&) {
    return infrastructure_error("the reference model ran out of memory");
  } catch (const c10::Error& error) {
    return internal_error(std::string("the reference model failed: ") +
                          error.what_without_backtrace());
  } catch (const std::exception& error) {
    return internal_error(std::string("the reference model failed: ") + error.what());
  }
}

class TextModel final : public Model {
 public:
  TextModel(ModelConfig config, Parameters parameters, OpForm form)
      : config_(std::move(config)), parameters_(std::move(parameters)), form_(form) {}

  const ModelConfig& config() const override { return config_; }

  Result<ModelOutput> forward(const ModelBatch& batch,
                              const ForwardOptions& options) const override {
    PACKPROOF_TRY(const TokenLayout layout, token_layout(batch, config_, 0));
    return guarded([&]() -> Result<ModelOutput> {
      DecoderState state;
      return run(layout, options, false, state);
    });
  }

  std::unique_ptr<ModelCache> make_cache(int64_t batch_rows) const override {
    return std::make_unique<DecoderCache>(batch_rows);
  }

  Result<ModelOutput> forward_cached(const ModelBatch& batch, ModelCache& cache,
                                     const ForwardOptions& options) const override {
    auto* own = dynamic_cast<DecoderCache*>(&cache);
    if (own == nullptr) {
      return invalid_input("cache: expected one that make_cache() of this model made");
    }
    if (!batch.cu_seqlens.empty()) {
      return invalid_input(
          "cu_seqlens: expected none in a cached call (per-sequence states of a packed prefill "
          "come "
          "from forward() with states), found " +
          std::to_string(batch.cu_seqlens.size()) + " entries");
    }
    PACKPROOF_TRY(const TokenLayout layout, token_layout(batch, config_, own->sequence_length()));
    if (layout.batch != own->rows()) {
      return invalid_input("input_ids: expected the cache's " + std::to_string(own->rows()) +
                           " rows, found " + std::to_string(layout.batch));
    }
    return guarded([&]() -> Result<ModelOutput> {
      // The cache changes only when the whole call succeeded.
      DecoderState state = own->state();
      ModelOutput output = run(layout, options, true, state);
      own->advance(std::move(state), layout.length);
      return output;
    });
  }

  Result<LossResult> loss_and_gradients(const ModelBatch& batch, const Tensor& labels,
                                        GradientMethod method) const override {
    PACKPROOF_TRY(const TokenLayout layout, token_layout(batch, config_, 0));
    PACKPROOF_CHECK_OK(check_labels(labels, layout, config_));
    return guarded([&]() -> Result<LossResult> {
      const auto compute =
          method == GradientMethod::kAutograd ? autograd_gradients : derived_gradients;
      const LossGradients found = compute(parameters_, config_, layout, to_aten(labels));
      LossResult result;
      result.loss = found.loss;
      result.aux_loss = found.aux_loss;
      result.logits = from_aten(found.logits);
      result.grad_inputs_embeds = from_aten(found.embeddings);
      for (const auto& [name, gradient] : found.parameters) {
        result.gradients[name] = from_aten(gradient);
      }
      return result;
    });
  }

  Result<std::unique_ptr<Model>> perturbed(double deviation, uint64_t seed) const override {
    return guarded([&]() -> Result<std::unique_ptr<Model>> {
      Parameters parameters;
      for (const auto& [name, tensor] : parameters_) {
        at::Tensor factors = at::empty(tensor.sizes(), at::kDouble);
        const RandomStream stream(seed, name);
        double* const values = factors.data_ptr<double>();
        for (int64_t i = 0; i < factors.numel(); ++i) {
          values[i] = 1.0 + deviation * stream.at(i).normal();
        }
        parameters[name] = tensor * factors;
      }
      return std::unique_ptr<Model>(
          std::make_unique<TextModel>(config_, std::move(parameters), form_));
    });
  }

 private:
  ModelOutput run(const TokenLayout& layout, const ForwardOptions& options, bool keep_keys,
                  DecoderState& state) const {
    const c10::NoGradGuard no_gradients;
    const at::Tensor embeddings =
        at::embedding(parameters_.at("model.embed_tokens.weight"), layout.input_ids);
    const DecoderOutput decoded =
        run_decoder(parameters_, config_, embeddings, layout, MixerOps(options.hook, form_),
                    {options.hidden_states, options.rope_float32, keep_keys}, state);
    ModelOutput output;
    output.logits = from_aten(at::linear(decoded.last_hidden, head_weight(parameters_, config_)));
    for (const at::Tensor& x : decoded.hidden_states) output.hidden_states.push_back(from_aten(x));
    for (const at::Tensor& x : decoded.router_logits) output.router_logits.push_back(from_aten(x));
    if (options.states) {
      for (const auto& [layer, mixer] : state.mixer) {
        output.conv_state[layer] = from_aten(mixer.conv);
        output.recurrent_state[layer] = from_aten(mixer.recurrent);
      }
    }
    return output;
  }

  ModelConfig config_;
  Parameters parameters_;
  OpForm form_;
};

}  // namespace

Result<std::unique_ptr<Model>> make_model(const ModelConfig& config, Checkpoint checkpoint,
                                          const ModelOptions& options) {
  PACKPROOF_CHECK_OK(validate(config));
  PACKPROOF_CHECK_OK(check_tensors(config, checkpoint));
  Parameters parameters;
  for (const auto& [name, tensor] : checkpoint.tensors) parameters[name] = to_aten(tensor);
  const OpForm form = options.definition_only ? OpForm::kDefinition : OpForm::kFast;
  return std::unique_ptr<Model>(std::make_unique<TextModel>(config, std::move(parameters), form));
}

}  // namespace packproof::reference

#pragma once

#include "harness/core/case_spec.h"
#include "harness/core/op_call.h"
#include "harness/core/result.h"
#include "harness/core/tensor.h"
#include "reference/model_config.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

/// The double-precision reference of Qwen3.5, without a trace of libtorch in its interface.
///
/// It is a shared module that a process loads when it first needs it (see `harness/run/
/// reference_module.h`), so that commands which compute nothing start in milliseconds.
namespace packproof::reference {

/// What the definition gives for one call, in f64.
struct OpResult {
  TensorMap outputs;  ///< Every output the call names, contiguous f64 (in-out pools included).

  /// Per output, a bound on the error of evaluating the op in float32 with fused multiply-adds and
  /// any summation order, in the same shape (derivations: harness/oracle/README.md). Roundings of
  /// inputs and outputs to 16-bit types are the caller's to add.
  TensorMap float32_bounds;
};

struct EvaluateOptions {
  bool bounds = true;  ///< False leaves out what the delta rules' bounds cost.
};

struct ModelBatch {
  Tensor input_ids;                      ///< i64 [B, L].
  std::optional<Tensor> attention_mask;  ///< i64 [B, L], 0 at pads.
  std::optional<Tensor> position_ids;    ///< i64 [B, L] or M-RoPE [3, B, L].
  std::vector<int64_t> cu_seqlens;       ///< Packed form: boundaries of every layer; then B = 1.
};

/// An op call about to be replaced or judged inside the model.
struct OpSite {
  int64_t layer = 0;
  OpCall call;         ///< f64 tensors as the reference has them at this place.
  TensorMap expected;  ///< The reference's own outputs for `call`, f64.
};

/// Sees every call of causal_conv1d, recurrent_gated_delta_rule (and their updates) and gated_rms_norm.
/// Returns the outputs with which the model goes on: `site.expected` to leave it untouched.
using OpHook = std::function<Result<TensorMap>(const OpSite& site)>;

struct ForwardOptions {
  bool hidden_states = false;
  bool states = false;        ///< Final conv (width Kc) and recurrent states per sequence.
  bool rope_float32 = false;  ///< Round frequencies and angles to f32, as the library does.
  OpHook hook;
};

struct ModelOutput {
  Tensor logits;                      ///< f64 [B, L, V_voc].
  std::vector<Tensor> hidden_states;  ///< Embeddings, every layer; the last after the final norm.
  std::map<int64_t, Tensor> conv_state;  ///< Layer -> f64 [N, cd, Kc], zero-filled on the left.
  std::map<int64_t, Tensor> recurrent_state;  ///< Layer -> f64 [N, Hv, K, V].
  std::vector<Tensor> router_logits;          ///< Mixture layers in order, f64 [B * L, E].
};

/// Attention keys/values and delta-net states carried between calls (spec 4.4). Opaque.
class ModelCache {
 public:
  virtual ~ModelCache() = default;
  virtual int64_t sequence_length() const = 0;
};

class Model {
 public:
  virtual ~Model() = default;
  virtual const ModelConfig& config() const = 0;

  /// Ids out of range, inconsistent shapes and metadata are refused by name before any work.
  virtual Result<ModelOutput> forward(const ModelBatch& batch,
                                      const ForwardOptions& options) const = 0;

  virtual std::unique_ptr<ModelCache> make_cache(int64_t batch_rows) const = 0;

  /// Continues from `cache` and updates it; `batch.attention_mask` covers past and new columns.
  virtual Result<ModelOutput> forward_cached(const ModelBatch& batch, ModelCache& cache,
                                             const ForwardOptions& options) const = 0;

  /// Loss (mean over scored targets + coefficient x auxiliary loss, spec 2.7) and its gradients.
  struct LossResult {
    double loss = 0.0;
    double aux_loss = 0.0;
    Tensor logits;  ///< f64 [B, L, V_voc].
    /// By checkpoint name, f64. "model.embed_tokens.weight" is the whole gradient of the table; with
    /// tied embeddings "lm_head.weight" holds the output head's share of it.
    std::map<std::string, Tensor> gradients;
    Tensor grad_inputs_embeds;  ///< f64 [B, L, D].
  };
  enum class GradientMethod { kAutograd, kDerived };
  virtual Result<LossResult> loss_and_gradients(const ModelBatch& batch, const Tensor& labels,
                                                GradientMethod method) const = 0;

  /// A copy whose every parameter element is multiplied by 1 + `deviation` times a standard normal
  /// number drawn by `seed`: running it shows what roundings of that relative size do to a result.
  virtual Result<std::unique_ptr<Model>> perturbed(double deviation, uint64_t seed) const {
    (void)deviation;
    (void)seed;
    return internal_error("expected a model that can be perturbed, found one that cannot");
  }
};

/// How random weights are drawn.
enum class WeightInit : uint8_t {
  kEveryTermMatters,  ///< Large enough that a fault in any term moves the logits.
  kLibrary,           ///< The library's own initialisation (spec 2.1, end), gates apart.
};

struct ModelLoadReport {
  std::vector<std::string> ignored;  ///< Checkpoint tensors that the text model does not use.
};

/// Arithmetic of the kernels that `Reference::emulate` imitates.
enum class EmulatedPrecision : uint8_t {
  kBFloat16,
  kFloat16,
  kTf32,  ///< Float32 tensors whose matrix products take tf32 factors.
};

class Reference {
 public:
  virtual ~Reference() = default;

  /// Forward or backward of one op from its definition, on the call's values converted to f64.
  virtual Result<OpResult> evaluate(const OpCall& call, const EvaluateOptions& options) const = 0;

  Result<OpResult> evaluate(const OpCall& call) const { return evaluate(call, EvaluateOptions{}); }

  /// The forward of recurrent_gated_delta_rule, or chunk_gated_delta_rule in either direction, with
  /// the roundings of a kernel of that precision at the points that the algorithm names (spec 6.1),
  /// sums exact; f64. The distance to `evaluate` is what such a kernel may err by, up to a factor.
  virtual Result<TensorMap> emulate(const OpCall& call, EmulatedPrecision precision) const {
    (void)call;
    (void)precision;
    return internal_error("expected a reference that emulates lower precision, found one without");
  }

  /// Reads config.json and safetensors of a folder (spec 1, 2.1).
  virtual Result<std::unique_ptr<Model>> load_model(const std::filesystem::path& folder,
                                                    ModelLoadReport* report = nullptr) const = 0;

  /// Random weights by `init`, A_log and dt_bias by `gate`.
  virtual Result<std::unique_ptr<Model>> random_model(const ModelConfig& config, GateRegime gate,
                                                      uint64_t seed, WeightInit init) const = 0;

  /// Wall seconds of the f64 products of `tokens` rows with every weight matrix of a dense model,
  /// alone and in memory that is in place: what no forward can undercut.
  virtual Result<double> time_products(const ModelConfig& config, int64_t tokens) const {
    (void)config;
    (void)tokens;
    return internal_error("expected a reference that times products, found one without");
  }
};

}  // namespace packproof::reference

/// The module's one exported symbol.
extern "C" const packproof::reference::Reference* packproof_reference();

// The module that a process loads when it first needs the reference (harness/run/reference_module.h).

#include "reference/checkpoint.h"
#include "reference/evaluate.h"
#include "reference/model.h"
#include "reference/random_weights.h"
#include "reference/reference.h"
#include "reference/weight_products.h"

namespace packproof::reference {
namespace {

class LibtorchReference : public Reference {
 public:
  using Reference::evaluate;

  Result<OpResult> evaluate(const OpCall& call, const EvaluateOptions& options) const override {
    return packproof::reference::evaluate(call, options);
  }

  Result<TensorMap> emulate(const OpCall& call, EmulatedPrecision precision) const override {
    return packproof::reference::emulate(call, precision);
  }

  Result<std::unique_ptr<Model>> load_model(const std::filesystem::path& folder,
                                            ModelLoadReport* report) const override {
    PACKPROOF_TRY(const ModelConfig config, load_model_config(folder));
    PACKPROOF_TRY(Checkpoint checkpoint, load_checkpoint(folder, config, report));
    return make_model(config, std::move(checkpoint));
  }

  Result<std::unique_ptr<Model>> random_model(const ModelConfig& config, GateRegime gate,
                                              uint64_t seed, WeightInit init) const override {
    PACKPROOF_CHECK_OK(validate(config));
    return make_model(config, random_checkpoint(config, gate, seed, init));
  }

  Result<double> time_products(const ModelConfig& config, int64_t tokens) const override {
    return packproof::reference::time_products(config, tokens);
  }
};

}  // namespace
}  // namespace packproof::reference

extern "C" __attribute__((visibility("default"))) const char* packproof_reference_interface() {
  return PACKPROOF_REFERENCE_INTERFACE;
}

extern "C" __attribute__((visibility("default"))) const packproof::reference::Reference*
packproof_reference() {
  static const packproof::reference::LibtorchReference reference;
  return &reference;
}

#pragma once

#include "harness/core/result.h"
#include "harness/core/tensor.h"
#include "reference/model_config.h"
#include "reference/reference.h"

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace packproof::reference {

/// A text model's parameters under the names of spec 2.1: no `language_model` segment, experts
/// stacked, `lm_head.weight` absent when tied. Tensors are contiguous f64.
struct Checkpoint {
  std::map<std::string, Tensor> tensors;
};

struct ExpectedTensor {
  std::string name;
  std::vector<int64_t> shape;
};

/// Every parameter of a valid configuration, in the order of spec 2.1.
std::vector<ExpectedTensor> expected_tensors(const ModelConfig& config);

/// Refuses missing, superfluous and misshapen tensors by name, and NaN or infinite values by place.
Status check_tensors(const ModelConfig& config, const Checkpoint& checkpoint);

/// Reads config.json of `folder`.
Result<ModelConfig> load_model_config(const std::filesystem::path& folder);

/// Reads model.safetensors, or the shards of model.safetensors.index.json, for `config`. Accepted
/// as spec 2.1 says: the `language_model` segment, one tensor per expert (stacked, gate before up),
/// `visual` and `mtp` tensors (named in `report`), and an lm_head equal to tied embeddings.
/// Names and shapes are checked before any value is read.
Result<Checkpoint> load_checkpoint(const std::filesystem::path& folder, const ModelConfig& config,
                                   ModelLoadReport* report);

}  // namespace packproof::reference

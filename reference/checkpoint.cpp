#include "reference/checkpoint.h"

#include "reference/regular_file.h"
#include "reference/safetensors.h"
#include "reference/tensor_census.h"

#include <algorithm>
#include <cmath>
#include <new>
#include <optional>
#include <string_view>
#include <utility>

namespace packproof::reference {
namespace {

constexpr uint64_t kMaxConfigBytes = 16'000'000;
constexpr std::string_view kHead = "lm_head.weight";
constexpr std::string_view kEmbedding = "model.embed_tokens.weight";

bool starts_with_segment(std::string_view name, std::string_view segment) {
  return name.starts_with(segment) && name.substr(segment.size()).starts_with('.');
}

/// The vision tower and the multi-token head, which the text model does not use (spec 2.1).
bool is_ignored(std::string_view name) {
  if (starts_with_segment(name, "model")) name.remove_prefix(std::string_view("model.").size());
  return starts_with_segment(name, "visual") || starts_with_segment(name, "mtp");
}

/// The name without a `language_model` segment at its first or second place.
std::string canonical_name(const std::string& stored) {
  constexpr std::string_view kSegment = "language_model.";
  if (stored.starts_with(kSegment)) return stored.substr(kSegment.size());
  constexpr std::string_view kNested = "model.language_model.";
  if (stored.starts_with(kNested)) return "model." + stored.substr(kNested.size());
  return stored;
}

/// A stored tensor and the place of its values in a parameter.
struct Part {
  std::string name;  ///< Canonical.
  std::vector<int64_t> shape;
  std::size_t target = 0;  ///< Index into the expected tensors.
  int64_t offset = 0;      ///< First element within the target.
};

/// Whether `stored` has a name that goes on with an expert's number after `scope`.
bool has_expert_of(const std::map<std::string, std::string>& stored, const std::string& scope) {
  const auto entry = stored.lower_bound(scope + "0");
  return entry != stored.end() && entry->first.starts_with(scope) &&
         entry->first[scope.size()] <= '9';
}

/// Adds the parts of one stacked tensor [E, rows, columns] stored expert by expert.
void add_expert_parts(const std::string& scope, bool gate_up, const std::vector<int64_t>& shape,
                      std::size_t target, std::vector<Part>& parts) {
  const std::vector<std::string> names = gate_up ? std::vector<std::string>{"gate_proj", "up_proj"}
                                                 : std::vector<std::string>{"down_proj"};
  const int64_t rows = shape[1] / static_cast<int64_t>(names.size());
  int64_t offset = 0;
  for (int64_t expert = 0; expert < shape[0]; ++expert) {
    for (const std::string& name : names) {
      parts.push_back({scope + std::to_string(expert) + "." + name + ".weight",
                       {rows, shape[2]},
                       target,
                       offset});
      offset += rows * shape[2];
    }
  }
}

/// One part per expected tensor, or one per expert where the checkpoint stores experts one by one.
std::vector<Part> parts_of(const std::vector<ExpectedTensor>& expected,
                           const std::map<std::string, std::string>& stored) {
  std::vector<Part> parts;
  for (std::size_t target = 0; target < expected.size(); ++target) {
    const auto& [name, shape] = expected[target];
    const bool gate_up = name.ends_with("experts.gate_up_proj");
    const std::string scope = name.substr(0, name.rfind('.') + 1);
    if ((gate_up || name.ends_with("experts.down_proj")) && !stored.contains(name) &&
        has_expert_of(stored, scope)) {
      add_expert_parts(scope, gate_up, shape, target, parts);
    } else {
      parts.push_back({name, shape, target, 0});
    }
  }
  return parts;
}

Status check_finite(const std::string& origin, const std::string& name, const Tensor& tensor) {
  const std::span<const double> values = tensor.values<double>();
  const auto bad = std::ranges::find_if(values, [](double x) { return !std::isfinite(x); });
  if (bad == values.end()) return {};
  int64_t rest = bad - values.begin();
  std::vector<int64_t> place(tensor.shape().size());
  for (std::size_t axis = place.size(); axis-- > 0;) {
    place[axis] = rest % tensor.shape()[axis];
    rest /= tensor.shape()[axis];
  }
  return invalid_input(origin + ": tensor '" + name + "': expected finite values, found " +
                       (std::isnan(*bad) ? "NaN" : "infinity") + " at " + shape_text(place));
}

class Loader {
 public:
  Loader(const SafetensorsFolder& files, const ModelConfig& config, std::string origin)
      : files_(files), config_(config), origin_(std::move(origin)) {}

  Result<Checkpoint> load(ModelLoadReport& report) {
    PACKPROOF_CHECK_OK(sort_names(report));
    const std::vector<ExpectedTensor> expected = expected_tensors(config_);
    const std::vector<Part> parts = parts_of(expected, stored_name_);
    PACKPROOF_CHECK_OK(check_parts(parts));
    Checkpoint checkpoint;
    for (const Part& part : parts) {
      const ExpectedTensor& target = expected[part.target];
      const std::string& stored = stored_name_.at(part.name);
      PACKPROOF_TRY(Tensor tensor, files_.read(stored));
      PACKPROOF_CHECK_OK(check_finite(origin_, stored, tensor));
      if (part.name == target.name) {
        checkpoint.tensors[target.name] = std::move(tensor);
        continue;
      }
      Tensor& fused = checkpoint.tensors[target.name];
      if (fused.empty()) fused = Tensor(DType::kF64, target.shape);
      std::ranges::copy(tensor.values<double>(), fused.values<double>().begin() + part.offset);
    }
    PACKPROOF_CHECK_OK(check_tied_head(checkpoint));
    return checkpoint;
  }

 private:
  /// Fills `stored_name_` and sets the tensors aside that the text model does not use.
  Status sort_names(ModelLoadReport& report) {
    for (const auto& [stored, file] : files_.file_of()) {
      const std::string name = canonical_name(stored);
      if (is_ignored(name)) {
        report.ignored.push_back(stored);
      } else if (config_.tie_word_embeddings && name == kHead) {
        report.ignored.push_back(stored);
        stored_head_ = stored;
      } else if (const auto [place, added] = stored_name_.emplace(name, stored); !added) {
        return invalid_input(origin_ + ": expected one tensor for '" + name + "', found '" +
                             place->second + "' and '" + stored + "'");
      }
    }
    return {};
  }

  Status check_parts(const std::vector<Part>& parts) const {
    TensorCensus census;
    for (const auto& [name, stored] : stored_name_) {
      census.found(name, files_.stored(stored).shape);
    }
    for (const Part& part : parts) census.expect(part.name, part.shape);
    return census.check(origin_);
  }

  /// A head beside tied embeddings must be equal to them: versions of the library differ in which
  /// of the two they would use.
  Status check_tied_head(const Checkpoint& checkpoint) const {
    if (!stored_head_.has_value()) return {};
    PACKPROOF_TRY(const Tensor head, files_.read(*stored_head_));
    const Tensor& embedding = checkpoint.tensors.at(std::string(kEmbedding));
    if (head.shape() == embedding.shape() &&
        std::ranges::equal(head.values<double>(), embedding.values<double>())) {
      return {};
    }
    return invalid_input(origin_ + ": expected '" + *stored_head_ +
                         "' to equal the embeddings since tie_word_embeddings is true, found "
                         "another tensor");
  }

  const SafetensorsFolder& files_;
  const ModelConfig& config_;
  std::string origin_;
  std::map<std::string, std::string> stored_name_;  ///< Canonical name -> name in the files.
  std::optional<std::string> stored_head_;
};

}  // namespace

Status check_tensors(const ModelConfig& config, const Checkpoint& checkpoint) {
  TensorCensus census;
  for (const auto& [name, tensor] : checkpoint.tensors) census.found(name, tensor.shape());
  for (const ExpectedTensor& expected : expected_tensors(config)) {
    census.expect(expected.name, expected.shape);
  }
  PACKPROOF_CHECK_OK(census.check("checkpoint"));
  for (const auto& [name, tensor] : checkpoint.tensors) {
    if (tensor.dtype() != DType::kF64 || !tensor.is_contiguous()) {
      return invalid_input("checkpoint: tensor '" + name +
                           "': expected contiguous f64, found another layout of " +
                           std::string(name_of(tensor.dtype())));
    }
    PACKPROOF_CHECK_OK(check_finite("checkpoint", name, tensor));
  }
  return {};
}

Result<ModelConfig> load_model_config(const std::filesystem::path& folder) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(folder, ignored)) {
    return usage_error(folder.string() + ": expected a checkpoint folder, found " +
                       (std::filesystem::exists(folder, ignored) ? "something else" : "nothing"));
  }
  const std::filesystem::path path = folder / "config.json";
  PACKPROOF_TRY(const std::string text, read_text_file(path, kMaxConfigBytes));
  return parse_model_config(text, path.string());
}

Result<Checkpoint> load_checkpoint(const std::filesystem::path& folder, const ModelConfig& config,
                                   ModelLoadReport* report) {
  ModelLoadReport own_report;
  try {
    PACKPROOF_TRY(const SafetensorsFolder files, SafetensorsFolder::open(folder));
    return Loader(files, config, folder.string()).load(report != nullptr ? *report : own_report);
  } catch (const std::bad_alloc&) {
    return infrastructure_error(folder.string() + ": the checkpoint does not fit in memory as f64");
  }
}

}  // namespace packproof::reference

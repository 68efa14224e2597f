#include "harness/core/collator.h"

#include "harness/core/packing.h"

#include <limits>
#include <string>
#include <utility>

namespace packproof {
namespace {

Tensor as_row(const std::vector<int64_t>& values) {
  return Tensor::from_ints(DType::kI64, {1, static_cast<int64_t>(values.size())}, values);
}

Result<std::vector<int64_t>> separated_labels(std::span<const CollatorFeature> features,
                                              int64_t separator_id) {
  // Only feature 0 decides where labels come from, as in the library.
  const bool given = features.front().labels.has_value();
  std::vector<int64_t> labels;
  for (std::size_t n = 0; n < features.size(); ++n) {
    if (given && !features[n].labels.has_value()) {
      return invalid_input("features[" + std::to_string(n) +
                           "]: expected labels, since features[0] has them, found none");
    }
    const std::vector<int64_t>& source = given ? *features[n].labels : features[n].input_ids;
    labels.push_back(separator_id);
    if (!source.empty()) labels.insert(labels.end(), source.begin() + 1, source.end());
  }
  return labels;
}

}  // namespace

std::vector<std::string_view> CollatedBatch::keys() const {
  std::vector<std::string_view> names{"input_ids", "labels"};
  if (position_ids) names.emplace_back("position_ids");
  if (seq_idx) names.emplace_back("seq_idx");
  if (cu_seq_lens_q) names.emplace_back("cu_seq_lens_q");
  if (cu_seq_lens_k) names.emplace_back("cu_seq_lens_k");
  if (max_length_q) names.emplace_back("max_length_q");
  if (max_length_k) names.emplace_back("max_length_k");
  return names;
}

Result<CollatedBatch> collate(std::span<const CollatorFeature> features,
                              const CollatorOptions& options) {
  if (features.empty()) {
    return invalid_input("features: expected at least one feature, found none");
  }
  std::vector<int64_t> input_ids;
  std::vector<int64_t> lengths;
  for (const CollatorFeature& feature : features) {
    input_ids.insert(input_ids.end(), feature.input_ids.begin(), feature.input_ids.end());
    lengths.push_back(static_cast<int64_t>(feature.input_ids.size()));
  }
  if (input_ids.size() > static_cast<std::size_t>(std::numeric_limits<int32_t>::max())) {
    return invalid_input(
        "features: expected at most 2^31 - 1 tokens (cu_seq_lens are int32), found " +
        std::to_string(input_ids.size()));
  }
  PACKPROOF_TRY(const Packing packing, Packing::from_lengths(std::move(lengths)));
  PACKPROOF_TRY(const std::vector<int64_t> labels,
                separated_labels(features, options.separator_id));

  CollatedBatch batch;
  batch.input_ids = as_row(input_ids);
  batch.labels = as_row(labels);
  if (options.return_position_ids) {
    batch.position_ids = packing.position_ids_tensor(options.position_ids_start);
  }
  if (options.return_seq_idx) batch.seq_idx = packing.seq_idx_tensor();
  if (options.return_flash_attn_kwargs) {
    batch.cu_seq_lens_q = packing.cu_seqlens_tensor(DType::kI32);
    batch.cu_seq_lens_k = batch.cu_seq_lens_q;
    batch.max_length_q = packing.max_seqlen();
    batch.max_length_k = batch.max_length_q;
  }
  return batch;
}

}  // namespace packproof

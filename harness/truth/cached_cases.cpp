#include "harness/truth/cached_cases.h"

#include "harness/truth/batch.h"

#include <memory>
#include <utility>
#include <vector>

namespace packproof {

namespace {

using reference::Model;
using reference::ModelBatch;
using reference::ModelCache;
using reference::ModelOutput;

/// Two rows fed through a cache in the stored segments, against one forward of the whole rows.
Status walk_cached(const Model& model, OracleTally& tally, const std::string& group) {
  PACKPROOF_TRY(const Tensor ids, tally.input(group + "/input_ids", 2));
  PACKPROOF_TRY(const Tensor segments, tally.input(group + "/segments", 1));
  const std::unique_ptr<ModelCache> cache = model.make_cache(ids.dim(0));
  std::vector<Tensor> logits;
  ModelOutput last;
  int64_t begin = 0;
  for (int64_t i = 0; i < segments.numel(); ++i) {
    const int64_t end = begin + segments.int_at(i);
    if (segments.int_at(i) < 1 || end > ids.dim(1))
      return invalid_input(group + "/segments: expected positive lengths with sum " +
                           std::to_string(ids.dim(1)));
    const ModelBatch batch{ids.slice(1, begin, end), std::nullopt, std::nullopt, {}};
    PACKPROOF_TRY(last, model.forward_cached(batch, *cache, with_states()));
    logits.push_back(last.logits);
    begin = end;
  }
  tally.compare(group + "/logits", concatenate(logits, 1), "segments", kForwardBar);
  compare_states(tally, group, last.conv_state, last.recurrent_state, "segments");
  PACKPROOF_TRY(const ModelOutput whole,
                model.forward({ids, std::nullopt, std::nullopt, {}}, with_states()));
  tally.compare(group + "/logits_one_shot", whole.logits, "one shot", kForwardBar);
  compare_states(tally, group, whole.conv_state, whole.recurrent_state, "one shot");
  return {};
}

/// `mask` with one more column of ones.
Tensor grown(const Tensor& mask) {
  Tensor column(DType::kI64, {mask.dim(0), 1});
  for (int64_t row = 0; row < mask.dim(0); ++row) column.set_int(row, 1);
  return concatenate({mask, column}, 1);
}

/// A left-padded prefill, then single steps under a mask that grows by a column each.
Status walk_cached_left_padded(const Model& model, OracleTally& tally, const std::string& group) {
  PACKPROOF_TRY(const Tensor ids, tally.input(group + "/input_ids", 2));
  PACKPROOF_TRY(Tensor mask, tally.input(group + "/attention_mask", 2));
  PACKPROOF_TRY(const Tensor next, tally.input(group + "/next_ids", 2));
  const std::unique_ptr<ModelCache> cache = model.make_cache(ids.dim(0));
  PACKPROOF_TRY(const ModelOutput prefill,
                model.forward_cached({ids, mask, mask_positions(mask), {}}, *cache, {}));
  std::vector<Tensor> logits;
  for (int64_t step = 0; step < next.dim(1); ++step) {
    mask = grown(mask);
    const Tensor positions = mask_positions(mask).slice(1, mask.dim(1) - 1, mask.dim(1));
    PACKPROOF_TRY(
        const ModelOutput output,
        model.forward_cached({next.slice(1, step, step + 1), mask, positions, {}}, *cache, {}));
    logits.push_back(output.logits);
  }
  tally.compare(group + "/logits", concatenate(logits, 1), "decode", kForwardBar);
  return {};
}

Status walk_mask_with_holes(const Model& model, OracleTally& tally, const std::string& group) {
  PACKPROOF_TRY(const Tensor ids, tally.input(group + "/input_ids", 2));
  PACKPROOF_TRY(const Tensor mask, tally.input(group + "/attention_mask", 2));
  PACKPROOF_TRY(const Tensor positions, tally.input(group + "/position_ids", 2));
  PACKPROOF_TRY(const ModelOutput output, model.forward({ids, mask, positions, {}}, with_states()));
  tally.compare(group + "/logits_at_valid_tokens", masked_rows(output.logits, mask), "forward",
                kForwardBar);
  compare_states(tally, group, output.conv_state, output.recurrent_state, "forward");
  return {};
}

Status walk_mrope(const Model& model, OracleTally& tally, const std::string& group) {
  PACKPROOF_TRY(const Tensor ids, tally.input(group + "/input_ids", 2));
  PACKPROOF_TRY(const Tensor positions, tally.input(group + "/position_ids", 3));
  PACKPROOF_TRY(const ModelOutput output, model.forward({ids, std::nullopt, positions, {}}, {}));
  tally.compare(group + "/logits", output.logits, "forward", kForwardBar);
  return {};
}

}  // namespace

void compare_states(OracleTally& tally, const std::string& group,
                    const std::map<int64_t, Tensor>& conv_state,
                    const std::map<int64_t, Tensor>& recurrent_state, const std::string& way) {
  for (const auto& [layer, state] : conv_state)
    tally.compare(group + "/conv_state/" + layer_name(layer), state, way, kForwardBar);
  for (const auto& [layer, state] : recurrent_state)
    tally.compare(group + "/recurrent_state/" + layer_name(layer), state, way, kForwardBar);
}

Status walk_special_case(const Model& model, OracleTally& tally, const std::string& group) {
  if (group == "cached") return walk_cached(model, tally, group);
  if (group == "cached_left_padded") return walk_cached_left_padded(model, tally, group);
  if (group == "mask_with_holes") return walk_mask_with_holes(model, tally, group);
  if (group == "mrope") return walk_mrope(model, tally, group);
  return {};
}

}  // namespace packproof

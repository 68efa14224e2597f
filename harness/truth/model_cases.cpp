#include "harness/truth/model_cases.h"

#include "harness/truth/batch.h"
#include "harness/truth/cached_cases.h"

#include <map>
#include <set>
#include <utility>
#include <vector>

namespace packproof {

namespace {

using reference::Model;
using reference::ModelBatch;
using reference::ModelOutput;

/// A model's outputs for a batch with rows in the oracle's order: tokens of all sequences.
struct TokenOutputs {
  Tensor logits;
  std::vector<Tensor> hidden_states;
  std::vector<Tensor> router_logits;
  std::map<int64_t, Tensor> conv_state;
  std::map<int64_t, Tensor> recurrent_state;
};

std::vector<int64_t> without_batch_axis(const Tensor& tensor) {
  return {tensor.shape().begin() + 1, tensor.shape().end()};
}

TokenOutputs of_one_row(ModelOutput output) {
  TokenOutputs outputs;
  outputs.logits = output.logits.reshaped(without_batch_axis(output.logits));
  for (const Tensor& hidden : output.hidden_states)
    outputs.hidden_states.push_back(hidden.reshaped(without_batch_axis(hidden)));
  outputs.router_logits = std::move(output.router_logits);
  outputs.conv_state = std::move(output.conv_state);
  outputs.recurrent_state = std::move(output.recurrent_state);
  return outputs;
}

TokenOutputs joined(const std::vector<TokenOutputs>& parts) {
  const auto join = [&parts](auto&& member) {
    std::vector<Tensor> tensors;
    for (const TokenOutputs& part : parts) tensors.push_back(member(part));
    return concatenate(tensors, 0);
  };
  TokenOutputs all;
  all.logits = join([](const TokenOutputs& part) { return part.logits; });
  for (std::size_t i = 0; i < parts.front().hidden_states.size(); ++i)
    all.hidden_states.push_back(
        join([i](const TokenOutputs& part) { return part.hidden_states[i]; }));
  for (std::size_t i = 0; i < parts.front().router_logits.size(); ++i)
    all.router_logits.push_back(
        join([i](const TokenOutputs& part) { return part.router_logits[i]; }));
  for (const auto& [layer, unused] : parts.front().conv_state)
    all.conv_state[layer] =
        join([l = layer](const TokenOutputs& part) { return part.conv_state.at(l); });
  for (const auto& [layer, unused] : parts.front().recurrent_state)
    all.recurrent_state[layer] =
        join([l = layer](const TokenOutputs& part) { return part.recurrent_state.at(l); });
  return all;
}

Result<TokenOutputs> run_alone(const Model& model, const TokenBatch& batch) {
  std::vector<TokenOutputs> parts;
  for (int64_t n = 0; n < batch.packing.num_seqs(); ++n) {
    PACKPROOF_TRY(ModelOutput output, model.forward(alone_batch(batch, n), with_states(true)));
    parts.push_back(of_one_row(std::move(output)));
  }
  return joined(parts);
}

Result<TokenOutputs> run_packed(const Model& model, const TokenBatch& batch) {
  PACKPROOF_TRY(ModelOutput output, model.forward(packed_batch(batch), with_states(true)));
  return of_one_row(std::move(output));
}

void compare_outputs(OracleTally& tally, const std::string& group, const TokenOutputs& outputs,
                     const std::string& way) {
  tally.compare(group + "/logits", outputs.logits, way, kForwardBar);
  for (std::size_t i = 0; i < outputs.hidden_states.size(); ++i)
    tally.compare(group + "/hidden_states/" + layer_name(static_cast<int64_t>(i)),
                  outputs.hidden_states[i], way, kForwardBar);
  for (std::size_t i = 0; i < outputs.router_logits.size(); ++i)
    tally.compare(group + "/router_logits/" + layer_name(static_cast<int64_t>(i)),
                  outputs.router_logits[i], way, kForwardBar);
  compare_states(tally, group, outputs.conv_state, outputs.recurrent_state, way);
}

Tensor scalar(double value) { return Tensor::from_doubles(DType::kF64, {}, {&value, 1}); }

/// Loss, logits and gradients of one layout by one method. `rows` turns [B, L, X] into [T, X].
Status compare_loss(const Model& model, OracleTally& tally, const std::string& group,
                    const ModelBatch& batch, const Tensor& labels,
                    const std::function<Tensor(const Tensor&)>& rows, Model::GradientMethod method,
                    const std::string& way) {
  PACKPROOF_TRY(const Model::LossResult result, model.loss_and_gradients(batch, labels, method));
  tally.compare(group + "/logits_at_valid_tokens", rows(result.logits), way, kForwardBar);
  tally.compare(group + "/loss", scalar(result.loss), way, kForwardBar);
  tally.compare(group + "/aux_loss", scalar(result.aux_loss), way, kForwardBar);
  tally.compare(group + "/grad_inputs_embeds", rows(result.grad_inputs_embeds), way, kGradientBar);
  for (const std::string& name : tally.below(group + "/grad")) {
    // With tied embeddings the oracle's value is the output head's share (embeddings entered as
    // inputs), which the reference keeps under the head's name.
    const bool head = model.config().tie_word_embeddings && name == "model.embed_tokens.weight";
    const auto found = result.gradients.find(head ? "lm_head.weight" : name);
    if (found == result.gradients.end())
      tally.skip(group + "/grad/" + name, way, "the reference gives no gradient of this name");
    else
      tally.compare(group + "/grad/" + name, found->second, way, kGradientBar);
  }
  return {};
}

void walk_gradients(const Model& model, OracleTally& tally, const std::string& group,
                    const TokenBatch& batch) {
  const auto one_row = [](const Tensor& values) {
    return values.reshaped(without_batch_axis(values));
  };
  const auto left_rows = [&batch](const Tensor& values) {
    return token_rows(values, batch.packing, PadSide::kLeft);
  };
  const Tensor packed_labels = batch.labels.reshaped({1, batch.packing.total_tokens()});
  using Method = Model::GradientMethod;
  for (const auto& [method, name] :
       {std::pair(Method::kAutograd, "autograd"), std::pair(Method::kDerived, "derived")}) {
    const std::string padded_way = std::string("padded, ") + name;
    if (const Status status =
            compare_loss(model, tally, group, padded_batch(batch, PadSide::kLeft),
                         padded_labels(batch, PadSide::kLeft), left_rows, method, padded_way);
        !status.ok())
      tally.skip(group, padded_way, status.error().message);
    const std::string packed_way = std::string("packed, ") + name;
    if (const Status status = compare_loss(model, tally, group, packed_batch(batch), packed_labels,
                                           one_row, method, packed_way);
        !status.ok())
      tally.skip(group, packed_way, status.error().message);
  }
}

Status walk_padded(const Model& model, OracleTally& tally, const std::string& group,
                   const TokenBatch& batch, PadSide side) {
  PACKPROOF_TRY(const ModelOutput output, model.forward(padded_batch(batch, side), with_states()));
  tally.compare(group + "/logits_at_valid_tokens", token_rows(output.logits, batch.packing, side),
                "forward", kForwardBar);
  compare_states(tally, group, output.conv_state, output.recurrent_state, "forward");
  return {};
}

Result<TokenBatch> read_batch(OracleTally& tally, const std::string& name) {
  PACKPROOF_TRY(const Tensor lens, tally.input(name + "/lens", 1));
  std::vector<int64_t> lengths;
  for (int64_t n = 0; n < lens.numel(); ++n) {
    lengths.push_back(lens.int_at(n));
    if (lengths.back() < 1)
      return invalid_input(name + "/lens: expected positive lengths, found " +
                           std::to_string(lengths.back()));
  }
  if (lengths.empty()) return invalid_input(name + "/lens: expected at least one sequence");
  PACKPROOF_TRY(Packing packing, Packing::from_lengths(std::move(lengths)));
  PACKPROOF_TRY(Tensor ids, tally.input(name + "/input_ids", 1));
  Tensor labels;
  if (tally.has(name + "/labels")) {
    PACKPROOF_TRY(labels, tally.input(name + "/labels", 1));
  }
  for (const Tensor* tokens : {&ids, &labels}) {
    if (tokens == &labels && !tally.has(name + "/labels")) continue;
    if (tokens->numel() != packing.total_tokens())
      return invalid_input(name + ": expected " + std::to_string(packing.total_tokens()) +
                           " token ids and labels, found " + std::to_string(tokens->numel()));
  }
  return TokenBatch{std::move(packing), std::move(ids), std::move(labels)};
}

/// Returns the logits of the sequences run alone; empty when they could not be computed.
Tensor walk_batch(const Model& model, OracleTally& tally, const std::string& name) {
  const Result<TokenBatch> read = read_batch(tally, name);
  if (!read) {
    tally.skip(name, "", read.error().message);
    return {};
  }
  const TokenBatch& batch = *read;
  const std::string alone = name + "/alone";
  Tensor logits;
  if (const Result<TokenOutputs> outputs = run_alone(model, batch); outputs.ok()) {
    compare_outputs(tally, alone, *outputs, "alone");
    logits = outputs->logits;
  } else {
    tally.skip(alone, "alone", outputs.error().message);
  }
  if (const Result<TokenOutputs> outputs = run_packed(model, batch); outputs.ok())
    compare_outputs(tally, alone, *outputs, "packed");
  else
    tally.skip(alone, "packed", outputs.error().message);
  for (const auto& [side, group] : {std::pair(PadSide::kLeft, name + "/padded_left"),
                                    std::pair(PadSide::kRight, name + "/padded_right")}) {
    if (tally.below(group).empty()) continue;
    if (const Status status = walk_padded(model, tally, group, batch, side); !status.ok())
      tally.skip(group, "forward", status.error().message);
  }
  if (tally.has(name + "/padded_left/loss"))
    walk_gradients(model, tally, name + "/padded_left", batch);
  return logits;
}

}  // namespace

TensorMap walk_model_cases(const Model& model, OracleTally& tally, const OracleProgress& progress) {
  TensorMap alone_logits;
  for (const std::string& group : tally.groups()) {
    if (progress) progress(tally.file() + " " + group);
    if (tally.has(group + "/lens")) {
      Tensor logits = walk_batch(model, tally, group);
      if (!logits.empty()) alone_logits.insert_or_assign(group, std::move(logits));
    } else if (const Status status = walk_special_case(model, tally, group); !status.ok()) {
      tally.skip(group, "", status.error().message);
    }
  }
  return alone_logits;
}

}  // namespace packproof

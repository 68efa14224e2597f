#include "harness/run/checks.h"
#include "harness/run/same_rows.h"

#include <algorithm>

namespace packproof {
namespace {

PairOptions every_sequence(int64_t count) {
  PairOptions pairs;
  for (int64_t n = 0; n < count; ++n) pairs.map.push_back(n);
  return pairs;
}

/// Cut points that differ per sequence and reach 0 and the whole length.
std::vector<int64_t> cut_points(const Packing& packing, uint64_t seed) {
  std::vector<int64_t> cuts;
  for (int64_t n = 0; n < packing.num_seqs(); ++n) {
    const auto choices = static_cast<uint64_t>(packing.length(n)) + 1;
    cuts.push_back(static_cast<int64_t>(
        (seed * 2654435761u + static_cast<uint64_t>(n) * 40503u + 7) % choices));
  }
  return cuts;
}

/// Where a call over whole sequences leaves their states.
std::string final_states_of(const OpCall& call) {
  return call.has("state") ? "state" : "final_state";
}

/// Slot of sequence n in those states.
int64_t slot_in(const OpCall& call, int64_t n) {
  return call.has("state_indices") ? call.input("state_indices").int_at(n) : n;
}

/// The single-token call that continues `last` (one token per sequence) from `states`.
OpCall update_call(const PackedCall& last, const Tensor& states, const Packing& whole) {
  const bool conv = last.call.op == Op::kCausalConv1d;
  OpCall update;
  update.op = conv ? Op::kCausalConv1dUpdate : Op::kRecurrentGatedDeltaRuleUpdate;
  update.attributes = last.call.attributes;
  const int64_t count = whole.num_seqs();
  std::vector<int64_t> slots;
  int64_t row = 0;
  std::vector<int64_t> rows;
  for (int64_t n = 0; n < count; ++n) {
    slots.push_back(whole.length(n) > 0 ? slot_in(last.call, n) : -1);
    rows.push_back(whole.length(n) > 0 ? row++ : 0);
  }
  for (const TensorSchema& schema : schema_of(update.op, update.direction)) {
    const std::string name(schema.name);
    const bool pool = schema.role == TensorRole::kPool || schema.role == TensorRole::kMetadata;
    if (schema.output || pool || !last.call.has(name)) continue;
    const Tensor& tensor = last.call.input(name);
    if (schema.role == TensorRole::kShared) {
      update.inputs[name] = tensor;
      continue;
    }
    std::vector<int64_t> shape{count};
    shape.insert(shape.end(), tensor.shape().begin() + 2, tensor.shape().end());
    Tensor gathered(tensor.dtype(), shape);
    const int64_t per_row = gathered.numel() / std::max<int64_t>(count, 1);
    for (int64_t n = 0; n < count; ++n) {
      for (int64_t e = 0; e < per_row; ++e) {
        gathered.set(n * per_row + e, tensor.at(rows[static_cast<std::size_t>(n)] * per_row + e));
      }
    }
    update.inputs[name] = std::move(gathered);
  }
  const std::string pool = conv ? "conv_state" : "state";
  update.inputs[pool] = states;
  update.inputs["state_indices"] = Tensor::from_ints(DType::kI32, {count}, slots);
  const OutputSpec& token_output = last.call.outputs.at("output");
  std::vector<int64_t> shape{count};
  shape.insert(shape.end(), token_output.shape.begin() + 2, token_output.shape.end());
  update.outputs["output"] = {token_output.dtype, shape, {}};
  update.outputs[pool] = {states.dtype(), states.shape(), {}};
  return update;
}

}  // namespace

CheckResult check_cut_and_carry(const CaseContext& context) {
  CheckResult result{.check = "cut_and_carry", .outcome = OutcomeKind::kPass};
  const Packing& packing = context.packed.packing;
  const std::vector<int64_t> zero(static_cast<std::size_t>(packing.num_seqs()), 0);
  const std::vector<int64_t> lengths(packing.lengths().begin(), packing.lengths().end());
  const std::vector<int64_t> cuts = cut_points(packing, context.packed.spec.seed);
  PackedCall packed = context.packed;
  packed.spec.layout = BatchLayout::kPacked;

  const Realised first = realise(cut_sequences(packed, zero, cuts));
  const CallResult first_run = context.candidate.call(first.call, context.options);
  if (const auto failure = failure_of_call("cut_and_carry", first_run)) return *failure;
  PairOptions pairs = every_sequence(packing.num_seqs());
  pairs.states = false;
  if (!demand_same_rows(context, first, first_run, pairs, Strength::kBounded, "before the cut",
                        result)) {
    return result;
  }
  PackedCall rest = cut_sequences(packed, cuts, lengths);
  const std::string states = final_states_of(packed.call);
  rest.call.inputs[states == "state" ? "state" : "initial_state"] = first_run.outputs.at(states);
  pairs.shift = cuts;
  pairs.states = context.packed.spec.layout == BatchLayout::kPacked;
  run_and_demand(context, realise(rest), pairs, Strength::kBounded, "after the cut", result);
  return result;
}

CheckResult check_decode(const CaseContext& context) {
  CheckResult result{.check = "decode", .outcome = OutcomeKind::kPass};
  const Packing& packing = context.packed.packing;
  const std::vector<int64_t> zero(static_cast<std::size_t>(packing.num_seqs()), 0);
  std::vector<int64_t> all_but_one;
  std::vector<int64_t> lengths;
  for (const int64_t length : packing.lengths()) {
    all_but_one.push_back(std::max<int64_t>(length - 1, 0));
    lengths.push_back(length);
  }
  PackedCall packed = context.packed;
  packed.spec.layout = BatchLayout::kPacked;
  packed.spec.stride = StrideKind::kContiguous;
  const Realised prefill = realise(cut_sequences(packed, zero, all_but_one));
  const CallResult prefilled = context.candidate.call(prefill.call, context.options);
  if (const auto failure = failure_of_call("decode", prefilled)) return *failure;
  const std::string states = final_states_of(packed.call);
  const OpCall update = update_call(cut_sequences(packed, all_but_one, lengths),
                                    prefilled.outputs.at(states), packing);
  const CallResult decoded = context.candidate.call(update, context.options);
  if (const auto failure = failure_of_call("decode", decoded)) return *failure;

  const std::string pool = packed.call.op == Op::kCausalConv1d ? "conv_state" : "state";
  Realised step{update, {}};
  RowMap& rows = step.rows["output"];
  RowMap& slots = step.rows[states];
  slots.assign(static_cast<std::size_t>(update.outputs.at(pool).shape[0]),
               {RowKind::kUntouched, -1, -1, Region::kFinalState});
  for (int64_t n = 0; n < packing.num_seqs(); ++n) {
    const bool skipped = packing.length(n) == 0;
    rows.push_back({skipped ? RowKind::kZero : RowKind::kToken, skipped ? -1 : n,
                    packing.length(n) - 1, Region::kTail});
    slots[static_cast<std::size_t>(slot_in(packed.call, n))] = {RowKind::kState, n, -1,
                                                                Region::kFinalState};
  }
  CallResult renamed = decoded;
  renamed.outputs[states] = decoded.outputs.at(pool);
  PairOptions pairs = every_sequence(packing.num_seqs());
  pairs.states = context.packed.spec.layout == BatchLayout::kPacked;
  demand_same_rows(context, step, renamed, pairs, Strength::kBounded, "by prefill and one update",
                   result);
  return result;
}

}  // namespace packproof

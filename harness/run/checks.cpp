#include "harness/run/checks.h"

#include <array>

namespace packproof {
namespace {

std::optional<std::string> always(const CaseContext&) { return std::nullopt; }

std::optional<std::string> needs_undeclared(const CaseContext& context) {
  if (context.undeclared.empty()) return "the call is within what the candidate declares";
  return std::nullopt;
}

bool has_initial_state(const CaseContext& context) {
  const OpCall& call = context.packed.call;
  return call.has("initial_state") ||
         (call.has("state") && takes_state_pool(call.op, call.direction));
}

/// Some sequence of the call has its state in no slot of the pool.
bool lacks_slots(const OpCall& call) {
  if (!call.has("state_indices")) return false;
  const Tensor& indices = call.input("state_indices");
  for (int64_t n = 0; n < indices.numel(); ++n) {
    if (indices.int_at(n) < 0) return true;
  }
  return false;
}

std::optional<std::string> needs_several_sequences(const CaseContext& context) {
  if (context.packed.packing.num_seqs() < 2) return "one sequence has no neighbour";
  return std::nullopt;
}

std::optional<std::string> needs_tokens(const CaseContext& context) {
  if (context.packed.packing.total_tokens() == 0) return "the pack holds no token";
  return std::nullopt;
}

std::optional<std::string> needs_token_rows(const CaseContext& context) {
  if (geometry_of(context.packed.call.op) == Geometry::kSlots) {
    return "the op takes one token per sequence";
  }
  return needs_tokens(context);
}

std::optional<std::string> needs_paddable(const CaseContext& context) {
  const Packing& packing = context.packed.packing;
  if (packing.num_seqs() * packing.max_seqlen() > kPaddedRowLimit) {
    return "the padded batch would exceed the row limit";
  }
  return needs_token_rows(context);
}

std::optional<std::string> needs_right_paddable(const CaseContext& context) {
  // A pad moves the window of a convolution's final state; it leaves a recurrent state as it is.
  if (context.packed.call.op == Op::kCausalConv1d && context.packed.call.has("d_final_state"))
    return "the gradient of a padded final state belongs to the pads";
  return needs_paddable(context);
}

std::optional<std::string> needs_left_paddable(const CaseContext& context) {
  if (context.packed.call.op == Op::kVarlenAttention)
    return "attention without a mask sees left pads";
  if (has_initial_state(context))
    return "left pads would come between the initial state and its tokens";
  return needs_paddable(context);
}

std::optional<std::string> needs_carried_state(const CaseContext& context) {
  if (geometry_of(context.packed.call.op) != Geometry::kTokens) return "the op carries no state";
  const OpCall& call = context.packed.call;
  if (!call.outputs.contains("final_state") && !call.outputs.contains("state")) {
    return "no final state is asked for";
  }
  if (lacks_slots(call)) return "a sequence without a slot carries no state";
  if (context.packed.packing.max_seqlen() < 2) return "no sequence is long enough to cut";
  return std::nullopt;
}

std::optional<std::string> needs_decode(const CaseContext& context) {
  if (const auto reason = needs_carried_state(context)) return reason;
  const Op update = context.packed.call.op == Op::kCausalConv1d
                        ? Op::kCausalConv1dUpdate
                        : Op::kRecurrentGatedDeltaRuleUpdate;
  if (context.candidate.info().find(update, Direction::kForward) == nullptr) {
    return "the candidate offers no " + std::string(name_of(update));
  }
  return std::nullopt;
}

std::optional<std::string> needs_recurrence(const CaseContext& context) {
  if (geometry_of(context.packed.call.op) != Geometry::kTokens) return "rows are independent";
  if (context.packed.call.direction == Direction::kBackward)
    return "gradients come from the future";
  if (context.packed.packing.max_seqlen() < 2) return "no sequence has a past and a future";
  return std::nullopt;
}

std::optional<std::string> needs_host_schedule(const CaseContext& context) {
  if (context.candidate.info().device != "host")
    return "thread order can be chosen on the host only";
  return needs_tokens(context);
}

}  // namespace

std::span<const Check> all_checks() {
  static const std::array<Check, 12> checks{{
      {kUndeclaredCheck, "a call beyond what the candidate declares is refused, or right",
       needs_undeclared, check_undeclared},
      {"reference", "every output element is within its error budget of the f64 definition", always,
       check_reference},
      {"written",
       "every owned element is written, nothing else is, and a second run gives equal bits", always,
       check_written},
      {"alone", "each sequence gives what it gives by itself", needs_tokens, check_alone},
      {"right_padded", "a right-padded batch gives the same outputs", needs_right_paddable,
       check_right_padded},
      {"left_padded", "a left-padded batch gives the same outputs and states", needs_left_paddable,
       check_left_padded},
      {"permuted", "sequences in another order give the same rows", needs_several_sequences,
       check_permuted},
      {"non_interference", "fresh, loud and NaN data in one sequence change no bit of the others",
       needs_several_sequences, check_non_interference},
      {"causality", "a changed future changes no bit of the past", needs_recurrence,
       check_causality},
      {"cut_and_carry", "a sequence cut in two with its state carried gives the whole",
       needs_carried_state, check_cut_and_carry},
      {"decode", "prefill and one single-token update give one longer prefill", needs_decode,
       check_decode},
      {"schedule", "no order of threads changes a bit", needs_host_schedule, check_schedule},
  }};
  return checks;
}

}  // namespace packproof

#include "harness/inspect/inspection.h"

#include "harness/inspect/boundaries.h"
#include "harness/inspect/traps.h"

#include <algorithm>

namespace packproof {
namespace {

constexpr const char* kIdsRemedy =
    "add seq_idx: DataCollatorWithFlattening(return_seq_idx=True), or one id per token, int32 [1, "
    "T]";
constexpr const char* kOffsetsRemedy =
    "add cu_seq_lens_q, cu_seq_lens_k, max_length_q and max_length_k: "
    "DataCollatorWithFlattening(return_flash_attn_kwargs=True)";
constexpr const char* kRowsRemedy =
    "flatten the rows into one, with seq_idx, cu_seq_lens_q and cu_seq_lens_k: "
    "DataCollatorWithFlattening";
constexpr const char* kPositionsRemedy =
    "add position_ids that restart with every sequence: "
    "DataCollatorWithFlattening(return_position_ids=True)";

/// Delta-net layers infer nothing: their own key, through every version (spec 4.2, 4.3).
Consumer delta_net_consumer(const char* name, const char* key, bool right, bool any_metadata) {
  Consumer consumer{name, key, {}};
  const Treatment fast = right ? Treatment::kRight : Treatment::kLeaks;
  consumer.by_library = {Treatment::kLeaks, fast, Treatment::kLeaks, fast,
                         any_metadata ? Treatment::kRefuses : Treatment::kLeaks};
  return consumer;
}

Consumer everywhere(const char* name, const char* reads, bool right) {
  Consumer consumer{name, reads, {}};
  consumer.by_library.fill(right ? Treatment::kRight : Treatment::kLeaks);
  return consumer;
}

bool has(const Batch& batch, const char* key) { return batch.contains(key); }

/// Flash attention takes the four varlen arguments, or else a rule on positions.
bool flash_is_right(const Batch& batch, const BatchBoundaries& b) {
  const bool four = has(batch, "cu_seq_lens_q") && has(batch, "cu_seq_lens_k") &&
                    has(batch, "max_length_q") && has(batch, "max_length_k");
  if (four) return same_boundaries(b.cu_seq_lens_q, *b.intended);
  return same_boundaries(b.flash_rule, *b.intended) && same_boundaries(b.zero_rule, *b.intended);
}

void judge_consumers(const Batch& batch, const BatchBoundaries& b, Inspection& result) {
  const bool conv = same_boundaries(b.seq_idx, *b.intended);
  const bool rule = same_boundaries(b.cu_seq_lens_q, *b.intended);
  const bool metadata = has(batch, "seq_idx") || has(batch, "cu_seq_lens_q");
  const bool masked = has(batch, "attention_mask");
  const bool eager = !masked && same_boundaries(b.mask_rule, *b.intended);
  const bool flash = !masked && flash_is_right(batch, b);
  result.consumers = {
      delta_net_consumer("causal convolution", "seq_idx", conv, metadata),
      delta_net_consumer("delta rule", "cu_seq_lens_q", rule, metadata),
      everywhere("softmax attention, eager and sdpa", "position_ids", eager),
      everywhere("softmax attention, flash", "the four varlen keys, else position_ids", flash),
      everywhere("rotary embedding", "position_ids", same_boundaries(b.mask_rule, *b.intended)),
  };
  const auto problem = [&](const std::string& text, const char* remedy) {
    result.problems.push_back(text);
    if (std::ranges::find(result.remedies, remedy) == result.remedies.end()) {
      result.remedies.emplace_back(remedy);
    }
  };
  if (!conv) {
    problem("the convolution " +
                std::string(b.seq_idx.lengths
                                ? "gets other boundaries by seq_idx"
                                : "gets no boundaries (seq_idx: " + b.seq_idx.remark + ")") +
                ": the first tokens of a sequence see the end of the one before",
            kIdsRemedy);
  }
  if (!rule) {
    problem("the delta rule " +
                std::string(b.cu_seq_lens_q.lengths ? "gets other boundaries by cu_seq_lens_q"
                                                    : "gets no boundaries (cu_seq_lens_q: " +
                                                          b.cu_seq_lens_q.remark + ")") +
                ": state leaks from every sequence into the next",
            kOffsetsRemedy);
  }
  if (masked) {
    problem("attention_mask beside packed sequences: no attention rule looks at position_ids then",
            "leave attention_mask out of packed batches");
  } else if (!eager) {
    problem("eager and sdpa attention " +
                std::string(b.mask_rule.lengths
                                ? "see other boundaries in position_ids"
                                : "see no boundaries (position_ids: " + b.mask_rule.remark + ")") +
                ", and so does the rotary embedding",
            kPositionsRemedy);
  } else if (!flash) {
    problem("flash attention falls back to position_ids and sees other boundaries there",
            kOffsetsRemedy);
  }
}

std::string count_text(int64_t count, const char* what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

std::string rows_text(const BatchBoundaries& b) {
  return count_text(b.rows, "row") + " of " + count_text(b.length, "token");
}

/// Varlen kernels take a batch of one: to delta-net layers and flash attention every row of several
/// is one sequence, whatever its positions say.
void judge_packed_rows(const BatchBoundaries& b, Inspection& result) {
  result.problems.push_back("position_ids take a step other than +1 within " +
                            std::to_string(b.packed_rows) + " of " + count_text(b.rows, "row") +
                            ", as packed sequences do: boundaries of several rows reach no varlen "
                            "kernel, so the sequences of a row leak into each other");
  result.remedies.emplace_back(kRowsRemedy);
}

}  // namespace

std::string_view name_of(Library library) {
  switch (library) {
    case Library::kBefore59:
      return "5.2-5.8";
    case Library::kFast59:
      return "5.9-5.19 kernels";
    case Library::kFallback59:
      return "5.9-5.19 torch";
    case Library::kFast520:
      return "5.20+ kernels";
    case Library::kFallback520:
      return "5.20+ torch";
  }
  return "?";
}

std::string_view name_of(Treatment treatment) {
  switch (treatment) {
    case Treatment::kRight:
      return "right";
    case Treatment::kLeaks:
      return "LEAKS";
    case Treatment::kRefuses:
      return "refuses";
  }
  return "?";
}

Result<Inspection> inspect(const Batch& batch) {
  PACKPROOF_TRY(const BatchBoundaries boundaries, read_boundaries(batch));
  Inspection result;
  result.problems = boundaries.unusable;
  const int64_t tokens = boundaries.rows * boundaries.length;
  if (boundaries.rows == 1) {
    result.boundaries = {boundaries.cu_seq_lens_q, boundaries.cu_seq_lens_k, boundaries.cu_seqlens,
                         boundaries.seq_idx,       boundaries.mask_rule,     boundaries.flash_rule,
                         boundaries.zero_rule};
    // The synonym that no consumer reads is worth a line only where it stands.
    if (!has(batch, "cu_seqlens")) result.boundaries.erase(result.boundaries.begin() + 2);
  }
  if (boundaries.packed()) {
    const auto count = static_cast<int64_t>(boundaries.intended->lengths->size());
    result.summary = "packed: " + count_text(count, "sequence") + " by " +
                     boundaries.intended->source + ", " + count_text(tokens, "token");
    judge_consumers(batch, boundaries, result);
  } else if (boundaries.packed_rows > 0) {
    result.summary = "packed rows: " + rows_text(boundaries);
    judge_packed_rows(boundaries, result);
  } else if (!boundaries.unusable.empty()) {
    result.summary = "boundaries that can't be followed: " + rows_text(boundaries);
  } else if (boundaries.rows > 1) {
    result.summary = "padded: " + rows_text(boundaries);
  } else {
    result.summary = "one sequence of " + count_text(tokens, "token");
  }
  find_traps(batch, boundaries, result);
  return result;
}

}  // namespace packproof

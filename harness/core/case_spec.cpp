#include "harness/core/case_spec.h"

#include "harness/core/case_field.h"

#include <algorithm>

namespace packproof {
namespace {

constexpr int64_t kMaxDim = 4096;
constexpr int64_t kMaxHeads = 1024;
constexpr int64_t kMaxChannels = int64_t{1} << 20;
constexpr int64_t kMaxConvWidth = 32;
constexpr std::size_t kMaxVariantName = 100;

Status expect_range(std::string_view field, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return {};
  return usage_error(std::string(field) + ": expected " + std::to_string(low) + " to " +
                     std::to_string(high) + ", found " + std::to_string(value));
}

Status validate_numbers(const CaseSpec& spec) {
  PACKPROOF_CHECK_OK(expect_range("slack", spec.slack, 0, kMaxCaseTokens));
  PACKPROOF_CHECK_OK(expect_range("pad", spec.pad, 0, kMaxCaseTokens));
  PACKPROOF_CHECK_OK(expect_range("c", spec.channels, 1, kMaxChannels));
  PACKPROOF_CHECK_OK(expect_range("w", spec.conv_width, 2, kMaxConvWidth));
  PACKPROOF_CHECK_OK(expect_range("hk", spec.num_k_heads, 1, kMaxHeads));
  PACKPROOF_CHECK_OK(expect_range("hv", spec.num_v_heads, 1, kMaxHeads));
  PACKPROOF_CHECK_OK(expect_range("k", spec.head_k_dim, 1, kMaxDim));
  return expect_range("v", spec.head_v_dim, 1, kMaxDim);
}

Status validate_lens(const CaseSpec& spec) {
  if (spec.lens.empty()) return usage_error("lens: expected at least one length, found none");
  int64_t total = 0;
  for (const int64_t length : spec.lens) {
    PACKPROOF_CHECK_OK(
        expect_range("lens", length, 0, is_update(spec.op) ? 1 : kMaxCaseTokens - total));
    total += length;
  }
  if (static_cast<int64_t>(spec.lens.size()) > kMaxSequences) {
    return usage_error("lens: expected at most " + std::to_string(kMaxSequences) +
                       " sequences, found " + std::to_string(spec.lens.size()));
  }
  // Ids alone can't show that an empty sequence follows the last token.
  if (spec.metadata == Metadata::kSeqIdx && spec.lens.back() == 0) {
    return usage_error("lens: expected a last length above 0 with meta=seq_idx, found 0");
  }
  return {};
}

Status validate_used(const CaseSpec& spec) {
  const CaseSpec defaults;
  for (const CaseField& field : case_fields()) {
    const std::string value = field.print(spec);
    if (field.used(spec) || value == field.print(defaults)) continue;
    return usage_error(std::string(field.name) +
                       ": expected no such field with op=" + std::string(name_of(spec.op)) +
                       " layout=" + std::string(name_of(spec.layout)) +
                       " meta=" + std::string(name_of(spec.metadata)) +
                       (spec.initial_state == StateInit::kPool ? " h0=pool" : "") + ", found " +
                       value);
  }
  return {};
}

bool is_name(std::string_view text) {
  return text.size() <= kMaxVariantName && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_' || c == '-' || c == '.';
         });
}

bool groups_heads(Op op) {
  return op == Op::kRecurrentGatedDeltaRule || op == Op::kRecurrentGatedDeltaRuleUpdate ||
         op == Op::kChunkGatedDeltaRule || op == Op::kVarlenAttention;
}

/// Elements of the largest tensor; the factors are bounded, so double is exact enough to compare.
double largest_tensor(const CaseSpec& spec) {
  const Packing packing = packing_of(spec);
  const auto num_seqs = static_cast<double>(packing.num_seqs());
  double rows = static_cast<double>(packing.total_rows());
  if (spec.layout != BatchLayout::kPacked) {
    rows = num_seqs * static_cast<double>(packing.max_seqlen() + spec.pad);
  }
  const auto channels = static_cast<double>(spec.channels);
  const auto heads = static_cast<double>(std::max(spec.num_k_heads, spec.num_v_heads));
  const auto k = static_cast<double>(spec.head_k_dim);
  const auto v = static_cast<double>(spec.head_v_dim);
  const double slots = num_seqs + (is_update(spec.op) ? static_cast<double>(spec.slack) : 0.0);
  const bool conv = spec.op == Op::kCausalConv1d || spec.op == Op::kCausalConv1dUpdate;
  if (conv) {
    return channels * std::max(rows, slots * static_cast<double>(spec.conv_width - 1));
  }
  const bool has_states = has_gates(spec.op) && (is_update(spec.op) || spec.final_state ||
                                                 spec.initial_state != StateInit::kNone);
  return heads * std::max(rows * std::max(k, v), has_states ? slots * k * v : 0.0);
}

}  // namespace

bool has_gates(Op op) {
  return op == Op::kRecurrentGatedDeltaRule || op == Op::kRecurrentGatedDeltaRuleUpdate ||
         op == Op::kChunkGatedDeltaRule || op == Op::kDeltaRuleGate;
}

bool is_update(Op op) {
  return op == Op::kCausalConv1dUpdate || op == Op::kRecurrentGatedDeltaRuleUpdate;
}

bool takes_state_pool(Op op, Direction direction) {
  return (op == Op::kRecurrentGatedDeltaRule || op == Op::kChunkGatedDeltaRule) &&
         direction == Direction::kForward;
}

bool is_packed_op(Op op) {
  return op == Op::kCausalConv1d || op == Op::kRecurrentGatedDeltaRule ||
         op == Op::kChunkGatedDeltaRule || op == Op::kVarlenAttention;
}

Status validate(const CaseSpec& spec) {
  PACKPROOF_CHECK_OK(validate_numbers(spec));
  PACKPROOF_CHECK_OK(validate_lens(spec));
  PACKPROOF_CHECK_OK(validate_used(spec));
  // Printing and parsing a field again refuses the values that have no name.
  for (const CaseField& field : case_fields()) {
    CaseSpec copy = spec;
    const std::string value = field.print(spec);
    if (const Status status = field.parse(value, copy); !status.ok()) {
      return usage_error(std::string(field.name) + ": " + status.error().message + ", found " +
                         value);
    }
  }
  if (is_update(spec.op) && spec.direction == Direction::kBackward) {
    return usage_error("dir: expected fwd with op=" + std::string(name_of(spec.op)) +
                       ", found bwd");
  }
  if (groups_heads(spec.op) && spec.num_v_heads % spec.num_k_heads != 0) {
    return usage_error("hv: expected a multiple of hk=" + std::to_string(spec.num_k_heads) +
                       ", found " + std::to_string(spec.num_v_heads));
  }
  if (spec.op == Op::kRope && spec.head_k_dim % 2 != 0) {
    return usage_error("k: expected an even head size with op=rope, found " +
                       std::to_string(spec.head_k_dim));
  }
  if (spec.initial_state == StateInit::kPool && !takes_state_pool(spec.op, spec.direction)) {
    return usage_error(
        "h0: expected a pool with a delta rule and dir=fwd alone, found pool with op=" +
        std::string(name_of(spec.op)) + " dir=" + std::string(name_of(spec.direction)));
  }
  if (!is_name(spec.variant)) {
    return usage_error("variant: expected letters, digits, '_', '-' and '.', found '" +
                       spec.variant.substr(0, kMaxVariantName) + "'");
  }
  if (largest_tensor(spec) > static_cast<double>(kMaxCaseElements)) {
    return usage_error("case: expected tensors of at most " + std::to_string(kMaxCaseElements) +
                       " elements, found more with lens, heads and dims as given");
  }
  return {};
}

Packing packing_of(const CaseSpec& spec) {
  return Packing::from_lengths(spec.lens, spec.slack).value();
}

LayoutClass layout_class_of(const CaseSpec& spec) {
  return packing_of(spec).layout_class(kCaseChunkSize, spec.conv_width);
}

}  // namespace packproof

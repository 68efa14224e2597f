#include "harness/core/case_field.h"

#include "harness/core/case_lens.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace packproof {
namespace {

template <typename Value>
struct Choice {
  std::string_view text;
  Value value;
};

constexpr std::array kDirections{Choice<Direction>{"fwd", Direction::kForward},
                                 Choice<Direction>{"bwd", Direction::kBackward}};
constexpr std::array kDTypes{Choice<DType>{"f32", DType::kF32}, Choice<DType>{"f16", DType::kF16},
                             Choice<DType>{"bf16", DType::kBF16}};
constexpr std::array kIndexTypes{Choice<DType>{"i32", DType::kI32},
                                 Choice<DType>{"i64", DType::kI64}};
constexpr std::array kLayouts{Choice<BatchLayout>{"packed", BatchLayout::kPacked},
                              Choice<BatchLayout>{"padded_left", BatchLayout::kPaddedLeft},
                              Choice<BatchLayout>{"padded_right", BatchLayout::kPaddedRight}};
constexpr std::array kMetadata{Choice<Metadata>{"cu_seqlens", Metadata::kCuSeqlens},
                               Choice<Metadata>{"seq_idx", Metadata::kSeqIdx},
                               Choice<Metadata>{"both", Metadata::kBoth}};
constexpr std::array kActivations{Choice<Activation>{"none", Activation::kNone},
                                  Choice<Activation>{"silu", Activation::kSilu}};
constexpr std::array kGates{Choice<GateRegime>{"default_init", GateRegime::kDefaultInit},
                            Choice<GateRegime>{"slow", GateRegime::kSlow},
                            Choice<GateRegime>{"mixed_zeros", GateRegime::kMixedZeros},
                            Choice<GateRegime>{"all_zero", GateRegime::kAllZero},
                            Choice<GateRegime>{"strong", GateRegime::kStrong},
                            Choice<GateRegime>{"spike", GateRegime::kSpike}};
constexpr std::array kStates{
    Choice<StateInit>{"none", StateInit::kNone}, Choice<StateInit>{"zero", StateInit::kZero},
    Choice<StateInit>{"random", StateInit::kRandom}, Choice<StateInit>{"pool", StateInit::kPool}};
constexpr std::array kStrides{Choice<StrideKind>{"contiguous", StrideKind::kContiguous},
                              Choice<StrideKind>{"fused", StrideKind::kFused},
                              Choice<StrideKind>{"unaligned", StrideKind::kUnaligned}};
constexpr std::array kSwitch{Choice<bool>{"0", false}, Choice<bool>{"1", true}};

/// A value without a name (a dtype no case may have) prints as "?", which validate refuses.
template <typename Choices, typename Value>
std::string_view choice_name(const Choices& choices, Value value) {
  for (const auto& choice : choices) {
    if (choice.value == value) return choice.text;
  }
  return "?";
}

template <typename Choices, typename Value>
Status parse_choice(const Choices& choices, std::string_view text, Value& value) {
  std::string accepted;
  for (std::size_t i = 0; i < choices.size(); ++i) {
    if (choices[i].text == text) {
      value = choices[i].value;
      return {};
    }
    if (i > 0) accepted += i + 1 == choices.size() ? " or " : ", ";
    accepted += choices[i].text;
  }
  return usage_error("expected " + accepted);
}

template <typename Number>
Status parse_number(std::string_view text, Number& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::result_out_of_range) return usage_error("expected a number of 64 bits");
  if (error != std::errc() || end != text.data() + text.size()) {
    return usage_error("expected a whole number");
  }
  return {};
}

/// A decimal number, printed with as few digits as tell it from every other.
std::string print_decimal(double value) {
  std::array<char, 32> text;
  const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), value);
  return {text.data(), end};
}

Status parse_decimal(std::string_view text, double low, double high, double& value) {
  double read = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), read);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  if (!whole || !(read >= low && read <= high)) {
    return usage_error("expected a number from " + print_decimal(low) + " to " +
                       print_decimal(high));
  }
  value = read;
  return {};
}

Status parse_op(std::string_view text, CaseSpec& spec) {
  if (const auto op = op_from_name(text)) {
    spec.op = *op;
    return {};
  }
  std::string accepted;
  for (const Op op : all_ops())
    accepted += (accepted.empty() ? "" : ", ") + std::string(name_of(op));
  return usage_error("expected one of " + accepted);
}

bool always(const CaseSpec&) { return true; }

bool is_packed(const CaseSpec& spec) {
  return is_packed_op(spec.op) && spec.layout == BatchLayout::kPacked;
}

bool is_padded(const CaseSpec& spec) { return is_packed_op(spec.op) && !is_packed(spec); }

bool is_conv(const CaseSpec& spec) {
  return spec.op == Op::kCausalConv1d || spec.op == Op::kCausalConv1dUpdate;
}

bool is_delta_rule(const CaseSpec& spec) {
  return spec.op == Op::kRecurrentGatedDeltaRule || spec.op == Op::kChunkGatedDeltaRule ||
         spec.op == Op::kRecurrentGatedDeltaRuleUpdate;
}

bool has_key_heads(const CaseSpec& spec) {
  return is_delta_rule(spec) || spec.op == Op::kVarlenAttention || spec.op == Op::kRope;
}

bool has_value_heads(const CaseSpec& spec) { return !is_conv(spec) && spec.op != Op::kRope; }

bool has_value_dim(const CaseSpec& spec) {
  return has_value_heads(spec) && spec.op != Op::kVarlenAttention && spec.op != Op::kDeltaRuleGate;
}

bool has_scale(const CaseSpec& spec) {
  return is_delta_rule(spec) || spec.op == Op::kVarlenAttention;
}

bool is_norm(const CaseSpec& spec) {
  return spec.op == Op::kGatedRmsNorm || spec.op == Op::kRmsNorm || spec.op == Op::kL2Norm;
}

bool has_metadata(const CaseSpec& spec) { return is_packed(spec) && spec.op == Op::kCausalConv1d; }

/// Ids alone carry no states (spec 6.3).
bool has_states(const CaseSpec& spec) {
  return is_packed_op(spec.op) && spec.op != Op::kVarlenAttention &&
         !(has_metadata(spec) && spec.metadata == Metadata::kSeqIdx);
}

/// A pool receives the final states, asked or not.
bool has_final_state(const CaseSpec& spec) {
  return has_states(spec) && spec.initial_state != StateInit::kPool;
}

bool has_cu_seqlens(const CaseSpec& spec) {
  return is_packed(spec) && !(has_metadata(spec) && spec.metadata == Metadata::kSeqIdx);
}

bool has_host_metadata(const CaseSpec& spec) { return is_packed(spec) || is_update(spec.op); }

using Used = bool (*)(const CaseSpec&);

/// A field whose values have names.
template <auto Member, const auto& Choices>
constexpr CaseField named(std::string_view name, Used used, bool always_printed = false) {
  return {name, always_printed, used,
          [](const CaseSpec& spec) { return std::string(choice_name(Choices, spec.*Member)); },
          [](std::string_view text, CaseSpec& spec) {
            return parse_choice(Choices, text, spec.*Member);
          }};
}

template <auto Member>
constexpr CaseField number(std::string_view name, Used used, bool always_printed = false) {
  return {name, always_printed, used,
          [](const CaseSpec& spec) { return std::to_string(spec.*Member); },
          [](std::string_view text, CaseSpec& spec) { return parse_number(text, spec.*Member); }};
}

template <auto Member, double kLow, double kHigh>
constexpr CaseField decimal(std::string_view name, Used used) {
  return {name, false, used, [](const CaseSpec& spec) { return print_decimal(spec.*Member); },
          [](std::string_view text, CaseSpec& spec) {
            return parse_decimal(text, kLow, kHigh, spec.*Member);
          }};
}

Status parse_variant(std::string_view text, CaseSpec& spec) {
  spec.variant = std::string(text);
  return {};
}

constexpr bool kShown = true;

constexpr std::array kFields{
    CaseField{"op", kShown, always,
              [](const CaseSpec& spec) { return std::string(name_of(spec.op)); }, parse_op},
    named<&CaseSpec::direction, kDirections>("dir", always),
    named<&CaseSpec::dtype, kDTypes>("dtype", always, kShown),
    CaseField{"lens", kShown, always, [](const CaseSpec& spec) { return print_lens(spec.lens); },
              [](std::string_view text, CaseSpec& spec) { return parse_lens(text, spec.lens); }},
    number<&CaseSpec::slack>(
        "slack", [](const CaseSpec& spec) { return is_packed(spec) || is_update(spec.op); }),
    named<&CaseSpec::layout, kLayouts>("layout",
                                       [](const CaseSpec& spec) { return is_packed_op(spec.op); }),
    number<&CaseSpec::pad>("pad", is_padded),
    named<&CaseSpec::metadata, kMetadata>("meta", has_metadata),
    named<&CaseSpec::cu_dtype, kIndexTypes>("cu", has_cu_seqlens),
    named<&CaseSpec::host_metadata, kSwitch>("host_metadata", has_host_metadata),
    number<&CaseSpec::channels>("c", is_conv),
    number<&CaseSpec::conv_width>("w", is_conv),
    named<&CaseSpec::bias, kSwitch>("bias", is_conv),
    named<&CaseSpec::activation, kActivations>("act", is_conv),
    number<&CaseSpec::num_k_heads>("hk", has_key_heads),
    number<&CaseSpec::num_v_heads>("hv", has_value_heads),
    number<&CaseSpec::head_k_dim>("k", has_key_heads),
    number<&CaseSpec::head_v_dim>("v", has_value_dim),
    named<&CaseSpec::gate, kGates>("gate", [](const CaseSpec& spec) { return has_gates(spec.op); }),
    named<&CaseSpec::gate_in_kernel, kSwitch>("gate_in_kernel", is_delta_rule),
    named<&CaseSpec::qk_l2norm, kSwitch>("l2norm", is_delta_rule),
    decimal<&CaseSpec::scale, 0.0, 1e3>("scale", has_scale),
    decimal<&CaseSpec::eps, 1e-12, 1.0>("eps", is_norm),
    decimal<&CaseSpec::rope_theta, 1.0, 1e9>(
        "theta", [](const CaseSpec& spec) { return spec.op == Op::kRope; }),
    named<&CaseSpec::initial_state, kStates>("h0", has_states),
    named<&CaseSpec::final_state, kSwitch>("ht", has_final_state),
    named<&CaseSpec::stride, kStrides>("stride", always),
    CaseField{"variant", false, always, [](const CaseSpec& spec) { return spec.variant; },
              parse_variant},
    number<&CaseSpec::seed>("seed", always, kShown),
};

constexpr std::array kRegimes{GateRegime::kDefaultInit, GateRegime::kSlow,
                              GateRegime::kMixedZeros,  GateRegime::kAllZero,
                              GateRegime::kStrong,      GateRegime::kSpike};

}  // namespace

std::span<const CaseField> case_fields() { return kFields; }

std::string_view name_of(GateRegime gate) { return choice_name(kGates, gate); }

std::string_view name_of(BatchLayout layout) { return choice_name(kLayouts, layout); }

std::string_view name_of(Metadata metadata) { return choice_name(kMetadata, metadata); }

std::string_view name_of(StateInit init) { return choice_name(kStates, init); }

std::string_view name_of(StrideKind stride) { return choice_name(kStrides, stride); }

std::span<const GateRegime> all_gate_regimes() { return kRegimes; }

}  // namespace packproof

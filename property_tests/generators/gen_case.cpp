#include "property_tests/generators/gen_case.h"

#include "harness/core/case_text.h"
#include "property_tests/generators/draw_lens.h"
#include "property_tests/generators/draw_number.h"
#include "property_tests/generators/shrink_stages.h"

#include <algorithm>
#include <ostream>

namespace packproof {
namespace {

// Padded batches stay within this many rows, or within 34 times the tokens (a padding share of 0.97).
constexpr int64_t kMaxPaddedRows = int64_t{1} << 16;
constexpr int64_t kMaxPaddedPerToken = 34;
// Attention takes time by the square of the padded length: pads stop there.
constexpr int64_t kMaxPaddedKeys = 1024;

bool is_conv(Op op) { return op == Op::kCausalConv1d || op == Op::kCausalConv1dUpdate; }

bool is_delta_rule(Op op) {
  return op == Op::kRecurrentGatedDeltaRule || op == Op::kChunkGatedDeltaRule ||
         op == Op::kRecurrentGatedDeltaRuleUpdate;
}

bool has_states(Op op) { return is_packed_op(op) && op != Op::kVarlenAttention; }

bool has_key_heads(Op op) {
  return is_delta_rule(op) || op == Op::kVarlenAttention || op == Op::kRope;
}

StateInit draw_state() {
  return draw_one_of<StateInit>(
      {StateInit::kNone, StateInit::kRandom, StateInit::kRandom, StateInit::kZero});
}

/// A head size: a multiple of 4 up to 64, mostly small.
int64_t draw_head_dim() { return 4 * (draw_chance(75) ? draw_between(1, 6) : draw_between(1, 16)); }

void draw_conv(CaseSpec& spec) {
  spec.channels = draw_chance(70) ? 8 * draw_between(1, 8) : draw_between(1, 40);
  spec.bias = draw_chance(50);
  spec.activation = draw_chance(60) ? Activation::kSilu : Activation::kNone;
}

void draw_heads(CaseSpec& spec) {
  if (has_key_heads(spec.op)) {
    spec.num_k_heads = draw_one_of<int64_t>({1, 1, 2, 2, 3, 4});
    spec.head_k_dim = draw_head_dim();
  }
  if (spec.op != Op::kRope) spec.num_v_heads = spec.num_k_heads * draw_between(1, 4);
  if (spec.op == Op::kDeltaRuleGate) spec.num_v_heads = draw_between(1, 48);
  if (spec.op != Op::kRope && spec.op != Op::kVarlenAttention && spec.op != Op::kDeltaRuleGate) {
    spec.head_v_dim = draw_head_dim();
  }
  if (!is_delta_rule(spec.op)) return;
  spec.gate_in_kernel = draw_chance(40);
  spec.qk_l2norm = draw_chance(75);
}

/// Dense instead of packed, where that makes sense: attention has no mask for left pads, and left
/// pads would stand between an initial state and its tokens.
void draw_padding(CaseSpec& spec) {
  if (!is_packed_op(spec.op) || spec.slack > 0 || !draw_chance(35)) return;
  const Packing packing = packing_of(spec);
  const int64_t limit = std::min(kMaxPaddedRows, kMaxPaddedPerToken * packing.total_tokens());
  if (packing.total_tokens() == 0 || packing.num_seqs() * packing.max_seqlen() > limit) return;
  const bool left = spec.op != Op::kVarlenAttention && spec.initial_state != StateInit::kRandom &&
                    draw_chance(60);
  spec.layout = left ? BatchLayout::kPaddedLeft : BatchLayout::kPaddedRight;
  int64_t most = limit / packing.num_seqs() - packing.max_seqlen();
  if (spec.op == Op::kVarlenAttention) {
    most = std::clamp<int64_t>(kMaxPaddedKeys - packing.max_seqlen(), 0, most);
  }
  if (draw_chance(60))
    spec.pad = draw_between(0, std::min<int64_t>(most, draw_chance(50) ? 5 : most));
}

void draw_metadata(CaseSpec& spec) {
  if (is_update(spec.op)) spec.host_metadata = draw_chance(80);
  if (!is_packed_op(spec.op) || spec.layout != BatchLayout::kPacked) return;
  spec.host_metadata = draw_chance(80);
  if (spec.op == Op::kCausalConv1d) {
    spec.metadata =
        draw_one_of<Metadata>({Metadata::kCuSeqlens, Metadata::kSeqIdx, Metadata::kBoth});
    // Ids alone can't show that empty sequences follow the last token.
    if (spec.metadata == Metadata::kSeqIdx && spec.lens.back() == 0)
      spec.metadata = Metadata::kBoth;
    if (spec.metadata == Metadata::kSeqIdx) {
      spec.initial_state = StateInit::kNone;
      spec.final_state = true;
      return;
    }
  }
  spec.cu_dtype = draw_chance(50) ? DType::kI32 : DType::kI64;
}

int64_t work_of(const CaseSpec& spec) {
  const Packing packing = packing_of(spec);
  int64_t rows = std::max(packing.total_rows(), packing.num_seqs());
  if (spec.layout != BatchLayout::kPacked) {
    rows = packing.num_seqs() * (packing.max_seqlen() + spec.pad);
  }
  if (is_conv(spec.op)) return rows * spec.channels * spec.conv_width;
  const int64_t key = has_key_heads(spec.op) ? spec.head_k_dim : 1;
  return rows * std::max(spec.num_k_heads, spec.num_v_heads) * key * spec.head_v_dim;
}

/// Halves the largest of channels, K, V and the heads until the work fits or nothing is left.
void limit_work(CaseSpec& spec, int64_t max_work) {
  while (work_of(spec) > max_work) {
    if (is_conv(spec.op)) {
      if (spec.channels == 1) return;
      spec.channels = (spec.channels + 1) / 2;
    } else if (has_key_heads(spec.op) && spec.head_k_dim > std::max<int64_t>(4, spec.head_v_dim)) {
      spec.head_k_dim = (spec.head_k_dim / 4 + 1) / 2 * 4;
    } else if (spec.head_v_dim > 4 && spec.op != Op::kRope && spec.op != Op::kVarlenAttention &&
               spec.op != Op::kDeltaRuleGate) {
      spec.head_v_dim = (spec.head_v_dim / 4 + 1) / 2 * 4;
    } else if (spec.num_k_heads > 1) {
      spec.num_v_heads = std::max<int64_t>(1, spec.num_v_heads / spec.num_k_heads);
      spec.num_k_heads = 1;
    } else if (spec.num_v_heads > 1 && spec.op != Op::kRope) {
      spec.num_v_heads = (spec.num_v_heads + 1) / 2;
    } else if (has_key_heads(spec.op) && spec.head_k_dim > 4) {
      spec.head_k_dim = (spec.head_k_dim / 4 + 1) / 2 * 4;
    } else {
      return;
    }
  }
}

/// A third of the states stand in a pool where the op takes one. The seed decides, so that no other
/// draw depends on it.
void move_states_to_pool(CaseSpec& spec) {
  if (spec.initial_state != StateInit::kRandom || !takes_state_pool(spec.op, spec.direction))
    return;
  if (spec.seed % 3 != 0) return;
  spec.initial_state = StateInit::kPool;
  spec.final_state = true;
}

/// Sizes of real models in a ninth of the cases: kernels have other tiles for them. The seed decides
/// here and below, as above.
void take_real_sizes(CaseSpec& spec) {
  if (spec.seed % 9 != 0) return;
  const int64_t size = spec.seed / 9 % 4 == 0 ? 256 : 128;
  if (is_conv(spec.op)) {
    spec.channels = 2 * size;
    return;
  }
  if (has_key_heads(spec.op)) spec.head_k_dim = size;
  if (spec.op != Op::kRope && spec.op != Op::kVarlenAttention && spec.op != Op::kDeltaRuleGate) {
    spec.head_v_dim = size;
  }
}

/// Scalars other than the model's in a quarter of the cases: a kernel may have them built in.
void take_other_scalars(CaseSpec& spec) {
  if (spec.seed % 4 != 0) return;
  const bool large = spec.seed / 4 % 2 == 0;
  if (is_delta_rule(spec.op) || spec.op == Op::kVarlenAttention) spec.scale = large ? 0.5 : 0.0625;
  if (spec.op == Op::kRope) spec.rope_theta = large ? 1e7 : 1e6;
  if (spec.op == Op::kGatedRmsNorm || spec.op == Op::kRmsNorm || spec.op == Op::kL2Norm) {
    spec.eps = large ? 0.125 : 0x1p-10;
  }
}

CaseSpec draw_case(const CaseDomain& domain) {
  CaseSpec spec;
  spec.op = domain.op;
  spec.direction = domain.direction;
  spec.dtype =
      domain.dtype ? *domain.dtype : draw_one_of<DType>({DType::kF32, DType::kF16, DType::kBF16});
  if (is_conv(spec.op)) {
    const int64_t least = domain.layout == LayoutClass::kShorterThanConv ? 3 : 2;
    spec.conv_width = draw_chance(75) ? draw_between(least, 4) : draw_between(5, 8);
    draw_conv(spec);
  } else {
    draw_heads(spec);
  }
  const LensDomain lens{domain.layout, domain.max_tokens, spec.conv_width};
  const DrawnLens drawn = is_update(spec.op) ? draw_update_lens(lens) : draw_lens(lens);
  spec.lens = drawn.lens;
  spec.slack = drawn.slack;
  if (has_gates(spec.op)) spec.gate = domain.gate;
  if (has_states(spec.op)) {
    spec.initial_state = draw_state();
    spec.final_state = draw_chance(80);
  }
  draw_padding(spec);
  draw_metadata(spec);
  spec.stride = draw_one_of<StrideKind>({StrideKind::kContiguous, StrideKind::kContiguous,
                                         StrideKind::kFused, StrideKind::kUnaligned});
  spec.seed = static_cast<uint64_t>(draw_between(0, 999999));
  move_states_to_pool(spec);
  take_real_sizes(spec);
  take_other_scalars(spec);
  limit_work(spec, domain.max_work);
  return spec;
}

rc::Seq<CaseSpec> simpler_cases(const CaseSpec& spec) {
  std::vector<CaseSpec> simpler;
  for (const ShrinkStage stage : shrink_stages()) {
    for (CaseSpec& candidate : stage(spec)) {
      if (validate(candidate).ok()) simpler.push_back(std::move(candidate));
    }
  }
  return rc::seq::fromContainer(std::move(simpler));
}

}  // namespace

bool is_reachable(const CaseDomain& domain) {
  if (schema_of(domain.op, domain.direction).empty()) return false;
  if (domain.max_tokens < min_tokens(domain.layout)) return false;
  if (is_update(domain.op)) {
    switch (domain.layout) {
      case LayoutClass::kSingle:
      case LayoutClass::kSingles:
      case LayoutClass::kEmptyFront:
      case LayoutClass::kEmptyMiddle:
      case LayoutClass::kEmptyEnd:
      case LayoutClass::kSlack:
        return true;
      default:
        return false;
    }
  }
  return domain.layout != LayoutClass::kSlack || is_packed_op(domain.op);
}

rc::Gen<CaseSpec> gen_case(const CaseDomain& domain) {
  const rc::Gen<CaseSpec> drawn = rc::gen::exec([domain] { return draw_case(domain); });
  return [drawn](const rc::Random& random, int size) {
    return rc::shrinkable::shrinkRecur(drawn(random, size).value(), simpler_cases);
  };
}

rc::Gen<CaseSpec> gen_any_case(int64_t max_tokens) {
  std::vector<CaseDomain> domains;
  for (const Op op : all_ops()) {
    for (const Direction direction : {Direction::kForward, Direction::kBackward}) {
      for (const LayoutClass layout : all_layout_classes()) {
        for (const GateRegime gate : all_gate_regimes()) {
          CaseDomain domain{op, direction, layout, gate, std::nullopt, max_tokens};
          if (is_reachable(domain)) domains.push_back(domain);
        }
      }
    }
  }
  return rc::gen::mapcat(rc::gen::noShrink(rc::gen::elementOf(domains)),
                         [](const CaseDomain& domain) { return gen_case(domain); });
}

void showValue(const CaseSpec& spec, std::ostream& stream) { stream << to_text(spec); }

}  // namespace packproof

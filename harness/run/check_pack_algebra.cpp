#include "harness/run/checks.h"
#include "harness/run/same_rows.h"

#include <algorithm>
#include <numeric>

namespace packproof {
namespace {

/// Packs of thousands of sequences are sampled: the first, the last, their neighbours and an even
/// spread between.
std::vector<int64_t> sample_sequences(const Packing& packing, int64_t limit) {
  std::vector<int64_t> sample;
  const int64_t count = packing.num_seqs();
  if (count <= limit) {
    sample.resize(static_cast<std::size_t>(count));
    std::iota(sample.begin(), sample.end(), 0);
    return sample;
  }
  for (int64_t i = 0; i < limit; ++i) sample.push_back(i * (count - 1) / (limit - 1));
  return sample;
}

std::vector<int64_t> identity(int64_t count) {
  std::vector<int64_t> map(static_cast<std::size_t>(count));
  std::iota(map.begin(), map.end(), 0);
  return map;
}

CheckResult check_padded(const CaseContext& context, BatchLayout layout, const char* name,
                         const char* relation, bool states) {
  CheckResult result{.check = name, .outcome = OutcomeKind::kPass};
  const Packing& packing = context.packed.packing;
  const Realised other = realise_as(context.packed, layout, context.packed.spec.seed % 3);
  PairOptions pairs;
  pairs.map = identity(packing.num_seqs());
  pairs.states = states;
  run_and_demand(context, other, pairs, strength_against(context, layout), relation, result);
  return result;
}

}  // namespace

CheckResult check_alone(const CaseContext& context) {
  CheckResult result{.check = "alone", .outcome = OutcomeKind::kPass};
  const Packing& packing = context.packed.packing;
  const bool slots = geometry_of(context.packed.call.op) == Geometry::kSlots;
  for (const int64_t n : sample_sequences(packing, 24)) {
    if (packing.length(n) == 0) continue;
    PackedCall alone = select_sequences(context.packed, {n}, 0);
    alone.spec.stride = StrideKind::kContiguous;
    const Realised other = slots ? realise(alone) : realise_as(alone, BatchLayout::kPaddedRight, 0);
    PairOptions pairs;
    pairs.map.assign(static_cast<std::size_t>(packing.num_seqs()), -1);
    pairs.map[static_cast<std::size_t>(n)] = 0;
    // A right-padded batch decays and pollutes the states of its shorter sequences (spec 4.1), a
    // left-padded one shifts nothing.
    pairs.states = context.packed.spec.layout == BatchLayout::kPacked ||
                   packing.length(n) == packing.max_seqlen();
    // Pads between an initial state of the convolution and its tokens take the state's gradient.
    const bool window_moves = context.packed.call.op == Op::kCausalConv1d &&
                              context.packed.call.direction == Direction::kBackward;
    if (context.packed.spec.pad > 0 &&
        (context.packed.spec.layout == BatchLayout::kPaddedRight || window_moves)) {
      pairs.states = false;
    }
    if (!run_and_demand(context, other, pairs, strength_against(context, BatchLayout::kPaddedRight),
                        "alone", result))
      break;
  }
  return result;
}

CheckResult check_right_padded(const CaseContext& context) {
  // Pads follow the tokens: outputs are exact by causality, states are the padding's.
  return check_padded(context, BatchLayout::kPaddedRight, "right_padded", "right-padded", false);
}

CheckResult check_left_padded(const CaseContext& context) {
  const bool states = context.packed.spec.layout != BatchLayout::kPaddedRight;
  return check_padded(context, BatchLayout::kPaddedLeft, "left_padded", "left-padded", states);
}

CheckResult check_permuted(const CaseContext& context) {
  CheckResult result{.check = "permuted", .outcome = OutcomeKind::kPass};
  const int64_t count = context.packed.packing.num_seqs();
  // Reversed and rotated. Two sequences are only reversed: rotated they would stand as before.
  const auto rotation =
      count == 2 ? 0
                 : static_cast<int64_t>(context.packed.spec.seed % static_cast<uint64_t>(count));
  std::vector<int64_t> order;
  PairOptions pairs;
  pairs.map.resize(static_cast<std::size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    const int64_t n = (2 * count - 1 - i + rotation) % count;
    pairs.map[static_cast<std::size_t>(n)] = i;
    order.push_back(n);
  }
  const Realised other =
      realise(select_sequences(context.packed, order, context.packed.packing.slack()));
  run_and_demand(context, other, pairs, promised_strength(context), "in another order", result);
  return result;
}

}  // namespace packproof

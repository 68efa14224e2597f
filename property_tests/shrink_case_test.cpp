#include "harness/core/case_text.h"
#include "property_tests/generators/case_source.h"

#include <algorithm>
#include <set>
#include <string>

#include <gtest/gtest.h>

namespace packproof {
namespace {

CaseSpec parsed(const std::string& line) {
  const Result<CaseSpec> spec = parse_case(line);
  EXPECT_TRUE(spec.ok()) << (spec.ok() ? "" : spec.error().message);
  return spec.ok() ? *spec : CaseSpec{};
}

const char* const kLargeCase =
    "op=recurrent_gated_delta_rule dtype=bf16 lens=5,63,0,129,1x4,0,17,200,64x2 slack=9 cu=i64 "
    "hk=3 "
    "hv=9 k=64 v=28 gate=spike gate_in_kernel=1 l2norm=0 h0=random ht=0 stride=unaligned "
    "variant=naive seed=771";

TEST(ShrinkCase, AnEmptySequenceBugShrinksToTwoSequencesAndOneToken) {
  const auto fails = [](const CaseSpec& spec) {
    return std::find(spec.lens.begin() + 1, spec.lens.end(), 0) != spec.lens.end() &&
           packing_of(spec).total_tokens() > 0;
  };
  const ShrinkResult result = shrink_case(parsed(kLargeCase), fails);
  EXPECT_TRUE(fails(result.spec));
  EXPECT_TRUE(result.complete);
  EXPECT_EQ(result.spec.lens.size(), 2U);
  EXPECT_EQ(packing_of(result.spec).total_tokens(), 1);
  EXPECT_EQ(to_text(result.spec),
            "op=recurrent_gated_delta_rule dtype=f32 lens=1,0 hv=1 k=1 v=1 variant=naive seed=0");
}

TEST(ShrinkCase, LengthsStopWhereTheBugStarts) {
  const auto fails = [](const CaseSpec& spec) {
    return std::any_of(spec.lens.begin(), spec.lens.end(), [](int64_t n) { return n > 64; });
  };
  EXPECT_EQ(shrink_case(parsed(kLargeCase), fails).spec.lens, (std::vector<int64_t>{65}));
}

TEST(ShrinkCase, KeepsWhatTheBugNeeds) {
  const auto fails = [](const CaseSpec& spec) {
    return spec.dtype == DType::kBF16 && spec.num_v_heads / spec.num_k_heads == 3 &&
           spec.initial_state == StateInit::kRandom && spec.head_k_dim >= 20;
  };
  const CaseSpec smallest = shrink_case(parsed(kLargeCase), fails).spec;
  EXPECT_EQ(to_text(smallest),
            "op=recurrent_gated_delta_rule dtype=bf16 lens=0 hv=3 k=20 v=1 h0=random variant=naive "
            "seed=0");
}

TEST(ShrinkCase, ACountOfManySequencesIsFoundWithinTheLimit) {
  const auto fails = [](const CaseSpec& spec) { return spec.lens.size() >= 1000; };
  const ShrinkResult result =
      shrink_case(parsed("op=causal_conv1d dtype=f16 lens=1x32768 c=24 seed=5"), fails);
  EXPECT_EQ(result.spec.lens.size(), 1000U);
  EXPECT_LE(result.tries, 500);
}

TEST(ShrinkCase, ManySequencesAreDroppedBeforeOneThatMustStay) {
  const auto fails = [](const CaseSpec& spec) {
    return spec.lens.size() >= 1000 && spec.lens.back() == 2;
  };
  const CaseSpec failing = parsed("op=causal_conv1d dtype=f32 lens=1x5000,2 seed=0");
  EXPECT_EQ(shrink_case(failing, fails).spec.lens.size(), 1000U);
}

TEST(ShrinkCase, APaddedCaseBecomesPackedThoughItsPaddingCannotShrinkAlone) {
  const auto fails = [](const CaseSpec& spec) {
    return spec.layout == BatchLayout::kPacked || spec.pad >= 70;
  };
  const CaseSpec failing = parsed("op=causal_conv1d lens=9,3 layout=padded_left pad=70");
  EXPECT_EQ(shrink_case(failing, fails).spec.layout, BatchLayout::kPacked);
}

TEST(ShrinkCase, PaddedCasesBecomePackedAndUpdatesStayUpdates) {
  const auto always = [](const CaseSpec&) { return true; };
  EXPECT_EQ(to_text(shrink_case(parsed("op=causal_conv1d dtype=bf16 lens=9,3 layout=padded_left "
                                       "pad=70 c=8 w=3 bias=1 seed=4"),
                                always)
                        .spec),
            "op=causal_conv1d dtype=f32 lens=0 c=1 w=2 seed=0");
  EXPECT_EQ(
      to_text(shrink_case(parsed("op=causal_conv1d_update dtype=bf16 lens=1,0,1 slack=3"), always)
                  .spec),
      "op=causal_conv1d_update dtype=f32 lens=0 c=1 w=2 seed=0");
}

TEST(ShrinkCase, EveryTryIsValidNewAndOfTheSameOp) {
  const CaseSpec failing = parsed(kLargeCase);
  std::set<std::string> tried{to_text(failing)};
  int64_t calls = 0;
  const auto fails = [&](const CaseSpec& spec) {
    ++calls;
    EXPECT_TRUE(validate(spec).ok()) << to_text(spec);
    EXPECT_TRUE(tried.insert(to_text(spec)).second) << to_text(spec);
    EXPECT_EQ(spec.op, failing.op);
    EXPECT_EQ(spec.variant, failing.variant);
    return spec.lens.size() > 1 && calls % 3 != 0;
  };
  const ShrinkResult result = shrink_case(failing, fails);
  EXPECT_EQ(result.tries, calls);
  EXPECT_GT(result.accepted, 10);
}

TEST(ShrinkCase, LimitsHold) {
  const CaseSpec failing = parsed(kLargeCase);
  int64_t calls = 0;
  const auto passes = [&](const CaseSpec&) {
    ++calls;
    return false;
  };
  const ShrinkResult bounded = shrink_case(failing, passes, {7, std::chrono::seconds(60)});
  EXPECT_EQ(bounded.tries, 7);
  EXPECT_EQ(calls, 7);
  EXPECT_FALSE(bounded.complete);
  EXPECT_EQ(bounded.spec, failing);
  const ShrinkResult timed = shrink_case(failing, passes, {500, std::chrono::milliseconds(0)});
  EXPECT_EQ(timed.tries, 0);
  EXPECT_FALSE(timed.complete);
}

}  // namespace
}  // namespace packproof

#include "harness/core/case_text.h"

#include "harness/core/case_field.h"

#include <gtest/gtest.h>

namespace packproof {
namespace {

CaseSpec parsed(std::string_view text) {
  const Result<CaseSpec> spec = parse_case(text);
  EXPECT_TRUE(spec.ok()) << (spec.ok() ? "" : spec.error().message);
  return spec.ok() ? *spec : CaseSpec{};
}

std::string error_of(std::string_view text) {
  const Result<CaseSpec> spec = parse_case(text);
  EXPECT_FALSE(spec.ok()) << text;
  if (spec.ok()) return "";
  EXPECT_EQ(spec.error().code, Code::kUsage);
  return spec.error().message;
}

TEST(CaseText, PrintsTheCanonicalLine) {
  EXPECT_EQ(to_text(CaseSpec{}), "op=causal_conv1d dtype=f32 lens=1 seed=0");
  CaseSpec spec;
  spec.op = Op::kChunkGatedDeltaRule;
  spec.dtype = DType::kBF16;
  spec.lens = {0, 3, 64, 64, 65, 517};
  spec.slack = 7;
  spec.num_k_heads = 2;
  spec.num_v_heads = 4;
  spec.head_k_dim = 128;
  spec.gate = GateRegime::kStrong;
  spec.initial_state = StateInit::kRandom;
  spec.stride = StrideKind::kFused;
  spec.seed = 41;
  const std::string line =
      "op=chunk_gated_delta_rule dtype=bf16 lens=0,3,64x2,65,517 slack=7 hk=2 hv=4 k=128 "
      "gate=strong h0=random stride=fused seed=41";
  EXPECT_EQ(to_text(spec), line);
  EXPECT_EQ(parsed(line), spec);
}

TEST(CaseText, AcceptsAnyOrderAndSpelledOutDefaults) {
  EXPECT_EQ(parsed("  seed=3 lens=1,1,2\tdir=fwd op=causal_conv1d w=4\n"),
            parsed("op=causal_conv1d dtype=f32 lens=1x2,2 seed=3"));
  EXPECT_EQ(parsed("op=l2norm seed=18446744073709551615").seed, UINT64_MAX);
}

TEST(CaseText, NamesTheFieldTheTextAndWhatIsAccepted) {
  EXPECT_EQ(error_of("op=causal_conv1d dtype=f8"), "dtype: expected f32, f16 or bf16, found 'f8'");
  EXPECT_EQ(error_of("op=causal_conv1d bias=yes"), "bias: expected 0 or 1, found 'yes'");
  EXPECT_EQ(error_of("op=causal_conv1d w=4 w=3"),
            "case: expected field w once, found it again as 'w=3'");
  EXPECT_EQ(error_of("op=causal_conv1d fast"),
            "case: expected fields like dtype=bf16, found 'fast'");
  EXPECT_EQ(error_of("lens=3"), "case: expected a field op, found none");
  EXPECT_EQ(error_of("op=causal_conv1d w=99999999999999999999"),
            "w: expected a number of 64 bits, found '99999999999999999999'");
  EXPECT_EQ(error_of("op=causal_conv1d w=1"), "w: expected 2 to 32, found 1");
  EXPECT_EQ(error_of("op=causal_conv1d w="), "w: expected a whole number, found ''");
  EXPECT_EQ(error_of("op=causal_conv1d seed=-1"), "seed: expected a whole number, found '-1'");
  EXPECT_EQ(error_of("op=causal_conv1d lens=1,,2"),
            "lens: expected lengths like 0,3,64x2 below 2^63, found '1,,2'");
  EXPECT_EQ(error_of("op=causal_conv1d lens=-1"),
            "lens: expected lengths like 0,3,64x2 below 2^63, found '-1'");
  EXPECT_EQ(error_of("op=causal_conv1d lens=4x0"),
            "lens: expected a count of 1 or more after 'x', found '4x0'");
  EXPECT_NE(error_of("op=conv").find("op: expected one of causal_conv1d, "), std::string::npos);
  EXPECT_NE(error_of("op=causal_conv1d tail=1").find("found 'tail'"), std::string::npos);
}

TEST(CaseText, ScalarsKeepEveryDigitAndTheirRange) {
  const CaseSpec spec = parsed("op=varlen_attention scale=0.1 seed=1");
  EXPECT_EQ(spec.scale, 0.1);
  EXPECT_EQ(to_text(spec), "op=varlen_attention dtype=f32 lens=1 scale=0.1 seed=1");
  EXPECT_EQ(parsed("op=rms_norm eps=0.0009765625").eps, 0x1p-10);
  EXPECT_EQ(parsed("op=rope theta=1e7").rope_theta, 1e7);
  EXPECT_EQ(error_of("op=rms_norm eps=0"), "eps: expected a number from 1e-12 to 1, found '0'");
  EXPECT_EQ(error_of("op=rope theta=nan"), "theta: expected a number from 1 to 1e+09, found 'nan'");
  EXPECT_NE(error_of("op=rope scale=1").find("scale: expected no such field with op=rope"),
            std::string::npos);
}

TEST(CaseText, BoundsLensBeforeExpandingThem) {
  EXPECT_EQ(error_of("op=causal_conv1d lens=67108865"),
            "lens: expected at most 67108864 tokens in all, found '67108865'");
  EXPECT_EQ(error_of("op=causal_conv1d lens=40000000x1,40000000"),
            "lens: expected at most 67108864 tokens in all, found '40000000x1,40000000'");
  EXPECT_NE(error_of("op=causal_conv1d lens=9223372036854775807x2").find("tokens in all"),
            std::string::npos);
  EXPECT_NE(error_of("op=causal_conv1d lens=0x9000000000000000000").find("sequences"),
            std::string::npos);
  EXPECT_EQ(parsed("op=causal_conv1d lens=67108864 c=1").lens[0], kMaxCaseTokens);
}

TEST(CaseText, RefusesFieldsTheOpDoesNotUse) {
  EXPECT_EQ(error_of("op=causal_conv1d hv=4"),
            "hv: expected no such field with op=causal_conv1d layout=packed meta=cu_seqlens, "
            "found 4");
  EXPECT_NE(error_of("op=rms_norm gate=strong").find("gate: expected no such"), std::string::npos);
  EXPECT_NE(error_of("op=rms_norm slack=1").find("slack: expected no such"), std::string::npos);
  EXPECT_NE(error_of("op=causal_conv1d pad=1").find("pad: expected no such"), std::string::npos);
  EXPECT_NE(error_of("op=causal_conv1d meta=seq_idx cu=i64").find("cu: expected no such"),
            std::string::npos);
  EXPECT_NE(error_of("op=causal_conv1d layout=padded_left slack=1").find("slack: expected"),
            std::string::npos);
}

TEST(CaseText, StatesInAPoolBelongToWholeSequencesOfTheDeltaRule) {
  const std::string line = "op=chunk_gated_delta_rule dtype=bf16 lens=3,0 h0=pool seed=3";
  EXPECT_EQ(to_text(parsed(line)), line);
  EXPECT_EQ(error_of("op=chunk_gated_delta_rule h0=pool ht=0"),
            "ht: expected no such field with op=chunk_gated_delta_rule layout=packed "
            "meta=cu_seqlens h0=pool, found 0");
  EXPECT_EQ(error_of("op=chunk_gated_delta_rule dir=bwd h0=pool"),
            "h0: expected a pool with a delta rule and dir=fwd alone, found pool with "
            "op=chunk_gated_delta_rule dir=bwd");
  EXPECT_NE(error_of("op=causal_conv1d h0=pool").find("found pool with op=causal_conv1d dir=fwd"),
            std::string::npos);
}

TEST(CaseText, RefusesCombinationsThatNoOpAccepts) {
  EXPECT_EQ(error_of("op=recurrent_gated_delta_rule hk=2 hv=3"),
            "hv: expected a multiple of hk=2, found 3");
  EXPECT_EQ(error_of("op=causal_conv1d_update dir=bwd"),
            "dir: expected fwd with op=causal_conv1d_update, found bwd");
  EXPECT_EQ(error_of("op=causal_conv1d_update lens=1,2"), "lens: expected 0 to 1, found 2");
  EXPECT_EQ(error_of("op=causal_conv1d meta=seq_idx lens=3,0"),
            "lens: expected a last length above 0 with meta=seq_idx, found 0");
  EXPECT_EQ(error_of("op=rope k=15"), "k: expected an even head size with op=rope, found 15");
  EXPECT_EQ(error_of("op=l2norm variant=a/b"),
            "variant: expected letters, digits, '_', '-' and '.', found 'a/b'");
  EXPECT_NE(error_of("op=recurrent_gated_delta_rule lens=1x32768 hv=32 k=128 v=128")
                .find("elements, found more"),
            std::string::npos);
}

TEST(CaseSpec, ValidateRefusesValuesWithoutAName) {
  CaseSpec spec;
  spec.dtype = DType::kF64;
  EXPECT_EQ(validate(spec).error().message, "dtype: expected f32, f16 or bf16, found ?");
  spec = {};
  spec.lens.clear();
  EXPECT_EQ(validate(spec).error().message, "lens: expected at least one length, found none");
  spec.lens = {kMaxCaseTokens, 1};
  EXPECT_FALSE(validate(spec).ok());
}

TEST(CaseSpec, EveryFieldIsUsedBySomeOpAndEveryValueHasAName) {
  for (const CaseField& field : case_fields()) {
    bool used = false;
    for (const Op op : all_ops()) {
      for (const BatchLayout layout : {BatchLayout::kPacked, BatchLayout::kPaddedLeft}) {
        CaseSpec spec;
        spec.op = op;
        spec.layout = layout;
        used = used || field.used(spec);
      }
    }
    EXPECT_TRUE(used) << field.name;
  }
  EXPECT_EQ(all_gate_regimes().size(), 6U);
  EXPECT_EQ(name_of(GateRegime::kMixedZeros), "mixed_zeros");
  EXPECT_EQ(name_of(BatchLayout::kPaddedRight), "padded_right");
  EXPECT_EQ(name_of(StrideKind::kUnaligned), "unaligned");
}

}  // namespace
}  // namespace packproof

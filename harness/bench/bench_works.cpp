#include "harness/bench/kernel_bench.h"

#include <utility>

namespace packproof {
namespace {

struct Layout {
  std::string name;
  std::vector<int64_t> lens;
};

std::vector<int64_t> repeated(int64_t count, int64_t length) {
  return std::vector<int64_t>(static_cast<std::size_t>(count), length);
}

/// One long sequence among many short ones of 1 to 64 tokens.
std::vector<int64_t> giant_and_dust(int64_t giant, int64_t short_ones) {
  std::vector<int64_t> lens;
  for (int64_t i = 0; i < short_ones; ++i) lens.push_back(1 + i * 37 % 64);
  lens.insert(lens.begin() + static_cast<std::ptrdiff_t>(short_ones / 2), giant);
  return lens;
}

std::vector<Layout> layouts(bool on_gpu) {
  if (!on_gpu) {
    return {{"4x128", repeated(4, 128)},
            {"1x512", {512}},
            {"1x128 + 12 short", giant_and_dust(128, 12)},
            {"64 singles", repeated(64, 1)}};
  }
  return {{"4x8192", repeated(4, 8192)},
          {"8x4096", repeated(8, 4096)},
          {"1x32768", {32768}},
          {"32x1024", repeated(32, 1024)},
          {"1x8192 + 215 short", giant_and_dust(8192, 215)},
          {"4096 singles", repeated(4096, 1)},
          {"32768 singles", repeated(32768, 1)}};
}

CaseSpec rule_spec(Op op, const std::vector<int64_t>& lens, int64_t k_heads, int64_t v_heads) {
  CaseSpec spec;
  spec.op = op;
  spec.dtype = DType::kBF16;
  spec.lens = lens;
  spec.num_k_heads = k_heads;
  spec.num_v_heads = v_heads;
  spec.head_k_dim = 128;
  spec.head_v_dim = 128;
  // A state per sequence is 64 KiB a head: with thousands of sequences nothing else would be timed.
  spec.final_state = lens.size() <= 256;
  spec.seed = 1;
  return spec;
}

CaseSpec row_spec(Op op, const std::vector<int64_t>& lens) {
  CaseSpec spec;
  spec.op = op;
  spec.dtype = DType::kBF16;
  spec.lens = lens;
  return spec;
}

}  // namespace

std::vector<BenchWork> bench_works(bool on_gpu) {
  std::vector<BenchWork> works;
  const auto add = [&](const std::string& layout, CaseSpec spec, const std::string& shape) {
    works.push_back({layout + ", " + shape, std::move(spec)});
  };
  const int64_t k_heads = on_gpu ? 16 : 1;
  const int64_t v_heads = 2 * k_heads;
  const std::string heads = "heads " + std::to_string(k_heads) + "/" + std::to_string(v_heads);
  const std::vector<Layout> packs = layouts(on_gpu);
  const Layout& first = packs.front();
  for (const Layout& pack : packs) {
    add(pack.name, rule_spec(Op::kChunkGatedDeltaRule, pack.lens, k_heads, v_heads), heads);
  }
  if (on_gpu) {
    add(first.name, rule_spec(Op::kChunkGatedDeltaRule, first.lens, 16, 64), "heads 16/64");
  }
  add(first.name, rule_spec(Op::kRecurrentGatedDeltaRule, first.lens, k_heads, v_heads), heads);
  const int64_t sequences = on_gpu ? 256 : 4;
  add(std::to_string(sequences) + " decoded",
      rule_spec(Op::kRecurrentGatedDeltaRuleUpdate, repeated(sequences, 1), k_heads, v_heads),
      heads);
  CaseSpec conv = row_spec(Op::kCausalConv1d, first.lens);
  conv.channels = on_gpu ? 8192 : 256;
  add(first.name, conv, std::to_string(conv.channels) + " channels");
  CaseSpec norm = row_spec(Op::kGatedRmsNorm, first.lens);
  norm.num_v_heads = v_heads;
  norm.head_v_dim = 128;
  add(first.name, norm, std::to_string(norm.num_v_heads) + " rows a token");
  return works;
}

}  // namespace packproof

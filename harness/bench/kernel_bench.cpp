#include "harness/bench/kernel_bench.h"

#include "harness/ops/packed_call.h"

#include <algorithm>
#include <cstdio>
#include <numeric>

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

std::vector<Layout> layouts(bool device) {
  if (!device) {
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

struct Work {
  std::string name;  ///< Of layout and shape.
  CaseSpec spec;
};

std::vector<Work> works(bool device) {
  std::vector<Work> list;
  const auto add = [&](const Layout& layout, CaseSpec spec, const std::string& shape) {
    list.push_back({layout.name + ", " + shape, std::move(spec)});
  };
  const std::vector<Layout> packs = layouts(device);
  for (const Layout& layout : packs) {
    add(layout, rule_spec(Op::kChunkGatedDeltaRule, layout.lens, device ? 16 : 1, device ? 32 : 2),
        device ? "heads 16/32" : "heads 1/2");
  }
  if (device) {
    add(packs[0], rule_spec(Op::kChunkGatedDeltaRule, packs[0].lens, 16, 64), "heads 16/64");
  }
  const Layout& first = packs[0];
  add(first, rule_spec(Op::kRecurrentGatedDeltaRule, first.lens, device ? 16 : 1, device ? 32 : 2),
      device ? "heads 16/32" : "heads 1/2");
  CaseSpec conv;
  conv.op = Op::kCausalConv1d;
  conv.dtype = DType::kBF16;
  conv.lens = first.lens;
  conv.channels = device ? 8192 : 256;
  add(first, conv, std::to_string(conv.channels) + " channels");
  CaseSpec norm;
  norm.op = Op::kGatedRmsNorm;
  norm.dtype = DType::kBF16;
  norm.lens = first.lens;
  norm.num_v_heads = device ? 32 : 2;
  norm.head_v_dim = 128;
  add(first, norm, std::to_string(norm.num_v_heads) + " rows a token");
  return list;
}

double bytes_of(const OpCall& call) {
  double bytes = 0.0;
  for (const auto& [name, tensor] : call.inputs)
    bytes += static_cast<double>(tensor.bytes().size());
  for (const auto& [name, spec] : call.outputs) {
    double count = 1.0;
    for (const int64_t axis : spec.shape) count *= static_cast<double>(axis);
    bytes += count * static_cast<double>(size_of(spec.dtype));
  }
  return bytes;
}

/// Products of the chunked form (spec 3.2) per token and value head, or of the recurrence (3.1).
double flop_per_token_head(const CaseSpec& spec) {
  const auto key = static_cast<double>(spec.head_k_dim);
  const auto value = static_cast<double>(spec.head_v_dim);
  const auto chunk = static_cast<double>(kCaseChunkSize);
  if (spec.op == Op::kChunkGatedDeltaRule) {
    return 4.0 * chunk * key + 4.0 * chunk * value + 6.0 * key * value;
  }
  if (spec.op == Op::kRecurrentGatedDeltaRule) return 7.0 * key * value;
  return 0.0;
}

Result<KernelBenchRow> measure(Candidate& candidate, const Work& work, int64_t repeats) {
  PACKPROOF_TRY(const PackedCall packed, build_case(work.spec));
  const Realised realised = realise(packed);
  const int64_t tokens = packed.packing.total_tokens();
  KernelBenchRow row;
  row.op = std::string(name_of(work.spec.op));
  row.layout = work.name;
  row.token_heads =
      tokens * (work.spec.op == Op::kCausalConv1d ? work.spec.channels : work.spec.num_v_heads);
  row.bytes = bytes_of(realised.call);
  row.flop = flop_per_token_head(work.spec) * static_cast<double>(row.token_heads);
  CallOptions options;
  options.repeats = repeats;
  options.time_limit = std::chrono::minutes(10);
  const CallResult warm = candidate.call(realised.call, options);
  row.seconds = warm.seconds;
  if (warm.status != CallStatus::kOk) {
    row.status = std::string(name_of(warm.status)) + ": " + warm.message;
  }
  return row;
}

}  // namespace

Result<std::vector<KernelBenchRow>> bench_kernels(
    Candidate& candidate, const KernelBenchOptions& options,
    const std::function<void(const std::string&)>& progress) {
  const bool device = candidate.info().device == "cuda";
  std::vector<KernelBenchRow> rows;
  for (const Work& work : works(device)) {
    const std::string name = std::string(name_of(work.spec.op)) + " " + work.name;
    if (name.find(options.only) == std::string::npos) continue;
    progress(name);
    PACKPROOF_TRY(KernelBenchRow row, measure(candidate, work, device ? options.repeats : 3));
    rows.push_back(std::move(row));
  }
  if (rows.empty()) {
    return Error{Code::kNothingRan, "no layout's name contains '" + options.only + "'"};
  }
  return rows;
}

std::string kernel_bench_table(const std::vector<KernelBenchRow>& rows) {
  char line[200];
  std::snprintf(line, sizeof line, "%-28s %-32s %10s %9s %8s %9s\n", "op", "layout", "ms",
                "ns/unit", "GB/s", "TFLOP/s");
  std::string table = line;
  for (const KernelBenchRow& row : rows) {
    if (!row.status.empty()) {
      table += row.op + " " + row.layout + ": " + row.status + "\n";
      continue;
    }
    std::snprintf(line, sizeof line, "%-28s %-32s %10.4f %9.3f %8.1f %9.2f\n", row.op.c_str(),
                  row.layout.c_str(), row.seconds * 1e3,
                  row.seconds * 1e9 / static_cast<double>(std::max<int64_t>(row.token_heads, 1)),
                  row.bytes / row.seconds * 1e-9, row.flop / row.seconds * 1e-12);
    table += line;
  }
  return table +
         "unit: a token of one value head, channel or norm row; medians, no input rotated\n";
}

std::string kernel_bench_json(const std::vector<KernelBenchRow>& rows, const CandidateInfo& info) {
  std::string json =
      "{\"candidate\": \"" + info.name + "\", \"device\": \"" + info.device + "\", \"rows\": [";
  char line[400];
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const KernelBenchRow& row = rows[i];
    std::snprintf(line, sizeof line,
                  "%s\n  {\"op\": \"%s\", \"layout\": \"%s\", \"ran\": %s, \"seconds\": %.9g, "
                  "\"units\": %lld, \"bytes\": %.9g, \"flop\": %.9g}",
                  i == 0 ? "" : ",", row.op.c_str(), row.layout.c_str(),
                  row.status.empty() ? "true" : "false", row.seconds,
                  static_cast<long long>(row.token_heads), row.bytes, row.flop);
    json += line;
  }
  return json + "\n]}\n";
}

}  // namespace packproof

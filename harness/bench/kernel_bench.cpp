#include "harness/bench/kernel_bench.h"

#include "harness/core/fill_gates.h"
#include "harness/ops/packed_call.h"

#include <chrono>
#include <optional>

namespace packproof {
namespace {

constexpr int64_t kRotations = 2;  // Every bench layout on a GPU is larger than its L2 cache.

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
  switch (spec.op) {
    case Op::kChunkGatedDeltaRule:
      return 4.0 * chunk * key + 4.0 * chunk * value + 6.0 * key * value;
    case Op::kRecurrentGatedDeltaRule:
    case Op::kRecurrentGatedDeltaRuleUpdate:
      return 7.0 * key * value;
    default:
      return 0.0;
  }
}

/// Odd heads forget within a few tokens, even ones remember: a kernel may be fast for one kind only.
void strengthen_odd_heads(const PackedCall& packed, OpCall& call) {
  const auto found = call.inputs.find("g");
  if (found == call.inputs.end()) return;
  Tensor& g = found->second;
  const Tensor strong =
      fill_log_decays(packed.spec.seed, GateRegime::kStrong, g.shape(), packed.packing);
  const int64_t heads = g.shape().back();
  for (int64_t i = 0; i < g.numel(); ++i) {
    if (i % heads % 2 == 1) g.set(i, strong.at(i));
  }
}

KernelTime measure(Candidate& candidate, const OpCall& call, int64_t repeats, bool replays) {
  KernelTime time;
  CallOptions options;
  options.repeats = repeats;
  options.rotations = kRotations;
  options.time_limit = std::chrono::minutes(10);
  const auto run = [&]() -> std::optional<double> {
    const CallResult result = candidate.call(call, options);
    if (result.status == CallStatus::kOk) return result.seconds;
    time.status = std::string(name_of(result.status)) + ": " + result.message;
    return std::nullopt;
  };
  time.seconds = run().value_or(0.0);
  options.replay = true;
  if (replays && time.status.empty()) time.replayed = run().value_or(0.0);
  return time;
}

}  // namespace

Result<KernelBench> bench_kernels(Candidate& candidate, Candidate* other, const DeviceRates& rates,
                                  const KernelBenchOptions& options,
                                  const std::function<void(const std::string&)>& progress) {
  const bool on_gpu = candidate.info().device == "cuda";
  KernelBench bench{
      candidate.info(), other == nullptr ? CandidateInfo{} : other->info(), rates, {}};
  const int64_t repeats = on_gpu ? options.repeats : 3;
  for (const BenchWork& work : bench_works(on_gpu)) {
    const std::string name = std::string(name_of(work.spec.op)) + " " + work.layout;
    if (name.find(options.only) == std::string::npos) continue;
    progress(name);
    KernelBenchRow row;
    row.op = std::string(name_of(work.spec.op));
    row.layout = work.layout;
    const Result<PackedCall> packed = build_case(work.spec);
    if (!packed.ok()) {
      row.time.status = packed.error().message;
      bench.rows.push_back(std::move(row));
      continue;
    }
    OpCall call = realise(*packed).call;
    strengthen_odd_heads(*packed, call);
    row.token_heads =
        packed->packing.total_tokens() *
        (work.spec.op == Op::kCausalConv1d ? work.spec.channels : work.spec.num_v_heads);
    row.bytes = bytes_of(call);
    row.flop = flop_per_token_head(work.spec) * static_cast<double>(row.token_heads);
    row.time = measure(candidate, call, repeats, on_gpu);
    if (other != nullptr) row.other = measure(*other, call, repeats, false);
    bench.rows.push_back(std::move(row));
  }
  if (bench.rows.empty()) {
    return Error{Code::kNothingRan, "no layout's name contains '" + options.only + "'"};
  }
  return bench;
}

}  // namespace packproof

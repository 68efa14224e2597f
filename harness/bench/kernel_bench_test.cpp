#include "harness/bench/kernel_bench.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace packproof {
namespace {

/// Takes every call; one that is replayed takes half the time. Refuses norms.
class TimedCandidate : public Candidate {
 public:
  explicit TimedCandidate(double seconds) : seconds_(seconds) {
    info_.name = "timed";
    info_.version = "1";
    info_.device = "cuda-like";
  }

  const CandidateInfo& info() const override { return info_; }

  CallResult call(const OpCall& call, const CallOptions& options) override {
    CallResult result;
    if (call.op == Op::kGatedRmsNorm) {
      result.status = CallStatus::kNotSupported;
      result.message = "no norms here";
      return result;
    }
    EXPECT_EQ(options.rotations, 2);
    result.seconds = seconds_;
    if (call.has("g")) calls_with_gates_.push_back(call.input("g"));
    return result;
  }

  const std::vector<Tensor>& gates() const { return calls_with_gates_; }

 private:
  CandidateInfo info_;
  double seconds_;
  std::vector<Tensor> calls_with_gates_;
};

KernelBench bench_of(TimedCandidate& candidate, TimedCandidate& other) {
  DeviceRates rates;
  rates.device = "a device";
  rates.copy_bytes_per_second = 1e9;
  rates.product_remark = "none";
  Result<KernelBench> bench =
      bench_kernels(candidate, &other, rates, {}, [](const std::string&) {});
  EXPECT_TRUE(bench.ok());
  return bench.ok() ? *std::move(bench) : KernelBench{};
}

TEST(KernelBench, ComparesTwoCandidatesCallByCall) {
  TimedCandidate candidate(0.001);
  TimedCandidate other(0.003);
  const KernelBench bench = bench_of(candidate, other);
  ASSERT_EQ(bench.rows.size(), bench_works(false).size());
  const std::string table = kernel_bench_table(bench);
  EXPECT_NE(table.find("   3.0000    3.00\n"), std::string::npos) << table;
  EXPECT_NE(table.find("not_supported: no norms here"), std::string::npos) << table;
  EXPECT_NE(table.find("product not measured: none"), std::string::npos) << table;
  const auto json = nlohmann::json::parse(kernel_bench_json(bench));
  EXPECT_EQ(json["rows"].size(), bench.rows.size());
  EXPECT_DOUBLE_EQ(json["rows"][0]["time"]["seconds"].get<double>(), 0.001);
  EXPECT_DOUBLE_EQ(json["rows"][0]["other"]["seconds"].get<double>(), 0.003);
}

TEST(KernelBench, HalfOfTheHeadsForgetAtOnce) {
  TimedCandidate candidate(1.0);
  TimedCandidate other(1.0);
  bench_of(candidate, other);
  ASSERT_FALSE(candidate.gates().empty());
  for (const Tensor& g : candidate.gates()) {
    for (int64_t i = 0; i < g.numel(); ++i) {
      const bool strong = i % g.shape().back() % 2 == 1;
      ASSERT_EQ(g.at(i) < -1.0, strong) << i;
    }
  }
}

TEST(KernelBench, ALayoutThatDoesNotExistIsAnError) {
  TimedCandidate candidate(1.0);
  const Result<KernelBench> bench =
      bench_kernels(candidate, nullptr, {}, {.only = "no such"}, [](const std::string&) {});
  ASSERT_FALSE(bench.ok());
  EXPECT_EQ(bench.error().message, "no layout's name contains 'no such'");
}

}  // namespace
}  // namespace packproof

#include "harness/candidate/process_candidate.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include <gtest/gtest.h>

namespace packproof {
namespace {

using std::chrono::milliseconds;

const std::string kBin = PACKPROOF_BINARY_DIR "/bin/";

Result<std::unique_ptr<ProcessCandidate>> start_worker(const std::string& library) {
  return ProcessCandidate::start(
      {.argv = {kBin + "packproof_test_worker", kBin + "packproof_" + library + ".so"},
       .shell_command = ""});
}

std::unique_ptr<ProcessCandidate> worker_of(const std::string& library) {
  Result<std::unique_ptr<ProcessCandidate>> candidate = start_worker(library);
  EXPECT_TRUE(candidate.ok()) << (candidate.ok() ? "" : candidate.error().message);
  return candidate.ok() ? std::move(*candidate) : nullptr;
}

/// causal_conv1d over sequences of the given lengths, packed; values are small integers, so that
/// every evaluation order gives the same f32 sums.
OpCall conv_call(const std::vector<int64_t>& lens, int64_t channels, const std::string& variant) {
  OpCall call;
  call.op = Op::kCausalConv1d;
  call.variant = variant;
  call.attributes.activation = Activation::kNone;
  std::vector<int64_t> bounds{0};
  for (const int64_t length : lens) bounds.push_back(bounds.back() + length);
  Tensor x(DType::kF32, {1, bounds.back(), channels});
  int64_t i = 0;
  for (float& value : x.values<float>()) value = static_cast<float>(i++ * 7 % 11 - 5);
  Tensor weight(DType::kF32, {channels, 4});
  for (int64_t k = 0; k < weight.numel(); ++k) weight.set(k, static_cast<double>(k % 5 - 2));
  call.outputs["output"] = {DType::kF32, x.shape(), {}};
  call.inputs.emplace("x", std::move(x));
  call.inputs.emplace("weight", std::move(weight));
  call.inputs.emplace(
      "cu_seqlens", Tensor::from_ints(DType::kI32, {static_cast<int64_t>(bounds.size())}, bounds));
  return call;
}

double expected_output(const OpCall& call, int64_t t, int64_t c) {
  const Tensor& cu = call.input("cu_seqlens");
  const int64_t channels = call.input("x").dim(2);
  int64_t begin = 0;
  for (int64_t n = 0; n < cu.numel(); ++n) {
    if (cu.int_at(n) <= t) begin = cu.int_at(n);
  }
  double sum = 0.0;
  for (int64_t j = 0; j < 4; ++j) {
    const int64_t from = t - 3 + j;
    if (from >= begin) {
      sum += call.input("weight").at(c * 4 + j) * call.input("x").at(from * channels + c);
    }
  }
  return sum;
}

void expect_right(const OpCall& call, const CallResult& result) {
  ASSERT_EQ(result.status, CallStatus::kOk) << result.message;
  const Tensor& output = result.outputs.at("output");
  for (int64_t t = 0; t < output.dim(1); ++t) {
    for (int64_t c = 0; c < output.dim(2); ++c) {
      ASSERT_EQ(output.at(t * output.dim(2) + c), expected_output(call, t, c)) << t << " " << c;
    }
  }
}

TEST(Worker, RunsAVendorLibrary) {
  const std::unique_ptr<ProcessCandidate> candidate = worker_of("vendor_example");
  EXPECT_EQ(candidate->info().name, "vendor_example");
  EXPECT_TRUE(candidate->info().memory_checked);
  for (const std::vector<int64_t>& lens :
       {std::vector<int64_t>{1}, {5, 1, 2}, {0, 3, 0, 70}, {64, 65}, {0}}) {
    const OpCall call = conv_call(lens, 6, "");
    for (const int poison : {0xFF, 0x00}) {
      CallOptions options;
      options.poison = static_cast<std::byte>(poison);
      const CallResult result = candidate->call(call, options);
      expect_right(call, result);
      EXPECT_EQ(result.variant, "vendor");
      EXPECT_GT(result.seconds, 0.0);
      EXPECT_TRUE(result.memory.written_outside.empty());
      EXPECT_TRUE(result.memory.inputs_modified.empty());
      EXPECT_FALSE(result.memory.floating_point_mode_changed);
    }
  }
  EXPECT_EQ(candidate->restarts(), 0);
}

TEST(Worker, RefusalsCarryTheLibrarysSentence) {
  const std::unique_ptr<ProcessCandidate> candidate = worker_of("vendor_example");
  OpCall call = conv_call({3}, 4, "");
  call.inputs.at("x") = call.input("x").to(DType::kBF16);
  CallResult result = candidate->call(call, {});
  EXPECT_EQ(result.status, CallStatus::kNotSupported);
  EXPECT_EQ(result.message, "vendor: only f32 is supported");
  result = candidate->call(conv_call({3}, 4, "sm90"), {});
  EXPECT_EQ(result.status, CallStatus::kNotSupported);
  EXPECT_EQ(result.message,
            "the library has no variant 'sm90' of causal_conv1d fwd, it has vendor");
  OpCall bad = conv_call({3, 2}, 4, "");
  const int64_t bounds[] = {0, 9, 5};
  bad.inputs.at("cu_seqlens") = Tensor::from_ints(DType::kI32, {3}, bounds);
  result = candidate->call(bad, {});
  EXPECT_EQ(result.status, CallStatus::kInvalidArgument);
  EXPECT_EQ(result.message, "cu_seqlens[1] = 9 starts no sequence of 5 rows");
  EXPECT_TRUE(result.memory.written_outside.empty());
}

/// One call of a misbehaving variant, then one that must be right.
CallResult wrong_then_right(const std::string& variant, CallStatus expected, int poison = 0xFF,
                            milliseconds limit = milliseconds(20000)) {
  const std::unique_ptr<ProcessCandidate> candidate = worker_of("misbehaving");
  CallOptions options;
  options.poison = static_cast<std::byte>(poison);
  options.time_limit = limit;
  CallResult wrong = candidate->call(conv_call({5, 4}, 3, variant), options);
  EXPECT_EQ(name_of(wrong.status), name_of(expected)) << wrong.message;
  const OpCall call = conv_call({5, 4}, 3, "");
  expect_right(call, candidate->call(call, {}));
  return wrong;
}

TEST(Worker, AHangAndAnExitCostOneCall) {
  EXPECT_EQ(wrong_then_right("hangs", CallStatus::kTimeout, 0xFF, milliseconds(300)).message,
            "no answer within 300 ms, the program was killed");
  EXPECT_EQ(wrong_then_right("exits", CallStatus::kCrash).message,
            "the program exited with code 3 before it answered");
  EXPECT_EQ(wrong_then_right("aborts", CallStatus::kCrash).message,
            "the program was killed by signal 6 (SIGABRT) before it answered");
}

TEST(Worker, ACrashSaysWhatWasTouched) {
  EXPECT_EQ(
      wrong_then_right("null_write", CallStatus::kCrash).message,
      "the program was killed by signal 11 (SIGSEGV) before it answered; its last words: "
      "causal_conv1d fwd 'null_write' wrote at address 0x0, outside every buffer of the call");
}

// An odd colour guards the end, an even one the start: each catches one side by a fault and the
// other by the canary.
TEST(Worker, AWriteOfOneElementOutsideIsCaughtOnBothSides) {
  EXPECT_EQ(wrong_then_right("writes_after", CallStatus::kCrash, 0xFF).message,
            "the program was killed by signal 11 (SIGSEGV) before it answered; its last words: "
            "causal_conv1d fwd 'writes_after' wrote past the end of 'output' (end + 0 bytes)");
  EXPECT_EQ(wrong_then_right("writes_after", CallStatus::kOk, 0x00).memory.written_outside,
            std::vector<std::string>{"output (after its end)"});
  EXPECT_EQ(wrong_then_right("writes_before", CallStatus::kOk, 0xFF).memory.written_outside,
            std::vector<std::string>{"output (before its start)"});
  EXPECT_EQ(wrong_then_right("writes_before", CallStatus::kCrash, 0x00).message,
            "the program was killed by signal 11 (SIGSEGV) before it answered; its last words: "
            "causal_conv1d fwd 'writes_before' wrote before the start of 'output' (start - 4 "
            "bytes)");
}

TEST(Worker, AReadPastTheEndIsCaught) {
  EXPECT_EQ(wrong_then_right("reads_after", CallStatus::kCrash, 0xFF).message,
            "the program was killed by signal 11 (SIGSEGV) before it answered; its last words: "
            "causal_conv1d fwd 'reads_after' read past the end of 'x' (end + 0 bytes)");
  // Guarded at the start, the read finds the canary: another colour, another result.
  const std::unique_ptr<ProcessCandidate> candidate = worker_of("misbehaving");
  CallOptions options;
  options.poison = std::byte{0x40};
  const OpCall call = conv_call({5, 4}, 3, "reads_after");
  const CallResult one = candidate->call(call, options);
  options.poison = std::byte{0x42};
  const CallResult other = candidate->call(call, options);
  ASSERT_EQ(one.status, CallStatus::kOk);
  ASSERT_EQ(other.status, CallStatus::kOk);
  EXPECT_NE(one.outputs.at("output").at(0), other.outputs.at("output").at(0));
}

TEST(Worker, WritesIntoGapsInputsAndWorkspaceAreReported) {
  EXPECT_EQ(wrong_then_right("writes_input", CallStatus::kOk).memory.inputs_modified,
            std::vector<std::string>{"weight"});
  EXPECT_EQ(wrong_then_right("writes_workspace_end", CallStatus::kOk).memory.written_outside,
            std::vector<std::string>{"workspace (after its end)"});
  const std::unique_ptr<ProcessCandidate> candidate = worker_of("misbehaving");
  OpCall call = conv_call({3}, 4, "writes_gap");
  call.outputs.at("output").strides = {18, 6, 1};
  const CallResult result = candidate->call(call, {});
  ASSERT_EQ(result.status, CallStatus::kOk) << result.message;
  EXPECT_EQ(result.memory.written_outside,
            std::vector<std::string>{"output (in a gap between rows)"});
}

#if defined(__SSE__)
TEST(Worker, AChangedFloatingPointModeIsReportedAndUndone) {
  const std::unique_ptr<ProcessCandidate> candidate = worker_of("misbehaving");
  EXPECT_TRUE(
      candidate->call(conv_call({3}, 4, "changes_mxcsr"), {}).memory.floating_point_mode_changed);
  EXPECT_FALSE(candidate->call(conv_call({3}, 4, ""), {}).memory.floating_point_mode_changed);

  const std::unique_ptr<ProcessCandidate> loader = worker_of("flushes_denormals");
  EXPECT_EQ(loader->info().notes.size(), 1U);
  OpCall call = conv_call({1}, 1, "");
  const double denormal = std::ldexp(1.0, -140);
  call.inputs.at("x").set(0, denormal);
  call.inputs.at("weight").set(3, 1.0);
  const CallResult result = loader->call(call, {});
  EXPECT_TRUE(result.memory.floating_point_mode_changed);
  EXPECT_EQ(result.outputs.at("output").at(0), denormal);
}
#endif

TEST(Worker, StandardStreamsOfALibraryAreHarmless) {
  const std::unique_ptr<ProcessCandidate> candidate = worker_of("misbehaving");
  for (const char* variant : {"prints", "reads_stdin"}) {
    const OpCall call = conv_call({5, 4}, 3, variant);
    expect_right(call, candidate->call(call, {}));
  }
  EXPECT_EQ(candidate->restarts(), 0);
}

TEST(Worker, StateBetweenCallsShowsAsDifferentResults) {
  const std::unique_ptr<ProcessCandidate> candidate = worker_of("misbehaving");
  const OpCall call = conv_call({5, 4}, 3, "keeps_state");
  expect_right(call, candidate->call(call, {}));
  const CallResult second = candidate->call(call, {});
  EXPECT_EQ(second.outputs.at("output").at(0), expected_output(call, 0, 0) + 1.0);
}

TEST(Worker, OddStatusesBecomeSentences) {
  EXPECT_EQ(wrong_then_right("refuses_without_sentence", CallStatus::kInvalidArgument).message,
            "launch returned packproof_status 2 without a sentence");
  EXPECT_EQ(wrong_then_right("unknown_status", CallStatus::kDeviceError).message,
            "launch: expected a packproof_status, found 77");
  const CallResult late = wrong_then_right("refuses_after_writing", CallStatus::kInvalidArgument);
  EXPECT_EQ(late.message, "refused after all");
  EXPECT_EQ(late.memory.written_outside,
            std::vector<std::string>{"output (although the call was refused)"});
}

TEST(Worker, ALibraryThatLiesReturnsItsZeros) {
  const std::unique_ptr<ProcessCandidate> candidate = worker_of("lies");
  OpCall call = conv_call({5, 4}, 3, "");
  call.inputs.at("x") = call.input("x").to(DType::kBF16);
  call.outputs.at("output").dtype = DType::kBF16;
  const CallResult result = candidate->call(call, {});
  ASSERT_EQ(result.status, CallStatus::kOk);
  EXPECT_EQ(result.outputs.at("output").at(5), 0.0);
}

TEST(Worker, ALibraryThatKnowsNoPoolsOfStatesGetsNone) {
  const std::unique_ptr<ProcessCandidate> candidate = worker_of("lies");
  OpCall call;
  call.op = Op::kChunkGatedDeltaRule;
  call.inputs["state"] = Tensor(DType::kF32, {1, 1, 4, 4});
  call.outputs["state"] = {DType::kF32, {1, 1, 4, 4}, {}};
  const CallResult result = candidate->call(call, {});
  EXPECT_EQ(result.status, CallStatus::kNotSupported);
  EXPECT_EQ(result.message,
            "expected PACKPROOF_FEATURE_STATE_POOL among the library's features for a call with "
            "state, found features 0");
}

TEST(Worker, RefusesToServeWhatIsNoLibrary) {
  for (const char* library :
       {"null_table", "wrong_version", "null_launch", "no_symbol", "missing"}) {
    const Result<std::unique_ptr<ProcessCandidate>> candidate = start_worker(library);
    ASSERT_FALSE(candidate.ok()) << library;
    EXPECT_EQ(candidate.error().code, Code::kInvalidInput);
    EXPECT_NE(candidate.error().message.find("the program exited with code 2"), std::string::npos)
        << candidate.error().message;
    EXPECT_NE(candidate.error().message.find(library), std::string::npos)
        << candidate.error().message;
  }
}

TEST(Worker, ABigPayloadGoesBothWays) {
  const std::unique_ptr<ProcessCandidate> candidate = worker_of("vendor_example");
  const OpCall call = conv_call({100'000, 162'144}, 64, "");  // 64 MiB of f32.
  ASSERT_EQ(call.input("x").bytes().size(), std::size_t{64} << 20);
  const CallResult result = candidate->call(call, {});
  ASSERT_EQ(result.status, CallStatus::kOk) << result.message;
  const Tensor& output = result.outputs.at("output");
  for (const int64_t t : {0, 2, 99'999, 100'000, 100'001, 262'143}) {
    EXPECT_EQ(output.at(t * 64 + 5), expected_output(call, t, 5)) << t;
  }
}

// A round trip of a small case costs about 90 us (measured). The quickest of 500 is compared, and
// the bound only catches a sleep or a process start in the path, whatever else the machine does.
TEST(Worker, ASmallCallIsCheap) {
  const std::unique_ptr<ProcessCandidate> candidate = worker_of("vendor_example");
  const OpCall call = conv_call({3, 2}, 4, "");
  std::vector<double> micros;
  for (int i = 0; i < 500; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    ASSERT_EQ(candidate->call(call, {}).status, CallStatus::kOk);
    micros.push_back(
        std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin)
            .count());
  }
  const double quickest = *std::ranges::min_element(micros);
  RecordProperty("quickest_round_trip_us", std::to_string(quickest));
  EXPECT_LT(quickest, 5000.0);
}

}  // namespace
}  // namespace packproof

#include "harness/candidate/process_candidate.h"

#include <cerrno>
#include <csignal>
#include <fstream>

#include <gtest/gtest.h>

namespace packproof {
namespace {

using std::chrono::milliseconds;

const std::string kProgram = PACKPROOF_BINARY_DIR "/bin/packproof_misbehaving_program";

std::unique_ptr<ProcessCandidate> started() {
  Result<std::unique_ptr<ProcessCandidate>> candidate =
      ProcessCandidate::start({.argv = {kProgram}, .shell_command = ""});
  EXPECT_TRUE(candidate.ok()) << (candidate.ok() ? "" : candidate.error().message);
  return candidate.ok() ? std::move(*candidate) : nullptr;
}

/// A call whose demanded variant tells the program what to do wrong.
OpCall call_of(const std::string& variant, int64_t elements = 4) {
  OpCall call;
  call.op = Op::kL2Norm;
  call.variant = variant;
  call.inputs.emplace("x", Tensor(DType::kF32, {1, elements}));
  call.outputs["output"] = {DType::kF32, {1, elements}, {}};
  return call;
}

CallOptions within(milliseconds limit) {
  CallOptions options;
  options.time_limit = limit;
  return options;
}

/// One call that goes wrong as expected, then one that is answered: the run goes on.
CallResult wrong_then_right(const std::string& variant, CallStatus expected,
                            milliseconds limit = milliseconds(20000)) {
  const std::unique_ptr<ProcessCandidate> candidate = started();
  CallResult wrong = candidate->call(call_of(variant), within(limit));
  EXPECT_EQ(name_of(wrong.status), name_of(expected)) << wrong.message;
  const CallResult right = candidate->call(call_of(""), within(milliseconds(20000)));
  EXPECT_EQ(right.status, CallStatus::kNotSupported) << right.message;
  EXPECT_EQ(right.message, "this program refuses everything");
  return wrong;
}

TEST(ProcessCandidate, SaysWhoItIs) {
  const std::unique_ptr<ProcessCandidate> candidate = started();
  EXPECT_EQ(candidate->info().name, "misbehaving");
  EXPECT_NE(candidate->info().find(Op::kL2Norm, Direction::kForward), nullptr);
}

TEST(ProcessCandidate, StartsOnceForManyCalls) {
  const std::unique_ptr<ProcessCandidate> candidate = started();
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(candidate->call(call_of(""), {}).status, CallStatus::kNotSupported);
  }
  EXPECT_EQ(candidate->restarts(), 0);
}

TEST(ProcessCandidate, AHangIsATimeout) {
  const auto begin = std::chrono::steady_clock::now();
  const CallResult result = wrong_then_right("hangs", CallStatus::kTimeout, milliseconds(200));
  EXPECT_EQ(result.message, "no answer within 200 ms, the program was killed");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
}

TEST(ProcessCandidate, ASignalIsNamedWithTheLastWords) {
  EXPECT_EQ(wrong_then_right("crashes", CallStatus::kCrash).message,
            "the program was killed by signal 11 (SIGSEGV) before it answered; its last words: "
            "first line | about to crash");
  EXPECT_EQ(wrong_then_right("killed", CallStatus::kCrash).message,
            "the program was killed by signal 9 (SIGKILL) before it answered");
}

TEST(ProcessCandidate, AnExitIsNamed) {
  EXPECT_EQ(wrong_then_right("exits", CallStatus::kCrash).message,
            "the program exited with code 3 before it answered");
  EXPECT_EQ(wrong_then_right("exits_in_frame", CallStatus::kCrash).message,
            "the program exited with code 0 while it answered (in the first 24 bytes, after 16 of "
            "24 bytes)");
}

TEST(ProcessCandidate, AnExitIsNoticedThoughAChildHoldsTheOutput) {
  EXPECT_EQ(wrong_then_right("hangs_in_child", CallStatus::kCrash).message,
            "the program exited with code 0 before it answered");
}

TEST(ProcessCandidate, GarbageIsGarbageAtOnce) {
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(wrong_then_right("garbage", CallStatus::kGarbage).message,
            "frame: expected it to begin with 'PKPROOF1', found 'hi\\x0a'");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
  wrong_then_right("bad_json", CallStatus::kGarbage);
  wrong_then_right("huge_claim", CallStatus::kGarbage);
  EXPECT_EQ(wrong_then_right("no_outputs", CallStatus::kGarbage).message,
            "expected an output 'output', found none");
  EXPECT_EQ(wrong_then_right("closes_output", CallStatus::kGarbage).message,
            "the program closed its standard output before it answered and went on running");
}

TEST(ProcessCandidate, AnAnswerToAnotherRequestIsAWrongCase) {
  EXPECT_EQ(wrong_then_right("wrong_id", CallStatus::kWrongCase).message,
            "expected the answer to request 1, found the answer to request 1001");
}

TEST(ProcessCandidate, ASecondAnswerIsAWrongCaseOfTheNextCall) {
  const std::unique_ptr<ProcessCandidate> candidate = started();
  EXPECT_EQ(candidate->call(call_of("answers_twice"), {}).status, CallStatus::kNotSupported);
  EXPECT_EQ(candidate->call(call_of(""), {}).status, CallStatus::kWrongCase);
  EXPECT_EQ(candidate->call(call_of(""), {}).status, CallStatus::kNotSupported);
}

TEST(ProcessCandidate, AFullStandardErrorDoesNotBlock) {
  const std::unique_ptr<ProcessCandidate> candidate = started();
  EXPECT_EQ(candidate->call(call_of("floods_stderr"), {}).status, CallStatus::kNotSupported);
  EXPECT_EQ(candidate->restarts(), 0);
}

TEST(ProcessCandidate, ABigPayloadDoesNotDeadlockWithAnEarlyAnswer) {
  const std::unique_ptr<ProcessCandidate> candidate = started();
  constexpr int64_t kElements = 16 << 20;  // 64 MiB of f32.
  for (const char* variant : {"", "answers_early", ""}) {
    const CallResult result = candidate->call(call_of(variant, kElements), {});
    EXPECT_EQ(result.status, CallStatus::kNotSupported) << result.message;
  }
  EXPECT_EQ(candidate->restarts(), 0);
}

TEST(ProcessCandidate, ABigPayloadToADyingProgramRaisesNoSignal) {
  const std::unique_ptr<ProcessCandidate> candidate = started();
  ASSERT_EQ(candidate->call(call_of(""), {}).status, CallStatus::kNotSupported);
  // "exits" happens after the payload; here the program is stopped by its own time limit before.
  EXPECT_EQ(candidate->call(call_of("hangs", 16 << 20), within(milliseconds(1))).status,
            CallStatus::kTimeout);

  struct sigaction action {};

  ASSERT_EQ(::sigaction(SIGPIPE, nullptr, &action), 0);
  EXPECT_EQ(action.sa_handler, SIG_DFL);
  EXPECT_EQ(candidate->call(call_of(""), {}).status, CallStatus::kNotSupported);
}

TEST(ProcessCandidate, AfterADeviceErrorTheNextCallGetsAFreshProcess) {
  const std::unique_ptr<ProcessCandidate> candidate = started();
  EXPECT_EQ(candidate->call(call_of("loses_device"), {}).status, CallStatus::kDeviceError);
  EXPECT_EQ(candidate->call(call_of(""), {}).status, CallStatus::kNotSupported);
  EXPECT_EQ(candidate->restarts(), 1);
}

TEST(ProcessCandidate, AShellCommandIsStartedAndItsSignalNamed) {
  Result<std::unique_ptr<ProcessCandidate>> candidate =
      ProcessCandidate::start({.argv = {}, .shell_command = "cd / && " + kProgram + "; exit $?"});
  ASSERT_TRUE(candidate.ok()) << candidate.error().message;
  const CallResult result = (*candidate)->call(call_of("crashes"), {});
  EXPECT_EQ(result.status, CallStatus::kCrash);
  EXPECT_NE(result.message.find("exited with code 139"), std::string::npos) << result.message;
  EXPECT_NE(result.message.find("signal 11"), std::string::npos) << result.message;
  EXPECT_EQ((*candidate)->call(call_of(""), {}).status, CallStatus::kNotSupported);
}

TEST(ProcessCandidate, RefusedStartsAreTold) {
  const auto refusal = [](std::vector<std::string> argv, milliseconds limit) {
    const Result<std::unique_ptr<ProcessCandidate>> candidate = ProcessCandidate::start(
        {.argv = std::move(argv), .shell_command = "", .start_limit = limit});
    EXPECT_FALSE(candidate.ok());
    return candidate.ok() ? Error{} : candidate.error();
  };
  const Error missing = refusal({"/no/such/program"}, milliseconds(5000));
  EXPECT_EQ(missing.code, Code::kUsage);
  EXPECT_EQ(missing.message,
            "the program '/no/such/program' could not be started: No such file or directory");
  const Error refused = refusal({kProgram, "--refuse-to-start"}, milliseconds(5000));
  EXPECT_EQ(refused.code, Code::kInvalidInput);
  EXPECT_EQ(refused.message,
            "the candidate did not answer hello: the program exited with code 2 before it "
            "answered; its last words: this library is not one");
  const Error silent = refusal({kProgram, "--never-hello"}, milliseconds(100));
  EXPECT_EQ(silent.code, Code::kInfrastructure);
  EXPECT_EQ(refusal({}, milliseconds(5000)).code, Code::kUsage);
}

// A program that starts once and then never again.
TEST(ProcessCandidate, AFailedRestartIsAStatus) {
  const std::string copy = ::testing::TempDir() + "packproof_starts_once";
  std::filebuf source, target;
  source.open(kProgram, std::ios::in | std::ios::binary);
  target.open(copy, std::ios::out | std::ios::binary);
  std::ostream(&target) << &source;
  target.close();
  ASSERT_EQ(::system(("chmod +x " + copy).c_str()), 0);
  Result<std::unique_ptr<ProcessCandidate>> candidate =
      ProcessCandidate::start({.argv = {copy}, .shell_command = ""});
  ASSERT_TRUE(candidate.ok()) << candidate.error().message;
  ASSERT_EQ(std::remove(copy.c_str()), 0);
  EXPECT_EQ((*candidate)->call(call_of("exits"), {}).status, CallStatus::kCrash);
  const CallResult result = (*candidate)->call(call_of(""), {});
  EXPECT_EQ(result.status, CallStatus::kStartFailed);
  EXPECT_NE(result.message.find("could not be started"), std::string::npos) << result.message;
}

}  // namespace
}  // namespace packproof

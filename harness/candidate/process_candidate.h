#pragma once

#include "harness/candidate/candidate.h"
#include "harness/candidate/child_process.h"
#include "harness/candidate/frame.h"
#include "harness/core/result.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace packproof {

/// How a candidate's program is started.
struct StartOptions {
  std::vector<std::string> argv;  ///< The program and its arguments; no shell is involved.
  std::string shell_command;      ///< Run by `/bin/sh -c` when `argv` is empty.
  std::chrono::milliseconds start_limit{120000};  ///< From the start to the answer to `hello`.
};

/// A candidate in a process of its own, spoken to as PROTOCOL.md says: started once for many
/// calls. A hang, a crash, an exit, garbage or an answer to another request is a status of that
/// call; the process is then killed and the next call starts it again. Not for concurrent use.
class ProcessCandidate : public Candidate {
 public:
  /// Starts the program and asks it who it is. kUsage when it can't be executed, kInvalidInput
  /// when it ends with exit code 2 (a library or an option that it refuses), else kInfrastructure.
  static Result<std::unique_ptr<ProcessCandidate>> start(StartOptions options);

  ~ProcessCandidate() override;  ///< Says bye, waits a moment, kills.

  const CandidateInfo& info() const override { return info_; }

  CallResult call(const OpCall& call, const CallOptions& options) override;
  CallResult forward_model(const ModelCall& call, const CallOptions& options) override;

  int64_t restarts() const { return restarts_; }

 private:
  explicit ProcessCandidate(StartOptions options) : options_(std::move(options)) {}

  /// A frame, or why there is none.
  struct Answer {
    std::optional<Frame> frame;
    CallStatus failure = CallStatus::kOk;
    std::string sentence;
  };

  Result<CandidateInfo> launch();
  Answer exchange(const OutgoingFrame& request, std::chrono::milliseconds limit);
  Answer give_up(CallStatus status, std::string sentence);
  Answer input_ended(const std::string& progress);
  std::optional<CallResult> restart_if_gone();

  /// `call` is null where the outputs are the program's to choose.
  CallResult judge(const OpCall* call, const Frame& frame);
  void stop();

  StartOptions options_;
  CandidateInfo info_;
  std::optional<ChildProcess> child_;
  uint64_t next_id_ = 1;
  int64_t restarts_ = 0;
};

}  // namespace packproof

#include "harness/candidate/process_candidate.h"

#include "harness/candidate/message.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>

#include <poll.h>
#include <signal.h>

namespace packproof {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kLongestLimit{std::chrono::hours{24 * 365}};
constexpr milliseconds kPollSlice{100};
constexpr milliseconds kEndAfterClose{2000};
constexpr milliseconds kByeLimit{1000};
constexpr int kShellSignalBase = 128;

/// Holds SIGPIPE back from this thread while it writes into a pipe whose reader may be gone, and
/// swallows one that such a write raised. Nothing changes for the rest of the process.
class SigpipeHeld {
 public:
  SigpipeHeld() {
    ::sigemptyset(&pipe_);
    ::sigaddset(&pipe_, SIGPIPE);
    sigset_t pending;
    ::sigpending(&pending);
    was_pending_ = ::sigismember(&pending, SIGPIPE) == 1;
    ::pthread_sigmask(SIG_BLOCK, &pipe_, &old_mask_);
  }

  SigpipeHeld(const SigpipeHeld&) = delete;
  SigpipeHeld& operator=(const SigpipeHeld&) = delete;

  ~SigpipeHeld() {
    const timespec now{};
    if (!was_pending_) {
      while (::sigtimedwait(&pipe_, nullptr, &now) < 0 && errno == EINTR) {
      }
    }
    ::pthread_sigmask(SIG_SETMASK, &old_mask_, nullptr);
  }

 private:
  sigset_t pipe_;
  sigset_t old_mask_;
  bool was_pending_ = false;
};

std::string layout_text(DType dtype, const std::vector<int64_t>& shape,
                        const std::vector<int64_t>& strides) {
  return std::string(name_of(dtype)) + " " + shape_text(shape) + " with strides " +
         shape_text(strides);
}

/// Empty when the outputs are exactly those that the call asked for.
std::string output_mismatch(const OpCall& call, const TensorMap& outputs) {
  for (const auto& [name, spec] : call.outputs) {
    const auto found = outputs.find(name);
    if (found == outputs.end()) return "expected an output '" + name + "', found none";
    const Tensor& tensor = found->second;
    const std::vector<int64_t> strides = strides_of(spec);
    if (tensor.dtype() != spec.dtype || tensor.shape() != spec.shape ||
        tensor.strides() != strides) {
      return "expected output '" + name + "' as " + layout_text(spec.dtype, spec.shape, strides) +
             ", found " + layout_text(tensor.dtype(), tensor.shape(), tensor.strides());
    }
  }
  for (const auto& [name, tensor] : outputs) {
    if (!call.outputs.contains(name)) {
      return "expected no output '" + name + "', found " +
             layout_text(tensor.dtype(), tensor.shape(), tensor.strides());
    }
  }
  return {};
}

CallResult failure_of(CallStatus status, std::string message) {
  CallResult result;
  result.status = status;
  result.message = std::move(message);
  return result;
}

}  // namespace

Result<std::unique_ptr<ProcessCandidate>> ProcessCandidate::start(StartOptions options) {
  if (options.argv.empty() && !options.shell_command.empty()) {
    options.argv = {"/bin/sh", "-c", options.shell_command};
  }
  std::unique_ptr<ProcessCandidate> candidate(new ProcessCandidate(std::move(options)));
  PACKPROOF_TRY(candidate->info_, candidate->launch());
  return candidate;
}

ProcessCandidate::~ProcessCandidate() { stop(); }

Result<CandidateInfo> ProcessCandidate::launch() {
  PACKPROOF_TRY(ChildProcess child, ChildProcess::start(options_.argv));
  child_.emplace(std::move(child));
  Answer answer = exchange(encode_hello_request(), options_.start_limit);
  if (!answer.frame) {
    // By convention (and by `packproof worker`) exit code 2 means: what the user named is at fault.
    const bool refused = child_->exit_code() == 2;
    child_.reset();
    const std::string sentence = "the candidate did not answer hello: " + answer.sentence;
    return refused ? invalid_input(sentence) : infrastructure_error(sentence);
  }
  Result<CandidateInfo> info = decode_hello(*answer.frame);
  if (!info.ok()) child_.reset();
  return info;
}

std::optional<CallResult> ProcessCandidate::restart_if_gone() {
  if (child_) return std::nullopt;
  ++restarts_;
  const Result<CandidateInfo> info = launch();
  if (!info.ok()) return failure_of(CallStatus::kStartFailed, info.error().message);
  if (info->name != info_.name || info->identity != info_.identity) {
    child_.reset();
    return failure_of(CallStatus::kStartFailed, "expected the program to be '" + info_.name +
                                                    "' again, found '" + info->name + "'");
  }
  return std::nullopt;
}

CallResult ProcessCandidate::forward_model(const ModelCall& call, const CallOptions& options) {
  if (auto failure = restart_if_gone()) return *std::move(failure);
  const uint64_t id = next_id_++;
  const Answer answer = exchange(encode_model_call(id, call, options), options.time_limit);
  if (!answer.frame) {
    child_.reset();
    return failure_of(answer.failure, answer.sentence);
  }
  return judge(nullptr, *answer.frame);
}

CallResult ProcessCandidate::call(const OpCall& call, const CallOptions& options) {
  if (auto failure = restart_if_gone()) return *std::move(failure);
  const uint64_t id = next_id_++;
  const Answer answer = exchange(encode_call(id, call, options), options.time_limit);
  if (!answer.frame) {
    child_.reset();
    return failure_of(answer.failure, answer.sentence);
  }
  return judge(&call, *answer.frame);
}

CallResult ProcessCandidate::judge(const OpCall* call, const Frame& frame) {
  const auto refuse = [this](CallStatus status, std::string sentence) {
    child_.reset();  // Where its answers stand in the stream is unknown from here on.
    return failure_of(status, std::move(sentence));
  };
  Result<ResultMessage> message = decode_result(frame);
  if (!message.ok()) return refuse(CallStatus::kGarbage, message.error().message);
  const uint64_t expected_id = next_id_ - 1;
  if (message->id != expected_id) {
    return refuse(CallStatus::kWrongCase,
                  "expected the answer to request " + std::to_string(expected_id) +
                      ", found the answer to request " + std::to_string(message->id));
  }
  CallResult result = std::move(message->result);
  if (result.status == CallStatus::kOk && call != nullptr) {
    std::string mismatch = output_mismatch(*call, result.outputs);
    if (!mismatch.empty()) return refuse(CallStatus::kGarbage, std::move(mismatch));
  }
  // After an error of the device its context is lost; a fresh process gets a fresh one.
  if (result.status == CallStatus::kDeviceError) stop();
  return result;
}

ProcessCandidate::Answer ProcessCandidate::give_up(CallStatus status, std::string sentence) {
  child_->kill_group();
  const std::string words = child_->last_words();
  if (!words.empty()) sentence += "; its last words: " + words;
  return {std::nullopt, status, std::move(sentence)};
}

ProcessCandidate::Answer ProcessCandidate::input_ended(const std::string& progress) {
  if (!child_->wait_for_end(kEndAfterClose)) {
    return give_up(CallStatus::kGarbage,
                   "the program closed its standard output " + progress + " and went on running");
  }
  std::string sentence = "the program " + child_->ending() + " " + progress;
  const int code = child_->exit_code().value_or(0);
  if (!options_.shell_command.empty() && code > kShellSignalBase) {
    sentence += " (the shell's word for signal " + std::to_string(code - kShellSignalBase) + ")";
  }
  return give_up(CallStatus::kCrash, std::move(sentence));
}

ProcessCandidate::Answer ProcessCandidate::exchange(const OutgoingFrame& request,
                                                    milliseconds limit) {
  const SigpipeHeld held;
  const Clock::time_point deadline = Clock::now() + std::min(limit, kLongestLimit);
  FrameWriter writer(request);
  FrameReader reader;
  bool input_open = true;
  const auto progress = [&] {
    return reader.started() ? "while it answered (" + reader.progress_text() + ")"
                            : std::string("before it answered");
  };
  // Writing and reading interleave: a program may answer before it has read everything.
  while (true) {
    if (input_open && !writer.done()) {
      const Result<IoState> state = writer.write_some(child_->input_fd());
      if (!state.ok()) return give_up(CallStatus::kCrash, state.error().message);
      input_open = *state != IoState::kClosed;
    }
    if (reader.done() && (writer.done() || !input_open)) break;

    const bool writing = input_open && !writer.done();
    std::array<pollfd, 3> events{{{reader.done() ? -1 : child_->output_fd(), POLLIN, 0},
                                  {child_->error_fd(), POLLIN, 0},
                                  {writing ? child_->input_fd() : -1, POLLOUT, 0}}};
    const auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) {
      return give_up(CallStatus::kTimeout, "no answer within " + std::to_string(limit.count()) +
                                               " ms, the program was killed");
    }
    const int ready =
        ::poll(events.data(), events.size(), static_cast<int>(std::min(left, kPollSlice).count()));
    if (ready < 0 && errno != EINTR) {
      return give_up(CallStatus::kCrash, "waiting for the program failed");
    }
    if (events[1].revents != 0) child_->read_errors();
    if (events[0].revents != 0) {
      const Result<IoState> state = reader.read_some(child_->output_fd());
      if (!state.ok()) return give_up(CallStatus::kGarbage, state.error().message);
      if (*state == IoState::kClosed) return input_ended(progress());
    } else if (ready == 0 && child_->wait_for_end(milliseconds(0))) {
      // The program is gone, and something that it started holds its output open.
      return give_up(CallStatus::kCrash, "the program " + child_->ending() + " " + progress());
    }
  }
  return {reader.take(), CallStatus::kOk, {}};
}

void ProcessCandidate::stop() {
  if (!child_) return;
  const SigpipeHeld held;
  const OutgoingFrame bye = encode_bye();
  FrameWriter writer(bye);
  const Result<IoState> said = writer.write_some(child_->input_fd());
  child_->close_input();
  // Whether or not bye went through, the end of input means the same.
  if (said.ok()) child_->wait_for_end(kByeLimit);
  child_.reset();
}

}  // namespace packproof

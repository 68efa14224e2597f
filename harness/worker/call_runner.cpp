#include "harness/worker/call_runner.h"

#include "harness/core/case_spec.h"
#include "harness/worker/abi_binding.h"
#include "harness/worker/call_buffers.h"
#include "harness/worker/float_mode.h"
#include "harness/worker/guard_fault.h"
#include "harness/worker/metadata.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace packproof {

namespace {

CallResult refusal(CallStatus status, std::string sentence) {
  CallResult result;
  result.status = status;
  result.message = std::move(sentence);
  return result;
}

CallResult refusal(const Error& error) {
  return refusal(
      error.code == Code::kInfrastructure ? CallStatus::kDeviceError : CallStatus::kInvalidArgument,
      error.message);
}

/// The status of a launch and its sentence, in the protocol's terms.
void set_status(int returned, const packproof_message& message, CallResult& result) {
  switch (returned) {
    case PACKPROOF_OK:
      result.status = CallStatus::kOk;
      return;
    case PACKPROOF_NOT_SUPPORTED:
      result.status = CallStatus::kNotSupported;
      break;
    case PACKPROOF_INVALID_ARGUMENT:
      result.status = CallStatus::kInvalidArgument;
      break;
    case PACKPROOF_UNDEFINED_BEHAVIOUR:
      result.status = CallStatus::kUndefinedBehaviour;
      break;
    case PACKPROOF_DEVICE_ERROR:
      result.status = CallStatus::kDeviceError;
      break;
    default:
      result.status = CallStatus::kDeviceError;
      result.message = "launch: expected a packproof_status, found " + std::to_string(returned);
      return;
  }
  result.message.assign(message.text, ::strnlen(message.text, sizeof message.text));
  if (result.message.empty()) {
    result.message =
        "launch returned packproof_status " + std::to_string(returned) + " without a sentence";
  }
}

double median(std::vector<double> values) {
  if (values.empty()) return 0.0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

/// While it lives, a fault line names the call.
class FaultContext {
 public:
  FaultContext(const OpCall& call, const char* variant) {
    set_fault_context(std::string(name_of(call.op)) + " " + std::string(name_of(call.direction)) +
                      (variant == nullptr ? "" : " '" + std::string(variant) + "'"));
  }

  FaultContext(const FaultContext&) = delete;
  FaultContext& operator=(const FaultContext&) = delete;

  ~FaultContext() { set_fault_context(""); }
};

/// A call ready to be launched: one of those that timed runs take turns on.
struct Turn {
  CallBuffers buffers;
  ArgumentBlock arguments;
  void* workspace = nullptr;
};

Result<Turn> make_turn(Device& device, const CallRequest& request) {
  PACKPROOF_TRY(CallBuffers buffers, CallBuffers::make(device, request.call, request.options));
  PACKPROOF_TRY(ArgumentBlock arguments, bind_arguments(request.call, buffers));
  return Turn{std::move(buffers), std::move(arguments)};
}

/// Launches turn after turn, each timed; with `replay`, recordings of them, after one plain launch
/// that says whether the kernel takes the call. Stops when `returned` is no success.
Status time_turns(Device& device, const std::vector<Turn>& turns, const CallOptions& options,
                  const std::function<void(const Turn&)>& launch, const int& returned,
                  std::vector<double>& seconds) {
  std::vector<std::unique_ptr<Recording>> recordings;
  if (options.replay) {
    PACKPROOF_TRY(const double plain, device.time([&] { launch(turns.front()); }));
    seconds.push_back(plain);
    if (returned != PACKPROOF_OK) return {};
    for (const Turn& turn : turns) {
      PACKPROOF_TRY(auto recording, device.record([&launch, &turn] { launch(turn); }));
      recordings.push_back(std::move(recording));
    }
    seconds.clear();
  }
  for (int64_t run = 0; run < options.repeats && returned == PACKPROOF_OK; ++run) {
    const std::size_t turn = static_cast<std::size_t>(run) % turns.size();
    Status enqueued;
    PACKPROOF_TRY(const double timed, device.time([&] {
      if (options.replay) {
        enqueued = recordings[turn]->enqueue();
      } else {
        launch(turns[turn]);
      }
    }));
    PACKPROOF_CHECK_OK(enqueued);
    seconds.push_back(timed);
  }
  return {};
}

}  // namespace

CallResult run_call(const KernelLibrary& library, Device& device, const CallRequest& request) {
  const OpCall& call = request.call;
  const CallOptions& options = request.options;
  for (const auto& [name, value] :
       {std::pair("repeats", options.repeats), {"rotations", options.rotations}}) {
    if (value >= 1) continue;
    return refusal(CallStatus::kInvalidArgument,
                   std::string(name) + ": expected at least 1, found " + std::to_string(value));
  }
  std::vector<Turn> turns;
  for (int64_t i = 0; i < options.rotations; ++i) {
    Result<Turn> turn = make_turn(device, request);
    if (!turn.ok()) return refusal(turn.error());
    turns.push_back(std::move(*turn));
  }
  const void* args = turns.front().arguments.get();
  // A library that does not know the fields would start from zeros and keep nothing.
  if (takes_state_pool(call.op, call.direction) && call.has("state") &&
      !library.has_state_pools()) {
    return refusal(CallStatus::kNotSupported,
                   "expected PACKPROOF_FEATURE_STATE_POOL among the library's features for a call "
                   "with state, found features " +
                       std::to_string(library.table().features));
  }

  FloatMode mode;
  CallResult result;
  result.memory.floating_point_mode_changed = library.changed_float_mode();
  const auto note_float_mode = [&] { result.memory.floating_point_mode_changed |= mode.restore(); };
  KernelLibrary::Selection selection;
  {
    const FaultContext context(call, nullptr);
    selection = library.select(call.op, call.direction, call.variant, args, device.sm());
  }
  note_float_mode();
  if (selection.kernel == nullptr) return refusal(CallStatus::kNotSupported, selection.refusal);
  const packproof_kernel& kernel = *selection.kernel;
  result.variant = kernel.variant;
  if (!call.attributes.host_metadata && kernel.device_metadata == PACKPROOF_CONTENTS_UNCHECKED) {
    const Status valid = validate_metadata(call);
    if (!valid.ok()) return refusal(valid.error());
  }

  const FaultContext context(call, kernel.variant);
  const std::size_t workspace_bytes = kernel.workspace_size(args);
  note_float_mode();
  for (Turn& turn : turns) {
    const Result<void*> workspace = turn.buffers.workspace(workspace_bytes);
    if (!workspace.ok()) return refusal(workspace.error());
    turn.workspace = *workspace;
  }
  if (library.table().set_schedule != nullptr) {
    library.table().set_schedule(options.schedule_seed);
  }

  packproof_message message{};
  int returned = PACKPROOF_OK;  // A library may return what is no packproof_status.
  std::vector<double> seconds;
  const auto launch = [&](const Turn& turn) {
    returned = static_cast<int>(kernel.launch(turn.arguments.get(), turn.workspace, workspace_bytes,
                                              device.stream(), &message));
  };
  const Status finished = time_turns(device, turns, options, launch, returned, seconds);
  result.seconds = median(std::move(seconds));
  note_float_mode();

  set_status(returned, message, result);
  const auto failed = [&result](const Error& error) {
    CallResult failure = refusal(error);
    failure.variant = result.variant;
    return failure;
  };
  if (!finished.ok()) return failed(finished.error());
  if (result.status == CallStatus::kDeviceError) return result;
  const Status collected = turns.front().buffers.collect(result.status != CallStatus::kOk, result);
  return collected.ok() ? result : failed(collected.error());
}

}  // namespace packproof

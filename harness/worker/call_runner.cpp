#include "harness/worker/call_runner.h"

#include "harness/worker/abi_binding.h"
#include "harness/worker/call_buffers.h"
#include "harness/worker/float_mode.h"
#include "harness/worker/guard_fault.h"
#include "harness/worker/metadata.h"

#include <algorithm>
#include <cstring>
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

}  // namespace

CallResult run_call(const KernelLibrary& library, Device& device, const CallRequest& request) {
  const OpCall& call = request.call;
  if (request.options.repeats < 1) {
    return refusal(CallStatus::kInvalidArgument, "repeats: expected at least 1, found " +
                                                     std::to_string(request.options.repeats));
  }
  Result<CallBuffers> buffers = CallBuffers::make(device, call, request.options);
  if (!buffers.ok()) return refusal(buffers.error());
  const Result<ArgumentBlock> arguments = bind_arguments(call, *buffers);
  if (!arguments.ok()) return refusal(arguments.error());
  const void* args = arguments->get();

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
  const Result<void*> workspace = buffers->workspace(workspace_bytes);
  if (!workspace.ok()) return refusal(workspace.error());
  if (library.table().set_schedule != nullptr) {
    library.table().set_schedule(request.options.schedule_seed);
  }

  packproof_message message{};
  int returned = PACKPROOF_OK;  // A library may return what is no packproof_status.
  std::vector<double> seconds;
  Status finished;
  for (int64_t run = 0; run < request.options.repeats && returned == PACKPROOF_OK; ++run) {
    const Result<double> timed = device.time([&] {
      returned = static_cast<int>(
          kernel.launch(args, *workspace, workspace_bytes, device.stream(), &message));
    });
    if (!timed.ok()) {
      finished = timed.error();
      break;
    }
    seconds.push_back(*timed);
  }
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
  const Status collected = buffers->collect(result.status != CallStatus::kOk, result);
  return collected.ok() ? result : failed(collected.error());
}

}  // namespace packproof

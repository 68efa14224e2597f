#include "harness/worker/worker.h"

#include "harness/candidate/message.h"
#include "harness/worker/call_runner.h"
#include "harness/worker/cuda_device.h"
#include "harness/worker/guard_fault.h"
#include "harness/worker/host_device.h"
#include "harness/worker/kernel_library.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <thread>
#include <variant>

#include <fcntl.h>
#include <unistd.h>

namespace packproof {

namespace {

constexpr int kExitRefused = 2;
constexpr int kExitInfrastructure = 4;
constexpr int kFirstPrivateFd = 10;

struct Channel {
  int in;
  int out;
};

/// Moves the protocol to private descriptors and leaves harmless ones in their place.
Channel private_channel(int in_fd, int out_fd) {
  const Channel channel{::fcntl(in_fd, F_DUPFD_CLOEXEC, kFirstPrivateFd),
                        ::fcntl(out_fd, F_DUPFD_CLOEXEC, kFirstPrivateFd)};
  const int nothing = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::dup2(nothing, STDIN_FILENO);
  ::close(nothing);
  ::dup2(STDERR_FILENO, STDOUT_FILENO);
  return channel;
}

/// A kernel that hangs never reads the end of input; without this it would outlive the harness.
void die_with_parent() {
  std::thread([parent = ::getppid()] {
    while (::getppid() == parent) std::this_thread::sleep_for(std::chrono::seconds(1));
    ::_exit(kExitInfrastructure);
  }).detach();
}

int complain(const Error& error) {
  std::fprintf(stderr, "%s\n", error.message.c_str());
  const bool refused = error.code == Code::kUsage || error.code == Code::kInvalidInput;
  return refused ? kExitRefused : kExitInfrastructure;
}

Result<std::unique_ptr<Device>> device_for(const KernelLibrary& library) {
  if (library.on_cuda()) return make_cuda_device();
  return std::unique_ptr<Device>(std::make_unique<HostDevice>());
}

Status serve(const KernelLibrary& library, Device& device, const Channel& channel) {
  CandidateInfo info = library.info();
  if (library.on_cuda()) info.notes.push_back("runs on " + device.name());
  while (true) {
    PACKPROOF_TRY(const std::optional<Frame> frame, read_frame(channel.in));
    if (!frame) return {};
    PACKPROOF_TRY(const Request request, decode_request(*frame));
    if (std::holds_alternative<ByeRequest>(request)) return {};
    if (std::holds_alternative<HelloRequest>(request)) {
      PACKPROOF_CHECK_OK(write_frame(channel.out, encode_hello(info)));
      continue;
    }
    const CallRequest& call = std::get<CallRequest>(request);
    const CallResult result = run_call(library, device, call);
    PACKPROOF_CHECK_OK(write_frame(channel.out, encode_result(call.id, result)));
  }
}

}  // namespace

int run_worker(const WorkerOptions& options, int in_fd, int out_fd) {
  const Channel channel = private_channel(in_fd, out_fd);
  install_fault_report();
  die_with_parent();
  const Result<KernelLibrary> library = KernelLibrary::load(options.kernel_library);
  if (!library.ok()) return complain(library.error());
  const Result<std::unique_ptr<Device>> device = device_for(*library);
  if (!device.ok()) return complain(device.error());
  const Status served = serve(*library, **device, channel);
  return served.ok() ? 0 : std::max(complain(served.error()), kExitInfrastructure);
}

}  // namespace packproof

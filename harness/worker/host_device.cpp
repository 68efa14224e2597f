#include "harness/worker/host_device.h"

#include "harness/worker/guard_fault.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <sys/mman.h>
#include <unistd.h>

namespace packproof {

namespace {

// Wide, so that a stride past the end still lands in it; inaccessible pages cost no memory.
constexpr std::size_t kGuardBytes = 256 * 1024;

std::size_t round_up(std::size_t value, std::size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

/// An anonymous mapping, unmapped with its owner.
class Mapping {
 public:
  explicit Mapping(std::size_t bytes)
      : bytes_(bytes),
        base_(::mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
                     0)) {}

  Mapping(Mapping&& other) noexcept : bytes_(other.bytes_), base_(other.base_) {
    other.base_ = MAP_FAILED;
  }

  Mapping& operator=(Mapping&&) = delete;

  ~Mapping() {
    if (valid()) ::munmap(base_, bytes_);
  }

  bool valid() const { return base_ != MAP_FAILED; }

  std::byte* data() const { return static_cast<std::byte*>(base_); }

  std::size_t size() const { return bytes_; }

 private:
  std::size_t bytes_;
  void* base_;
};

class HostBuffer : public GuardedBuffer {
 public:
  HostBuffer(const BufferRequest& request, Mapping mapping, std::span<std::byte> usable,
             std::size_t begin)
      : mapping_(std::move(mapping)),
        usable_(usable),
        content_(usable.subspan(begin, request.bytes)),
        canary_(request.canary),
        registration_(request.name,
                      {mapping_.data(), content_.data(), content_.data() + content_.size(),
                       mapping_.data() + mapping_.size()}) {
    std::ranges::fill(front_slack(), canary_);
    std::ranges::fill(back_slack(), canary_);
  }

  void* address() const override { return content_.data(); }

  Status write(std::span<const std::byte> content) override {
    std::ranges::copy(content.first(content_.size()), content_.begin());
    return {};
  }

  Status fill(std::byte value) override {
    std::ranges::fill(content_, value);
    return {};
  }

  Status read(std::span<std::byte> content) const override {
    std::ranges::copy(content_, content.begin());
    return {};
  }

  Result<GuardDamage> damage() const override {
    const auto intact = [this](std::byte value) { return value == canary_; };
    return GuardDamage{!std::ranges::all_of(front_slack(), intact),
                       !std::ranges::all_of(back_slack(), intact)};
  }

 private:
  std::span<std::byte> front_slack() const {
    return usable_.first(static_cast<std::size_t>(content_.data() - usable_.data()));
  }

  std::span<std::byte> back_slack() const {
    return usable_.subspan(front_slack().size() + content_.size());
  }

  Mapping mapping_;
  std::span<std::byte> usable_;  ///< Accessible pages: slack, content, slack.
  std::span<std::byte> content_;
  std::byte canary_;
  FaultRegistration registration_;
};

}  // namespace

Result<std::unique_ptr<GuardedBuffer>> HostDevice::allocate(const BufferRequest& request) {
  const auto failed = [&request] {
    return infrastructure_error("host memory for '" + request.name + "' (" +
                                std::to_string(request.bytes) +
                                " bytes) could not be mapped: " + std::strerror(errno));
  };
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  if (request.bytes > SIZE_MAX / 2) {
    errno = ENOMEM;
    return failed();
  }
  const std::size_t usable_bytes = round_up(request.bytes, page);
  Mapping mapping(usable_bytes + 2 * kGuardBytes);
  if (!mapping.valid()) return failed();
  const std::span<std::byte> usable(mapping.data() + kGuardBytes, usable_bytes);
  if (usable_bytes > 0 && ::mprotect(usable.data(), usable_bytes, PROT_READ | PROT_WRITE) != 0) {
    return failed();
  }
  const std::size_t latest = usable_bytes - request.bytes;
  const std::size_t begin =
      request.side == GuardSide::kFront ? 0 : latest - latest % request.alignment;
  return std::unique_ptr<GuardedBuffer>(
      std::make_unique<HostBuffer>(request, std::move(mapping), usable, begin));
}

}  // namespace packproof

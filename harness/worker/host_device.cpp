#include "harness/worker/host_device.h"

#include "harness/worker/guard_fault.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <list>
#include <utility>

#include <sys/mman.h>
#include <unistd.h>

namespace packproof {

namespace {

// Wide, so that a stride past the end still lands in it; inaccessible pages cost no memory.
constexpr std::size_t kGuardBytes = 256 * 1024;
constexpr std::size_t kLargestPooled = std::size_t{1} << 20;
constexpr std::size_t kMostPooled = 64;

std::size_t round_up(std::size_t value, std::size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

/// Accessible pages between inaccessible ones, unmapped with their owner.
class Mapping {
 public:
  explicit Mapping(std::size_t usable_bytes)
      : usable_bytes_(usable_bytes),
        base_(::mmap(nullptr, usable_bytes + 2 * kGuardBytes, PROT_NONE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {
    if (valid() && usable_bytes > 0 &&
        ::mprotect(data() + kGuardBytes, usable_bytes, PROT_READ | PROT_WRITE) != 0) {
      const int reason = errno;
      unmap();
      errno = reason;
    }
  }

  Mapping(Mapping&& other) noexcept
      : usable_bytes_(other.usable_bytes_), base_(std::exchange(other.base_, MAP_FAILED)) {}

  Mapping& operator=(Mapping&&) = delete;

  ~Mapping() { unmap(); }

  bool valid() const { return base_ != MAP_FAILED; }

  std::byte* data() const { return static_cast<std::byte*>(base_); }

  std::byte* end() const { return data() + usable_bytes_ + 2 * kGuardBytes; }

  std::span<std::byte> usable() const { return {data() + kGuardBytes, usable_bytes_}; }

 private:
  void unmap() {
    if (valid()) ::munmap(std::exchange(base_, MAP_FAILED), usable_bytes_ + 2 * kGuardBytes);
  }

  std::size_t usable_bytes_;
  void* base_;
};

}  // namespace

/// Mappings at rest, to be used again by a buffer of the same size.
class MappingPool {
 public:
  Mapping take(std::size_t usable_bytes) {
    const auto found = std::ranges::find_if(resting_, [usable_bytes](const Mapping& mapping) {
      return mapping.usable().size() == usable_bytes;
    });
    if (found == resting_.end()) return Mapping(usable_bytes);
    Mapping mapping = std::move(*found);
    resting_.erase(found);
    return mapping;
  }

  void give(Mapping mapping) {
    if (mapping.usable().size() > kLargestPooled) return;
    if (resting_.size() == kMostPooled) resting_.pop_front();
    resting_.push_back(std::move(mapping));
  }

 private:
  std::list<Mapping> resting_;
};

namespace {

class HostBuffer : public GuardedBuffer {
 public:
  HostBuffer(const BufferRequest& request, MappingPool& pool, Mapping mapping, std::size_t begin)
      : pool_(pool),
        mapping_(std::move(mapping)),
        content_(mapping_.usable().subspan(begin, request.bytes)),
        canary_(request.canary),
        registration_(request.name, {mapping_.data(), content_.data(),
                                     content_.data() + content_.size(), mapping_.end()}) {
    std::ranges::fill(front_slack(), canary_);
    std::ranges::fill(back_slack(), canary_);
  }

  HostBuffer(const HostBuffer&) = delete;
  HostBuffer& operator=(const HostBuffer&) = delete;

  ~HostBuffer() override { pool_.give(std::move(mapping_)); }

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
    const std::span<std::byte> usable = mapping_.usable();
    return usable.first(static_cast<std::size_t>(content_.data() - usable.data()));
  }

  std::span<std::byte> back_slack() const {
    return mapping_.usable().subspan(front_slack().size() + content_.size());
  }

  MappingPool& pool_;
  Mapping mapping_;
  std::span<std::byte> content_;
  std::byte canary_;
  FaultRegistration registration_;
};

class HostRecording : public Recording {
 public:
  explicit HostRecording(std::function<void()> launch) : launch_(std::move(launch)) {}

  Status enqueue() override {
    launch_();
    return {};
  }

 private:
  std::function<void()> launch_;
};

}  // namespace

HostDevice::HostDevice() : pool_(std::make_unique<MappingPool>()) {}

Result<double> HostDevice::time(const std::function<void()>& launch) {
  const auto begin = std::chrono::steady_clock::now();
  launch();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

Result<std::unique_ptr<Recording>> HostDevice::record(std::function<void()> launch) {
  return std::unique_ptr<Recording>(std::make_unique<HostRecording>(std::move(launch)));
}

Status HostDevice::copy(const GuardedBuffer& from, GuardedBuffer& to, std::size_t bytes) {
  std::memcpy(to.address(), from.address(), bytes);
  return {};
}

HostDevice::~HostDevice() = default;

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
  Mapping mapping = pool_->take(usable_bytes);
  if (!mapping.valid()) return failed();
  const std::size_t latest = usable_bytes - request.bytes;
  const std::size_t begin =
      request.side == GuardSide::kFront ? 0 : latest - latest % request.alignment;
  return std::unique_ptr<GuardedBuffer>(
      std::make_unique<HostBuffer>(request, *pool_, std::move(mapping), begin));
}

}  // namespace packproof

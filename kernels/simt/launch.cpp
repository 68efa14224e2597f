#include "kernels/simt/launch.h"

#include "kernels/simt/block.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace packproof::simt {
namespace {

std::atomic<uint64_t> schedule_seed{0};

/// Blocks with their stacks, kept from launch to launch: mapping stacks costs more than a small
/// launch does. Never destroyed: a launch may be running when the process exits.
constinit std::mutex shelf_mutex;
constinit std::vector<std::unique_ptr<Block>>* shelf = nullptr;

std::unique_ptr<Block> take_block() {
  const std::lock_guard lock(shelf_mutex);
  if (shelf == nullptr) shelf = new std::vector<std::unique_ptr<Block>>;
  if (shelf->empty()) return std::make_unique<Block>();
  std::unique_ptr<Block> block = std::move(shelf->back());
  shelf->pop_back();
  return block;
}

void put_back(std::unique_ptr<Block> block) {
  const std::lock_guard lock(shelf_mutex);
  shelf->push_back(std::move(block));
}

/// The blocks of one launch, handed out to host threads in the order of the schedule.
class Grid {
 public:
  Grid(const LaunchView& launch, uint64_t num_blocks, unsigned num_workers)
      : launch_(launch),
        num_blocks_(num_blocks),
        order_(launch.seed, num_blocks),
        batch_(std::max<uint64_t>(1, num_blocks / (uint64_t{16} * num_workers))),
        first_fault_(num_blocks) {}

  /// Runs blocks until none is left; several host threads call it.
  void work() {
    std::unique_ptr<Block> block = take_block();
    block->begin_launch(launch_);
    for (;;) {
      const uint64_t begin = next_.fetch_add(batch_);
      const uint64_t end = std::min(begin + batch_, num_blocks_);
      for (uint64_t position = begin; position < end; ++position) {
        // Blocks before the first fault still run: which fault is reported depends on the schedule
        // alone, not on the race of the host threads.
        if (position > first_fault_.load()) break;
        const packproof_status status = block->run(order_.block_at(position));
        if (status != PACKPROOF_OK) record(position, status, block->fault());
      }
      if (end >= num_blocks_ || begin > first_fault_.load()) break;
    }
    put_back(std::move(block));
  }

  packproof_status result(packproof_message* message) const {
    if (status_ != PACKPROOF_OK && message != nullptr) *message = message_;
    return status_;
  }

 private:
  void record(uint64_t position, packproof_status status, const char* fault) {
    const std::lock_guard lock(mutex_);
    if (position >= first_fault_.load()) return;
    first_fault_ = position;
    status_ = status;
    std::snprintf(message_.text, sizeof(message_.text), "%s", fault);
  }

  const LaunchView launch_;
  const uint64_t num_blocks_;
  const BlockOrder order_;
  const uint64_t batch_;
  std::atomic<uint64_t> next_{0};
  std::atomic<uint64_t> first_fault_;
  std::mutex mutex_;
  packproof_status status_ = PACKPROOF_OK;
  packproof_message message_{};
};

packproof_status refuse(const LaunchConfig& config, packproof_message* message, const char* what,
                        unsigned long long found, unsigned long long limit) {
  if (message != nullptr) {
    std::snprintf(message->text, sizeof(message->text), "%s: expected 1 to %llu %s, found %llu",
                  config.name, limit, what, found);
  }
  return PACKPROOF_INVALID_ARGUMENT;
}

// The limits of every supported device.
packproof_status check_config(const LaunchConfig& config, packproof_message* message) {
  const auto threads = uint64_t{config.block.x} * config.block.y * config.block.z;
  if (threads < 1 || threads > kMaxThreads) {
    return refuse(config, message, "threads in a block", threads, kMaxThreads);
  }
  if (config.block.z > 64) return refuse(config, message, "threads in z", config.block.z, 64);
  constexpr unsigned kMaxGridX = 0x7fffffff;
  constexpr unsigned kMaxGridYZ = 65535;
  if (config.grid.x < 1 || config.grid.x > kMaxGridX) {
    return refuse(config, message, "blocks in x", config.grid.x, kMaxGridX);
  }
  if (config.grid.y < 1 || config.grid.y > kMaxGridYZ) {
    return refuse(config, message, "blocks in y", config.grid.y, kMaxGridYZ);
  }
  if (config.grid.z < 1 || config.grid.z > kMaxGridYZ) {
    return refuse(config, message, "blocks in z", config.grid.z, kMaxGridYZ);
  }
  if (config.shared_bytes > max_shared_bytes()) {
    return refuse(config, message, "shared bytes", config.shared_bytes, max_shared_bytes());
  }
  return PACKPROOF_OK;
}

/// A number from 1 to `most` in the environment, or `otherwise`.
long number_in_environment(const char* name, long most, long otherwise) {
  const char* text = std::getenv(name);
  const long wanted = text == nullptr ? 0 : std::strtol(text, nullptr, 10);
  return wanted >= 1 ? std::min(wanted, most) : otherwise;
}

unsigned wanted_workers() {
  const long all = std::max(1L, static_cast<long>(std::thread::hardware_concurrency()));
  return static_cast<unsigned>(number_in_environment("PACKPROOF_SIMT_THREADS", 1024, all));
}

}  // namespace

int num_multiprocessors() {
  return static_cast<int>(number_in_environment("PACKPROOF_SIMT_MULTIPROCESSORS", 1024, 1));
}

std::size_t max_shared_bytes() {
  constexpr auto kMost = static_cast<long>(SharedArena::kMaxBytes);
  return static_cast<std::size_t>(
      number_in_environment("PACKPROOF_SIMT_SHARED_BYTES", kMost, kMost));
}

packproof_status launch(const LaunchConfig& config, void (*invoke)(void*), void* context,
                        packproof_message* message) {
  const packproof_status checked = check_config(config, message);
  if (checked != PACKPROOF_OK) return checked;
  const uint64_t num_blocks = uint64_t{config.grid.x} * config.grid.y * config.grid.z;
  const auto num_workers = static_cast<unsigned>(std::min<uint64_t>(wanted_workers(), num_blocks));
  char finish = 0;
  Grid grid({.config = config,
             .invoke = invoke,
             .context = context,
             .seed = schedule_seed.load(),
             .finish = &finish},
            num_blocks, num_workers);
  std::vector<std::thread> others;
  try {
    for (unsigned i = 1; i < num_workers; ++i) others.emplace_back(&Grid::work, &grid);
  } catch (const std::system_error&) {
    // The system gives no more threads; those that run take all blocks.
  }
  grid.work();
  for (std::thread& other : others) other.join();
  happens_after(&finish);
  return grid.result(message);
}

void set_schedule(uint64_t seed) { schedule_seed = seed; }

}  // namespace packproof::simt

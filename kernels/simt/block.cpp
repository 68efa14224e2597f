#include "kernels/simt/block.h"

#include "kernels/simt/switching.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <exception>
#include <utility>

namespace packproof::simt {

thread_local constinit Thread* running_thread = nullptr;

Block::Block() : threads_(std::make_unique<CudaThread[]>(kMaxThreads)) {}

void Block::begin_launch(const LaunchView& launch) {
  launch_ = launch;
  dim = launch.config.block;
  grid = launch.config.grid;
  shared_bytes = launch.config.shared_bytes;
  seed = launch.seed;
  num_threads_ = 0;
  for (unsigned z = 0; z < dim.z; ++z) {
    for (unsigned y = 0; y < dim.y; ++y) {
      for (unsigned x = 0; x < dim.x; ++x) {
        CudaThread& thread = threads_[num_threads_];
        thread.index = {x, y, z};
        thread.linear = static_cast<uint32_t>(num_threads_++);
        thread.block = this;
      }
    }
  }
  adopt_host_thread(home_);
}

packproof_status Block::run(uint64_t number) {
  status_ = PACKPROOF_OK;
  begin_block(number);
  Thread* const outer = std::exchange(running_thread, nullptr);
  if (status_ == PACKPROOF_OK) schedule();
  running_thread = outer;
  end_block();
  return status_;
}

void Block::begin_block(uint64_t number) {
  index = {static_cast<unsigned>(number % grid.x), static_cast<unsigned>(number / grid.x % grid.y),
           static_cast<unsigned>(number / grid.x / grid.y)};
  if constexpr (kThreadSanitizer) order_ = std::make_unique<OrderObjects>();
  if (!arena_.begin_block(shared_bytes)) {
    write_fault(PACKPROOF_DEVICE_ERROR, threads_[0], "gets no memory for %zu shared bytes",
                shared_bytes);
  }
  shared = arena_.data();
  num_finished_ = 0;
  ready_warps_ = 0;
  bulk_copies_.clear();
  for (int first = 0; first < num_threads_; first += kWarpSize) {
    const int lanes = std::min(num_threads_ - first, kWarpSize);
    Warp& warp = warps_[first / kWarpSize] = {};
    warp.exists = ~uint32_t{0} >> (kWarpSize - lanes);
    make_ready(first / kWarpSize, warp.exists);
  }
  for (int i = 0; i < num_threads_; ++i) {
    threads_[i].state = CudaThread::State::kUnstarted;
    threads_[i].barrier_call = nullptr;
    threads_[i].copies_in_use = false;
    threads_[i].products_in_use = false;
  }
  current_warp_ = kMaxWarps - 1;
  for (; used_barriers_ != 0; used_barriers_ &= used_barriers_ - 1) {
    barriers_[std::countr_zero(used_barriers_)] = {};
  }
  random_ = ScheduleRandom(seed, number);
}

void Block::schedule() {
  to_start_ = pick(Next::kOtherWarp);
  while (status_ == PACKPROOF_OK) {
    CudaThread* next =
        to_start_ != nullptr ? std::exchange(to_start_, nullptr) : pick(Next::kNearby);
    if (next == nullptr) break;
    if (next->state == CudaThread::State::kUnstarted && !start(*next)) break;
    running_thread = next;
    switch_fiber(home_, next->fiber, Leaving::kForNow);
    if (ended_ != nullptr) stacks_.release(std::exchange(ended_, nullptr)->fiber.stack, false);
  }
  running_thread = nullptr;
  happens_after(fault_);
  if (status_ == PACKPROOF_OK && num_finished_ < num_threads_) explain_deadlock();
}

void Block::end_block() {
  arena_.end_block();
  to_start_ = nullptr;
  for (int i = 0; i < num_threads_; ++i) {
    CudaThread& thread = threads_[i];
    if (thread.state == CudaThread::State::kUnstarted) continue;
    if (thread.state == CudaThread::State::kStarted) stacks_.release(thread.fiber.stack, true);
    if constexpr (kThreadSanitizer) {
      order_end(thread.fiber, home_, launch_.finish);
      race_detector_threads_.put_back(thread.fiber.race_detector_thread);
      if (thread.copies_in_use) {
        Fiber agent;
        agent.race_detector_thread = thread.copies->agent.race_detector_thread;
        order_end(agent, home_, launch_.finish);
        race_detector_threads_.put_back(agent.race_detector_thread);
      }
    }
  }
}

void Block::name_for_reports(Fiber& fiber, const CudaThread& thread, const char* prefix) const {
  char name[96];
  std::snprintf(name, sizeof(name), "%sblock (%u, %u, %u) thread (%u, %u, %u)", prefix, index.x,
                index.y, index.z, thread.index.x, thread.index.y, thread.index.z);
  set_report_name(fiber, name);
}

bool Block::start(CudaThread& thread) {
  const Stack stack = stacks_.acquire();
  if (stack.bottom == nullptr) {
    write_fault(PACKPROOF_DEVICE_ERROR, thread, "gets no memory for its stack");
    return false;
  }
  prepare(thread.fiber, stack, run_thread);
  if constexpr (kThreadSanitizer) {
    thread.fiber.race_detector_thread = race_detector_threads_.take();
    name_for_reports(thread.fiber, thread, "");
    order_start(thread.fiber, home_);
  }
  thread.state = CudaThread::State::kStarted;
  return true;
}

void Block::run_thread(Fiber&) {
  CudaThread& self = static_cast<CudaThread&>(*running_thread);
  Block& block = of(self);
  char what[256] = "";
  bool thrown = true;
  try {
    block.launch_.invoke(block.launch_.context);
    thrown = false;
  } catch (const std::exception& exception) {
    std::snprintf(what, sizeof(what), "%s", exception.what());
  } catch (...) {
    std::snprintf(what, sizeof(what), "not a std::exception");
  }
  if (thrown) fail(self, "lets an exception escape: %s", what);
  block.finish(self);
}

void Block::finish(CudaThread& self) {
  if (!arena_.guards_hold()) fail_guards(self);
  self.state = CudaThread::State::kFinished;
  ++num_finished_;
  Warp& warp = warps_[self.warp()];
  warp.finished |= uint32_t{1} << self.lane();
  // Lanes that named this one in their mask need not wait for it any more.
  const CudaThread* lanes = &threads_[self.warp() * kWarpSize];
  for (uint32_t left = warp.waiting; left != 0;) {
    const WarpCall& call = *lanes[std::countr_zero(left)].warp_call;
    left &= complete(self, call) ? warp.waiting : left - 1;
  }
  ended_ = &self;
  switch_fiber(self.fiber, home_, Leaving::kForGood);
  __builtin_unreachable();
}

void Block::fail_guards(const CudaThread& self) {
  fail(self, "wrote outside the block's %zu bytes of shared memory", shared_bytes);
}

void Block::abandon(const Thread& thread, const char* format, std::va_list arguments) {
  write_fault(PACKPROOF_UNDEFINED_BEHAVIOUR, thread, format, arguments);
  happens_before(fault_);
  switch_fiber(static_cast<CudaThread*>(running_thread)->fiber, home_, Leaving::kForNow);
  __builtin_unreachable();
}

CopyQueue& Block::copies(CudaThread& self) {
  if (!self.copies_in_use) {
    if (self.copies == nullptr) self.copies = std::make_unique<CopyQueue>();
    self.copies_in_use = true;
    self.copies->reset((seed & 2) != 0);
    if constexpr (kThreadSanitizer) {
      Fiber agent;
      agent.race_detector_thread = race_detector_threads_.take();
      name_for_reports(agent, self, "copies of ");
      self.copies->agent.race_detector_thread = agent.race_detector_thread;
    }
  }
  return *self.copies;
}

ProductQueue& Block::products(CudaThread& self) {
  if (!self.products_in_use) {
    if (self.products == nullptr) self.products = std::make_unique<ProductQueue>();
    self.products_in_use = true;
    self.products->reset((seed & 2) != 0);
  }
  return *self.products;
}

ProductQueue& running_products() {
  CudaThread& self = static_cast<CudaThread&>(*running_thread);
  return Block::of(self).products(self);
}

std::vector<BulkCopy>& running_bulk_copies() { return Block::of(*running_thread).bulk_copies(); }

CopyQueue& running_copies() {
  CudaThread& self = static_cast<CudaThread&>(*running_thread);
  return Block::of(self).copies(self);
}

void fail(const Thread& thread, const char* format, ...) {
  std::va_list arguments;
  va_start(arguments, format);
  Block::of(thread).abandon(thread, format, arguments);
}

void yield() {
  CudaThread& self = static_cast<CudaThread&>(*running_thread);
  Block::of(self).give_way(self);
}

}  // namespace packproof::simt

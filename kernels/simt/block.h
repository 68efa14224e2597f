#pragma once

#include "kernels/common/launch_config.h"
#include "kernels/simt/bulk_queue.h"
#include "kernels/simt/collective.h"
#include "kernels/simt/copy_queue.h"
#include "kernels/simt/fiber.h"
#include "kernels/simt/product_queue.h"
#include "kernels/simt/schedule.h"
#include "kernels/simt/shared_arena.h"
#include "kernels/simt/thread.h"
#include "packproof/kernel_abi.h"

#include <cstdarg>
#include <cstdint>
#include <memory>

namespace packproof::simt {

inline constexpr int kMaxThreads = 1024;
inline constexpr int kMaxWarps = kMaxThreads / kWarpSize;
inline constexpr int kNumBarriers = 16;

/// What all blocks of a launch share.
struct LaunchView {
  LaunchConfig config;
  void (*invoke)(void* context) = nullptr;
  void* context = nullptr;
  uint64_t seed = 0;
  void* finish = nullptr;  ///< Object on which ThreadSanitizer orders the blocks before the host.
};

/// A CUDA thread with its fiber.
struct CudaThread : Thread {
  enum class State : uint8_t { kUnstarted, kStarted, kFinished };

  State state = State::kUnstarted;
  Fiber fiber;
  WarpCall* warp_call = nullptr;        ///< Valid while Warp::waiting has the lane.
  BarrierCall* barrier_call = nullptr;  ///< Null when not waiting at a barrier.
  std::unique_ptr<CopyQueue> copies;    ///< Made at the first asynchronous copy.
  bool copies_in_use = false;
  std::unique_ptr<ProductQueue> products;  ///< Made at the first product of a warpgroup.
  bool products_in_use = false;
  void* order_object = nullptr;  ///< To acquire when a memory-ordering warp call is done.
};

/// Executes one block at a time on the calling host thread.
///
/// Threads start in order and run until they meet a collective or end; one that never meets any
/// costs a single switch and leaves its stack to the next. A waiting thread continues the next
/// ready thread directly. No thread is ever preempted.
class Block : private BlockView {
 public:
  Block();
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  /// Adopts the calling host thread for the blocks of one launch.
  void begin_launch(const LaunchView& launch);

  /// Runs block `number` (x fastest). Anything but PACKPROOF_OK leaves a sentence in fault(), and
  /// the object ready for the next block.
  packproof_status run(uint64_t number);

  const char* fault() const { return fault_; }

  /// The block of a running CUDA thread.
  static Block& of(const Thread& thread);

  void meet(CudaThread& self, WarpCall& call);
  void meet(CudaThread& self, BarrierCall& call);
  void give_way(CudaThread& self);
  CopyQueue& copies(CudaThread& self);
  ProductQueue& products(CudaThread& self);

  std::vector<BulkCopy>& bulk_copies() { return bulk_copies_; }

  /// Ends the block from one of its fibers.
  [[noreturn]] void abandon(const Thread& thread, const char* format, std::va_list arguments);

 private:
  struct Warp {
    uint32_t exists = 0;
    uint32_t ready = 0;    // Unstarted ones included.
    uint32_t waiting = 0;  // At a warp call.
    uint32_t finished = 0;
    int last_lane = kWarpSize - 1;  // Picked last; the natural order goes on after it.
  };

  struct Barrier {
    BarrierCall first{};  // The arrival that the others must match.
    int arrived = 0;
    int expected = 0;
    uint32_t phase = 0;
    uint32_t lanes[kMaxWarps] = {};    // Arrived in this phase,
    uint32_t waiting[kMaxWarps] = {};  // and of these the ones that wait.
  };

  // Objects of ThreadSanitizer's release and acquire. New ones for each block: what blocks do is
  // unordered.
  struct OrderObjects {
    uint64_t arrival[kMaxThreads];
    // A thread that completes several calls before all others have resumed needs several.
    uint64_t completion[kMaxThreads][4];
    uint8_t completions[kMaxThreads];
    // A thread may reach the next phase of a barrier before all others have left this one.
    uint64_t barrier[kNumBarriers][4];
  };

  enum class Next { kNearby, kOtherWarp };

  static void run_thread(Fiber& fiber);
  void begin_block(uint64_t number);
  void schedule();
  void end_block();
  bool start(CudaThread& thread);
  void name_for_reports(Fiber& fiber, const CudaThread& thread, const char* prefix) const;
  void wait(CudaThread& self, Next next);
  [[noreturn]] void finish(CudaThread& self);
  CudaThread* pick(Next next);
  void make_ready(int warp, uint32_t lanes);
  [[noreturn]] void fail_guards(const CudaThread& self);
  [[noreturn]] void fail_mask(const CudaThread& self, const WarpCall& call);
  bool complete(CudaThread& self, const WarpCall& call);
  void complete(CudaThread& self, Barrier& barrier);
  void order_memory(CudaThread& self, WarpCall* const (&lanes)[kWarpSize]);
  void check_arrival(const CudaThread& self, const Barrier& barrier, const BarrierCall& call) const;

  // In words: why no thread can go on (diagnosis.cpp).
  void explain_deadlock();
  void explain_warp_wait(const CudaThread& waiting);
  void explain_barrier_wait(const CudaThread& waiting);
  const char* describe(const CudaThread& thread, char* text, std::size_t size) const;
  bool at_warp_call(const CudaThread& thread) const;
  void write_fault(packproof_status status, const Thread& thread, const char* format, ...)
      __attribute__((format(printf, 4, 5)));
  void write_fault(packproof_status status, const Thread& thread, const char* format,
                   std::va_list arguments);

  LaunchView launch_;
  StackPool stacks_;
  RaceDetectorThreads race_detector_threads_;
  SharedArena arena_;
  Fiber home_;
  std::unique_ptr<CudaThread[]> threads_;
  int num_threads_ = 0;
  int num_finished_ = 0;
  Warp warps_[kMaxWarps];
  uint32_t ready_warps_ = 0;
  int current_warp_ = 0;
  CudaThread* to_start_ = nullptr;  // Handed to home, which alone starts threads.
  CudaThread* ended_ = nullptr;     // Handed to home, which takes its stack.
  Barrier barriers_[kNumBarriers];
  uint32_t used_barriers_ = 0;
  std::vector<BulkCopy> bulk_copies_;
  ScheduleRandom random_;
  std::unique_ptr<OrderObjects> order_;
  packproof_status status_ = PACKPROOF_OK;
  char fault_[PACKPROOF_MESSAGE_SIZE] = {};
};

}  // namespace packproof::simt

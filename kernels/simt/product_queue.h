#pragma once

#include "kernels/ptx/warpgroup_mma_on_host.h"
#include "kernels/simt/thread.h"

#include <cstdint>

namespace packproof::simt {

/// A matrix product that runs beside its thread: the operands stay where the kernel has them.
struct PendingProduct {
  WarpgroupProduct product;
  float* d;
  const uint32_t* a;
  Site site;
  void* caller;  ///< An instruction of the kernel, for reports of races.
};

/// One thread's products of kernels/ptx/warpgroup_mma.cuh, in order.
class ProductQueue {
 public:
  static constexpr int kCapacity = 64;

  /// Forgets what an earlier thread left. `at_once`: products happen when they start.
  void reset(bool at_once) {
    at_once_ = at_once;
    taken_ = count_ = 0;
    group_ = 0;
  }

  bool at_once() const { return at_once_; }

  /// False where there is no room.
  bool start(const PendingProduct& product) {
    if (taken_ == count_) taken_ = count_ = 0;
    if (count_ == kCapacity) return false;
    products_[count_] = product;
    group_of_[count_++] = group_;
    return true;
  }

  void commit() { ++group_; }

  const PendingProduct* next() const { return &products_[taken_]; }

  /// Takes the products of all but the latest `pending` groups: how many these are.
  int take(int pending) {
    const int before = taken_;
    while (taken_ < count_ && group_of_[taken_] + static_cast<uint64_t>(pending) < group_) ++taken_;
    return taken_ - before;
  }

 private:
  PendingProduct products_[kCapacity];
  uint64_t group_of_[kCapacity];
  int taken_ = 0;
  int count_ = 0;
  uint64_t group_ = 0;  // Of the products that start now.
  bool at_once_ = false;
};

/// The running thread's.
ProductQueue& running_products();

}  // namespace packproof::simt

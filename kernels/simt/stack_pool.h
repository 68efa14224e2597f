#pragma once

#include <cstddef>
#include <vector>

namespace packproof::simt {

/// Memory of one fiber's stack; grows down from top.
struct Stack {
  std::byte* bottom = nullptr;
  std::byte* top = nullptr;

  std::size_t bytes() const { return static_cast<std::size_t>(top - bottom); }
};

/// Stacks of one host thread, mapped once and used again. Below each lies a guard page: a kernel
/// that overflows its stack ends the process instead of writing into another stack. The tops differ
/// in their address modulo the page size, else all fibers would compete for the same cache sets.
class StackPool {
 public:
  /// Of every stack; the kernel commits only the pages that are touched.
  static constexpr std::size_t kStackBytes = 256 * 1024;

  StackPool() = default;
  ~StackPool();
  StackPool(const StackPool&) = delete;
  StackPool& operator=(const StackPool&) = delete;

  /// The stack released last, or a fresh one; a null stack when the system gives no memory.
  Stack acquire();

  /// `abandoned`: its fiber was given up in the middle, so sanitizers hold marks on it.
  void release(Stack stack, bool abandoned);

 private:
  bool map_slab();

  std::vector<void*> slabs_;
  std::vector<Stack> free_;
};

}  // namespace packproof::simt

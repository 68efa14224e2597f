#include "kernels/simt/stack_pool.h"

#include "kernels/simt/sanitizer.h"

#include <cstdint>

#include <sys/mman.h>

namespace packproof::simt {
namespace {

constexpr std::size_t kPageBytes = 4096;
constexpr std::size_t kStacksPerSlab = 64;
constexpr std::size_t kSlotBytes =
    StackPool::kStackBytes + 2 * kPageBytes;  // Guard, and top offset.
constexpr std::size_t kSlabBytes = kStacksPerSlab * kSlotBytes;

// ThreadSanitizer takes the accesses of a stack's previous CUDA thread for races of the next one.
// Mapping the touched pages anew makes it forget them.
void forget_accesses(Stack stack) {
  const auto first_page = reinterpret_cast<std::uintptr_t>(stack.bottom);
  const std::uintptr_t end =
      (reinterpret_cast<std::uintptr_t>(stack.top) + kPageBytes - 1) / kPageBytes * kPageBytes;
  unsigned char resident[kSlotBytes / kPageBytes] = {};
  if (mincore(stack.bottom, end - first_page, resident) != 0) return;
  std::uintptr_t touched = first_page;
  while (touched < end && (resident[(touched - first_page) / kPageBytes] & 1) == 0) {
    touched += kPageBytes;
  }
  if (touched == end) return;
  mmap(reinterpret_cast<void*>(touched), end - touched, PROT_READ | PROT_WRITE,
       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

}  // namespace

StackPool::~StackPool() {
  for (void* slab : slabs_) munmap(slab, kSlabBytes);
}

bool StackPool::map_slab() {
  void* slab = mmap(nullptr, kSlabBytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (slab == MAP_FAILED) return false;
  slabs_.push_back(slab);
  for (std::size_t i = kStacksPerSlab; i-- > 0;) {
    std::byte* slot = static_cast<std::byte*>(slab) + i * kSlotBytes;
    if (mprotect(slot, kPageBytes, PROT_NONE) != 0) return false;
    // 5 is coprime to the 64 cache lines of a page: 64 neighbours get 64 different offsets.
    const std::size_t offset = (i * 5 % 64) * 64;
    std::byte* bottom = slot + kPageBytes;
    free_.push_back({bottom, bottom + kStackBytes + offset});
  }
  return true;
}

Stack StackPool::acquire() {
  if (free_.empty() && !map_slab()) return {};
  const Stack stack = free_.back();
  free_.pop_back();
  if constexpr (kThreadSanitizer) forget_accesses(stack);
  return stack;
}

void StackPool::release(Stack stack, bool abandoned) {
  // A fiber that ended returned from all frames but the outermost ones.
  constexpr std::size_t kOutermostFrames = 1024;
  if (abandoned) {
    unpoison(stack.bottom, stack.bytes());
  } else {
    unpoison(stack.top - kOutermostFrames, kOutermostFrames);
  }
  free_.push_back(stack);
}

}  // namespace packproof::simt

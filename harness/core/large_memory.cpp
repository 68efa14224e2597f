#include "harness/core/large_memory.h"

#include <cstdlib>

#include <sys/mman.h>

namespace packproof {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kLarge = 2 * kHugePage;

}  // namespace

void* allocate_memory(std::size_t bytes) {
  if (bytes < kLarge) return ::operator new(bytes);
  if (bytes > static_cast<std::size_t>(-1) - kHugePage) throw std::bad_alloc();
  const std::size_t whole = (bytes + kHugePage - 1) / kHugePage * kHugePage;
  void* const memory = std::aligned_alloc(kHugePage, whole);
  if (memory == nullptr) throw std::bad_alloc();
  madvise(memory, whole, MADV_HUGEPAGE);  // A wish: without it the memory serves as well.
  return memory;
}

void release_memory(void* memory, std::size_t bytes) {
  if (bytes < kLarge) {
    ::operator delete(memory);
  } else {
    std::free(memory);
  }
}

}  // namespace packproof

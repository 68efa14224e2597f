#include "harness/core/large_memory.h"

#include <cstdint>
#include <cstdlib>

#include <sys/mman.h>

namespace packproof {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kLarge = 2 * kHugePage;
#if defined(__SANITIZE_ADDRESS__)
constexpr bool kMapsLarge = false;  // It guards the ends of what the heap gives.
#else
constexpr bool kMapsLarge = true;
#endif

bool is_mapped(std::size_t bytes) { return kMapsLarge && bytes >= kLarge; }

std::size_t in_huge_pages(std::size_t bytes) {
  return (bytes + kHugePage - 1) / kHugePage * kHugePage;
}

/// `bytes` of whole huge pages, on the boundary of one: what is mapped around them goes back.
void* map_huge_pages(std::size_t bytes) {
  void* const mapped =
      mmap(nullptr, bytes + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
  auto* const begin = static_cast<std::byte*>(mapped);
  const std::size_t before = -reinterpret_cast<std::uintptr_t>(mapped) % kHugePage;
  if (before > 0) munmap(begin, before);
  if (before < kHugePage) munmap(begin + before + bytes, kHugePage - before);
  madvise(begin + before, bytes, MADV_HUGEPAGE);  // A wish: without it the memory serves as well.
  return begin + before;
}

}  // namespace

void* allocate_zeroed(std::size_t bytes) {
  if (bytes > static_cast<std::size_t>(-1) - kLarge) throw std::bad_alloc();
  if (is_mapped(bytes)) return map_huge_pages(in_huge_pages(bytes));
  void* const memory = std::calloc(bytes, 1);
  if (memory == nullptr && bytes > 0) throw std::bad_alloc();
  return memory;
}

void release_zeroed(void* memory, std::size_t bytes) {
  if (is_mapped(bytes)) {
    munmap(memory, in_huge_pages(bytes));
  } else {
    std::free(memory);
  }
}

}  // namespace packproof

#include "kernels/simt/shared_arena.h"

#include "kernels/simt/sanitizer.h"
#include "kernels/simt/thread.h"

#include <cstdint>
#include <cstring>

#include <sys/mman.h>

namespace packproof::simt {
namespace {

constexpr std::size_t kDataOffset = 128;  // Room for a guard; keeps the alignment of a page.
constexpr std::size_t kMappingBytes = 232 * 1024;

}  // namespace

void SharedArena::fill_guard(std::byte* guard) {
  for (std::size_t at = 0; at < kGuardBytes; at += sizeof(kGuardWord)) {
    std::memcpy(guard + at, &kGuardWord, sizeof(kGuardWord));
  }
}

SharedArena::~SharedArena() {
  if (mapping_ != nullptr) munmap(mapping_, kMappingBytes);
}

bool SharedArena::begin_block(std::size_t bytes) {
  static_assert(kGuardBytes <= kDataOffset &&
                kDataOffset + kMaxBytes + kGuardBytes <= kMappingBytes);
  bytes_ = bytes;
  if (bytes == 0) return true;
  // Mapped anew for each block, ThreadSanitizer forgets the accesses of the block before.
  if (mapping_ == nullptr || kThreadSanitizer) {
    const int fixed = mapping_ == nullptr ? 0 : MAP_FIXED;
    void* mapping = mmap(mapping_, kMappingBytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | fixed, -1, 0);
    if (mapping == MAP_FAILED) return false;
    mapping_ = static_cast<std::byte*>(mapping);
    data_ = mapping_ + kDataOffset;
  }
  std::memset(data_, 0xff, bytes);
  if constexpr (kAddressSanitizer) {
    poison(mapping_, kDataOffset);
    poison(data_ + bytes, kMappingBytes - kDataOffset - bytes);
  } else {
    fill_guard(data_ - kGuardBytes);
    fill_guard(data_ + bytes);
  }
  return true;
}

void SharedArena::end_block() {
  if (mapping_ != nullptr) unpoison(mapping_, kMappingBytes);
}

std::byte* shared_arena(std::size_t bytes) {
  const Thread& thread = *running_thread;
  if (bytes > thread.block->shared_bytes) {
    fail(thread, "uses %zu bytes of shared memory, but the launch asked for %zu", bytes,
         thread.block->shared_bytes);
  }
  return thread.block->shared;
}

}  // namespace packproof::simt

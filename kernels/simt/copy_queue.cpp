#include "kernels/simt/copy_queue.h"

#include "kernels/simt/sanitizer.h"
#include "kernels/simt/thread.h"

#include <cstring>

namespace packproof::simt {
namespace {

// Of the constant sizes alone: a call of memcpy would be taken for the thread's own access.
void move_bytes(void* to, const void* from, int bytes) {
  switch (bytes) {
    case 4:
      std::memcpy(to, from, 4);
      break;
    case 8:
      std::memcpy(to, from, 8);
      break;
    default:
      std::memcpy(to, from, 16);
      break;
  }
}

void perform(const AsyncCopy& copy) {
  if (copy.source_bytes == copy.bytes) return move_bytes(copy.destination, copy.source, copy.bytes);
  unsigned char buffer[16] = {};
  const auto* const source = static_cast<const volatile unsigned char*>(copy.source);
  for (int i = 0; i < copy.source_bytes; ++i) buffer[i] = source[i];
  move_bytes(copy.destination, buffer, copy.bytes);
}

void fill_with_nan(const AsyncCopy& copy) {
  unsigned char buffer[16];
  std::memset(buffer, 0xff, sizeof(buffer));
  move_bytes(copy.destination, buffer, copy.bytes);
}

}  // namespace

void CopyQueue::reset(bool at_once) {
  first_ = 0;
  count_ = 0;
  group_ = 0;
  waited_ = 0;
  at_once_ = at_once;
}

void CopyQueue::start(const AsyncCopy& copy) {
#if PACKPROOF_SIMT_THREAD_SANITIZER
  act_as_agent(agent.race_detector_thread, &agent.start_object, &agent.group_objects[group_ % 8],
               {.destination = copy.destination,
                .bytes = static_cast<std::size_t>(copy.bytes),
                .source = copy.source,
                .source_bytes = static_cast<std::size_t>(copy.source_bytes),
                .caller = copy.caller});
#endif
  if (at_once_) return perform(copy);
  fill_with_nan(copy);
  if (count_ == kCapacity) complete_oldest();
  pending_[(first_ + count_++) % kCapacity] = {copy, group_};
}

void CopyQueue::complete_oldest() {
  perform(pending_[first_].copy);
  first_ = (first_ + 1) % kCapacity;
  --count_;
}

void CopyQueue::wait(int pending) {
  const auto still = static_cast<uint64_t>(pending);
  const uint64_t complete = group_ > still ? group_ - still : 0;  // Groups before this one.
  while (count_ > 0 && pending_[first_].group < complete) complete_oldest();
  for (; waited_ < complete; ++waited_) happens_after(&agent.group_objects[waited_ % 8]);
}

}  // namespace packproof::simt

#include "kernels/ptx/bulk_copy_on_host.h"

#include "kernels/simt/bulk_queue.h"
#include "kernels/simt/collective.h"
#include "kernels/simt/diagnosis.h"
#include "kernels/simt/sanitizer.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace packproof::simt {
namespace {

constexpr std::size_t kAlignment = 16;
/// Turns that the other threads of the block get to start the copies that one of them waits for.
constexpr int kPatience = 10000;

/// What a barrier's 64 bits hold here.
struct PhaseState {
  uint16_t phase;   ///< Under way.
  uint16_t magic;   ///< kMagic once the barrier is initialised.
  int32_t missing;  ///< Bytes that are expected and have not arrived, plus kNotExpected.
};

static_assert(sizeof(PhaseState) == sizeof(uint64_t));

constexpr uint16_t kMagic = 0xbb;
constexpr int32_t kNotExpected = 1 << 30;  // Until `expect`.

PhaseState load(const uint64_t* barrier) {
  PhaseState state;
  std::memcpy(&state, barrier, sizeof(state));
  return state;
}

/// Ends the phase when nothing is missing.
void store(PhaseState state, uint64_t* barrier) {
  if (state.missing == 0) {
    ++state.phase;
    state.missing = kNotExpected;
  }
  std::memcpy(barrier, &state, sizeof(state));
}

PhaseState initialised(const char* name, const uint64_t* barrier, Site site) {
  check_shared_operand(name, site, barrier, sizeof(uint64_t), sizeof(uint64_t));
  const PhaseState state = load(barrier);
  if (state.magic != kMagic) {
    fail(*running_thread, "calls %s (%s:%d) with a barrier that is not initialised", name,
         base_name(site.file), site.line);
  }
  return state;
}

/// Copies and reports the bytes to the barrier.
void perform(const BulkCopy& copy, uint64_t* barrier) {
  std::memcpy(copy.destination, copy.source, copy.bytes);
  observe_read(copy.source, copy.bytes, copy.caller);
  observe_write(copy.destination, copy.bytes, copy.caller);
  happens_before(barrier);
  PhaseState state = load(barrier);
  state.missing -= static_cast<int32_t>(copy.bytes);
  store(state, barrier);
}

/// Makes the copies that the barrier counts.
void perform_pending(uint64_t* barrier) {
  std::vector<BulkCopy>& pending = running_bulk_copies();
  for (const BulkCopy& copy : pending) {
    if (copy.barrier != barrier) continue;
    happens_after(copy.destination);
    perform(copy, barrier);
  }
  std::erase_if(pending, [&](const BulkCopy& copy) { return copy.barrier == barrier; });
}

}  // namespace

void bulk_barrier_init(uint64_t* barrier) { store({0, kMagic, kNotExpected}, barrier); }

void bulk_expect(uint64_t* barrier, int bytes, Site site) {
  PhaseState state = initialised("bulk_expect", barrier, site);
  if (state.missing < kNotExpected / 2) {
    fail(*running_thread, "calls bulk_expect (%s:%d) twice in a phase", base_name(site.file),
         site.line);
  }
  state.missing += bytes - kNotExpected;
  store(state, barrier);
}

void bulk_copy(uint64_t* barrier, void* shared, const void* global, int bytes, Site site) {
  const auto size = static_cast<std::size_t>(bytes);
  initialised("bulk_copy", barrier, site);
  check_shared_operand("bulk_copy", site, shared, size, kAlignment);
  if (reinterpret_cast<std::uintptr_t>(global) % kAlignment != 0 || bytes <= 0 ||
      size % kAlignment != 0) {
    fail(*running_thread,
         "calls bulk_copy (%s:%d) with %d bytes from %p; expected both to be multiples of 16",
         base_name(site.file), site.line, bytes, global);
  }
  const BulkCopy copy{barrier, shared, global, size, __builtin_return_address(0)};
  if ((running_thread->block->seed & 2) != 0) return perform(copy, barrier);
  happens_before(shared);
  running_bulk_copies().push_back(copy);
}

void bulk_wait(uint64_t* barrier, int phase, Site site) {
  for (int turn = 0; turn < kPatience; ++turn) {
    const PhaseState state = initialised("bulk_wait", barrier, site);
    if (((state.phase ^ phase) & 1) != 0) {
      happens_after(barrier);
      return;
    }
    perform_pending(barrier);
    if (load(barrier).phase == state.phase) yield();
  }
  fail(*running_thread, "waits at bulk_wait (%s:%d) for bytes that nobody copies",
       base_name(site.file), site.line);
}

}  // namespace packproof::simt

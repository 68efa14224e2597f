#include "kernels/ptx/bulk_copy.cuh"

#include "kernels/common/block_shared.cuh"
#include "kernels/simt/launch_for_test.h"

#include <cstdint>
#include <string>
#include <vector>

namespace packproof::ptx {
namespace {

using simt::fault_of;
using simt::ScopedSchedule;

constexpr int kValues = 256;  // Of a stage, in two copies.
constexpr uint64_t kAtOnce = 2;
constexpr uint64_t kWhenWaitedFor = 0;

struct Stages {
  alignas(16) float values[2][kValues];
  BulkBarrier arrived[2];
};

__device__ void start(Stages& shared, const float* in, int stage) {
  constexpr int kHalf = kValues / 2;
  BulkBarrier& barrier = shared.arrived[stage % 2];
  float* const target = shared.values[stage % 2];
  bulk_expect(barrier, kValues * sizeof(float));
  bulk_copy(barrier, target, in + stage * kValues, kHalf * sizeof(float));
  bulk_copy(barrier, target + kHalf, in + stage * kValues + kHalf, kHalf * sizeof(float));
}

// Thread 0 starts a stage while all threads read the one before.
template <bool kWaits, bool kSynchronises>
__global__ void copy_in_stages(const float* in, float* out, int stages) {
  Stages& shared = block_shared<Stages>();
  const int thread = static_cast<int>(threadIdx.x);
  if (thread == 0) {
    for (BulkBarrier& barrier : shared.arrived) bulk_barrier_init(barrier);
    start(shared, in, 0);
  }
  __syncthreads();
  for (int stage = 0; stage < stages; ++stage) {
    if (kSynchronises) __syncthreads();
    if (thread == 0 && stage + 1 < stages) start(shared, in, stage + 1);
    if (kWaits) bulk_wait(shared.arrived[stage % 2], stage / 2);
    for (int i = thread; i < kValues; i += static_cast<int>(blockDim.x)) {
      out[stage * kValues + i] = shared.values[stage % 2][kValues - 1 - i];
    }
  }
}

template <bool kWaits, bool kSynchronises>
bool copies_right(uint64_t seed, int stages) {
  constexpr int kMaxStages = 5;
  alignas(16) float in[kMaxStages * kValues];
  for (int i = 0; i < kMaxStages * kValues; ++i) in[i] = static_cast<float>(i);
  const ScopedSchedule schedule(seed);
  std::vector<float> out(kMaxStages * kValues);
  const std::string fault = fault_of<copy_in_stages<kWaits, kSynchronises>>(
      {.grid = {1}, .block = {64}, .shared_bytes = sizeof(Stages)}, static_cast<const float*>(in),
      out.data(), stages);
  if (!fault.empty()) return false;
  for (int stage = 0; stage < stages; ++stage) {
    for (int i = 0; i < kValues; ++i) {
      const int from = stage * kValues + kValues - 1 - i;
      if (out[static_cast<std::size_t>(stage * kValues + i)] != in[from]) return false;
    }
  }
  return true;
}

TEST(BulkCopy, BringsStages) {
  for (uint64_t seed = 0; seed < 12; ++seed) {
    EXPECT_TRUE((copies_right<true, true>(seed, 5))) << seed;
  }
}

TEST(BulkCopy, ShowsAMissingWait) {
  EXPECT_FALSE((copies_right<false, true>(kWhenWaitedFor, 2)));
  EXPECT_TRUE((copies_right<false, true>(kAtOnce, 2)));
}

#if !defined(__SANITIZE_THREAD__)  // It reports these writes: they are the fault in question.
TEST(BulkCopy, ShowsWhatIsOverwrittenTooEarly) {
  int wrong = 0;
  for (uint64_t seed = 0; seed < 40; ++seed) wrong += copies_right<true, false>(seed, 3) ? 0 : 1;
  EXPECT_GT(wrong, 0);
}
#endif

enum class Fault { kNone, kOutside, kUnaligned, kUneven, kNoInit, kTwice, kNoCopy };

template <Fault kFault>
__global__ void misuse(const float* in) {
  Stages& shared = block_shared<Stages>();
  BulkBarrier& barrier = shared.arrived[0];
  if (kFault != Fault::kNoInit) bulk_barrier_init(barrier);
  bulk_expect(barrier, 64);
  if (kFault == Fault::kTwice) bulk_expect(barrier, 64);
  void* const outside = const_cast<float*>(in);
  void* const target = kFault == Fault::kOutside ? outside : shared.values[0];
  const float* const source = kFault == Fault::kUnaligned ? in + 1 : in;
  if (kFault != Fault::kNoCopy) {
    bulk_copy(barrier, target, source, kFault == Fault::kUneven ? 60 : 64);
  }
  bulk_wait(barrier, 0);
}

template <Fault kFault>
std::string fault_by() {
  alignas(16) static const float kIn[64] = {};
  return fault_of<misuse<kFault>>(
      {.name = "k", .grid = {1}, .block = {1}, .shared_bytes = sizeof(Stages)},
      static_cast<const float*>(kIn));
}

TEST(BulkCopy, NamesWhatIsUndefined) {
  EXPECT_EQ(fault_by<Fault::kNone>(), "");
  const auto expect = [](const std::string& fault, const std::string& words) {
    EXPECT_NE(fault.find(words), std::string::npos) << fault;
  };
  expect(fault_by<Fault::kOutside>(), "calls bulk_copy (bulk_copy_test.cpp:");
  expect(fault_by<Fault::kOutside>(), "outside the block's");
  expect(fault_by<Fault::kUnaligned>(), "expected both to be multiples of 16");
  expect(fault_by<Fault::kUneven>(), "with 60 bytes from");
  expect(fault_by<Fault::kNoInit>(), "with a barrier that is not initialised");
  expect(fault_by<Fault::kTwice>(), "twice in a phase");
  expect(fault_by<Fault::kNoCopy>(), "for bytes that nobody copies");
}

}  // namespace
}  // namespace packproof::ptx

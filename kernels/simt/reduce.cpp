#include "kernels/simt/reduce.h"

#include "kernels/simt/collective.h"
#include "kernels/simt/diagnosis.h"
#include "kernels/simt/switching.h"

namespace packproof::simt {
namespace {

struct WarpReduceCall : WarpCall {
  float (*combine)(float, float);
  int width;
  float value;
};

struct BlockSumCall : BarrierCall {
  float value;
};

void gather(WarpCall* const (&lanes)[kWarpSize], float (&values)[kWarpSize]) {
  for (int lane = 0; lane < kWarpSize; ++lane) {
    values[lane] = static_cast<const WarpReduceCall&>(*lanes[lane]).value;
  }
}

// The butterfly leaves every lane of a group with the same bits (the combination is commutative),
// so half of it is enough: level by level, lane i takes in lane i + distance.
template <class Combine>
void reduce_groups(float (&values)[kWarpSize], int width, Combine combine) {
  for (int distance = width / 2; distance > 0; distance /= 2) {
    for (int group = 0; group < kWarpSize; group += width) {
      for (int i = group; i < group + distance; ++i) {
        values[i] = combine(values[i], values[i + distance]);
      }
    }
  }
}

float add(float a, float b) { return a + b; }

void evaluate_warp_reduce(WarpCall* const (&lanes)[kWarpSize]) {
  check_full_warp(lanes);
  float values[kWarpSize];
  gather(lanes, values);
  const auto& first = static_cast<const WarpReduceCall&>(*lanes[0]);
  const int width = first.width;
  if (first.combine == add) {
    reduce_groups(values, width, [](float a, float b) { return a + b; });
  } else {
    reduce_groups(values, width, first.combine);
  }
  for (int lane = 0; lane < kWarpSize; ++lane) {
    static_cast<WarpReduceCall&>(*lanes[lane]).value = values[lane & ~(width - 1)];
  }
}

void evaluate_block_sum(BarrierCall* const* calls, int count) {
  if (count % kWarpSize != 0) {
    fail(*calls[0]->thread, "calls block_sum (%s:%d) in a block of %d threads; expected full warps",
         base_name(calls[0]->site.file), calls[0]->site.line, count);
  }
  float sum = 0;
  for (int first = 0; first < count; first += kWarpSize) {
    float values[kWarpSize];
    for (int lane = 0; lane < kWarpSize; ++lane) {
      values[lane] = static_cast<const BlockSumCall&>(*calls[first + lane]).value;
    }
    reduce_groups(values, kWarpSize, [](float a, float b) { return a + b; });
    sum = first == 0 ? values[0] : sum + values[0];
  }
  for (int i = 0; i < count; ++i) static_cast<BlockSumCall&>(*calls[i]).value = sum;
}

float reduce(const char* name, float value, int width, float (*combine)(float, float), Site site) {
  WarpReduceCall call;
  call.name = name;
  call.site = site;
  call.mask = ~uint32_t{0};
  call.evaluate = evaluate_warp_reduce;
  call.combine = combine;
  call.width = width;
  call.value = value;
  CudaThread& self = static_cast<CudaThread&>(*running_thread);
  Block::of(self).meet(self, call);
  return call.value;
}

}  // namespace

float warp_sum(float value, int width, Site site) {
  return reduce("warp_sum", value, width, add, site);
}

float warp_max(float value, int width, float (*combine)(float, float), Site site) {
  return reduce("warp_max", value, width, combine, site);
}

float block_sum(float value, Site site) {
  BlockSumCall call;
  call.name = "block_sum";
  call.site = site;
  call.evaluate = evaluate_block_sum;
  call.value = value;
  rendezvous(call);
  return call.value;
}

}  // namespace packproof::simt

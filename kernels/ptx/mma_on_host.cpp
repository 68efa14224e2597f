#include "kernels/ptx/mma_on_host.h"

#include "kernels/ptx/tile_product_on_host.h"
#include "kernels/simt/collective.h"
#include "kernels/simt/diagnosis.h"

#include <algorithm>

namespace packproof::simt {
namespace {

struct MmaCall : WarpCall {
  MmaShape shape;
  uint32_t a[4];
  uint32_t b[2];
  float d[4];
};

template <class Convert>
void unpack_halves(const MmaCall& call, int lane, Convert convert, TileProduct& m) {
  const int g = lane / 4;
  const int t = lane % 4;
  for (int i = 0; i < 4; ++i) {
    const int row = g + 8 * (i % 2);
    const int k = 2 * t + 8 * (i / 2);
    m.a[row][k] = convert(call.a[i] & 0xffff);
    m.a[row][k + 1] = convert(call.a[i] >> 16);
  }
  for (int i = 0; i < 2; ++i) {
    m.b[2 * t + 8 * i][g] = convert(call.b[i] & 0xffff);
    m.b[2 * t + 8 * i + 1][g] = convert(call.b[i] >> 16);
  }
}

void unpack_tf32(const MmaCall& call, int lane, TileProduct& m) {
  const int g = lane / 4;
  const int t = lane % 4;
  for (int i = 0; i < 4; ++i) m.a[g + 8 * (i % 2)][t + 4 * (i / 2)] = float_of_tf32(call.a[i]);
  for (int i = 0; i < 2; ++i) m.b[t + 4 * i][g] = float_of_tf32(call.b[i]);
}

void evaluate_mma(WarpCall* const (&lanes)[kWarpSize]) {
  check_full_warp(lanes);
  TileProduct m;
  for (int lane = 0; lane < kWarpSize; ++lane) {
    const auto& call = static_cast<const MmaCall&>(*lanes[lane]);
    switch (call.shape) {
      case MmaShape::kM16N8K16Bf16:
        unpack_halves(call, lane, float_of_bf16, m);
        break;
      case MmaShape::kM16N8K16F16:
        unpack_halves(call, lane, float_of_f16, m);
        break;
      case MmaShape::kM16N8K8Tf32:
        unpack_tf32(call, lane, m);
        break;
    }
    for (int i = 0; i < 4; ++i) m.d[lane / 4 + 8 * (i / 2)][2 * (lane % 4) + i % 2] = call.d[i];
  }
  const auto& first = static_cast<const MmaCall&>(*lanes[0]);
  const int depth = first.shape == MmaShape::kM16N8K8Tf32 ? 8 : 16;
  multiply(m, depth, first.thread->block->seed);
  for (int lane = 0; lane < kWarpSize; ++lane) {
    auto& call = static_cast<MmaCall&>(*lanes[lane]);
    for (int i = 0; i < 4; ++i) call.d[i] = m.d[lane / 4 + 8 * (i / 2)][2 * (lane % 4) + i % 2];
  }
}

constexpr const char* kNames[] = {"mma_m16n8k16_bf16", "mma_m16n8k16_f16", "mma_m16n8k8_tf32"};

}  // namespace

void mma(MmaShape shape, float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], Site site) {
  MmaCall call;
  call.name = kNames[static_cast<int>(shape)];
  call.site = site;
  call.mask = ~uint32_t{0};
  call.evaluate = evaluate_mma;
  call.shape = shape;
  std::copy(a, a + 4, call.a);
  std::copy(b, b + 2, call.b);
  std::copy(d, d + 4, call.d);
  rendezvous(call);
  std::copy(call.d, call.d + 4, d);
}

}  // namespace packproof::simt

#include "kernels/ptx/store_matrix_on_host.h"

#include "kernels/simt/collective.h"
#include "kernels/simt/sanitizer.h"

#include <algorithm>
#include <cstring>

namespace packproof::simt {
namespace {

constexpr int kSide = 8;  // Rows and columns of a matrix.
constexpr std::size_t kRowBytes = 16;
constexpr int kNumMatrices = 4;

struct StoreMatrixCall : WarpCall {
  bool transpose;
  void* row;
  uint32_t registers[kNumMatrices];
};

void evaluate_store_matrix(WarpCall* const (&lanes)[kWarpSize]) {
  check_full_warp(lanes);
  for (int matrix = 0; matrix < kNumMatrices; ++matrix) {
    uint16_t elements[kSide][kSide];
    for (int lane = 0; lane < kWarpSize; ++lane) {
      const auto& call = static_cast<const StoreMatrixCall&>(*lanes[lane]);
      for (int half = 0; half < 2; ++half) {
        const int i = lane / 4;
        const int j = 2 * (lane % 4) + half;
        const auto element = static_cast<uint16_t>(call.registers[matrix] >> (16 * half));
        (call.transpose ? elements[j][i] : elements[i][j]) = element;
      }
    }
    for (int r = 0; r < kSide; ++r) {
      const auto& call = static_cast<const StoreMatrixCall&>(*lanes[matrix * kSide + r]);
      std::memcpy(call.row, elements[r], kRowBytes);
    }
  }
}

}  // namespace

void store_matrix(const uint32_t (&registers)[4], bool transpose, void* row, Site site) {
  StoreMatrixCall call;
  call.name = "store_matrix";
  call.site = site;
  call.mask = ~uint32_t{0};
  call.evaluate = evaluate_store_matrix;
  call.transpose = transpose;
  call.row = row;
  std::copy(registers, registers + kNumMatrices, call.registers);
  check_shared_operand(call.name, site, row, kRowBytes, kRowBytes);
  observe_write(row, kRowBytes, __builtin_return_address(0));
  rendezvous(call);
}

}  // namespace packproof::simt

#include "kernels/ptx/load_matrix_on_host.h"

#include "kernels/simt/collective.h"
#include "kernels/simt/diagnosis.h"
#include "kernels/simt/sanitizer.h"

#include <cstring>

namespace packproof::simt {
namespace {

constexpr int kSide = 8;  // Rows and columns of a matrix.
constexpr std::size_t kRowBytes = 16;
constexpr int kMaxMatrices = 4;

struct LoadMatrixCall : WarpCall {
  int num_matrices;
  bool transpose;
  const void* row;
  uint32_t registers[kMaxMatrices];
};

void evaluate_load_matrix(WarpCall* const (&lanes)[kWarpSize]) {
  check_full_warp(lanes);
  const auto& first = static_cast<const LoadMatrixCall&>(*lanes[0]);
  for (int matrix = 0; matrix < first.num_matrices; ++matrix) {
    uint16_t elements[kSide][kSide];
    for (int r = 0; r < kSide; ++r) {
      const auto& call = static_cast<const LoadMatrixCall&>(*lanes[matrix * kSide + r]);
      std::memcpy(elements[r], call.row, kRowBytes);
    }
    for (int lane = 0; lane < kWarpSize; ++lane) {
      const int i = lane / 4;
      const int j = 2 * (lane % 4);
      const uint32_t low = first.transpose ? elements[j][i] : elements[i][j];
      const uint32_t high = first.transpose ? elements[j + 1][i] : elements[i][j + 1];
      static_cast<LoadMatrixCall&>(*lanes[lane]).registers[matrix] = low | high << 16;
    }
  }
}

}  // namespace

void load_matrix(uint32_t* registers, int num_matrices, bool transpose, const void* row,
                 Site site) {
  LoadMatrixCall call;
  call.name = "load_matrix";
  call.site = site;
  call.mask = ~uint32_t{0};
  call.evaluate = evaluate_load_matrix;
  call.num_matrices = num_matrices;
  call.transpose = transpose;
  call.row = row;
  if (running_thread->lane() < num_matrices * kSide) {
    check_shared_operand(call.name, site, row, kRowBytes, kRowBytes);
    observe_read(row, kRowBytes, __builtin_return_address(0));
  }
  rendezvous(call);
  std::memcpy(registers, call.registers, sizeof(uint32_t) * static_cast<std::size_t>(num_matrices));
}

}  // namespace packproof::simt

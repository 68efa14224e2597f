#pragma once

#include "kernels/testing/loaded_library.h"
#include "packproof/kernel_abi.h"

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace packproof {

inline const packproof_library& plain_library() { return load_library("packproof_plain.so"); }

inline const packproof_kernel& row_of(packproof_op op, packproof_direction direction) {
  const packproof_library& library = plain_library();
  for (int64_t i = 0; i < library.num_kernels; ++i) {
    if (library.kernels[i].op == op && library.kernels[i].direction == direction) {
      return library.kernels[i];
    }
  }
  throw std::runtime_error("no row of op " + std::to_string(op));
}

/// Runs a row with a workspace full of NaN.
template <typename Args>
LaunchResult launch(packproof_op op, packproof_direction direction, const Args& args) {
  packproof_message message{};
  const packproof_kernel& kernel = row_of(op, direction);
  std::vector<uint64_t> workspace(kernel.workspace_size(&args) / 8 + 1, UINT64_MAX);
  const packproof_status status =
      kernel.launch(&args, workspace.data(), workspace.size() * 8, nullptr, &message);
  return {status, message.text};
}

}  // namespace packproof

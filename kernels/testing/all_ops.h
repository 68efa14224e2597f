#pragma once

#include "packproof/kernel_abi.h"

#include <cstdint>
#include <functional>
#include <vector>

namespace packproof {

/// Bits of everything that a fixed set of calls of every op writes: packed with both kinds of
/// metadata, every tiling of the keys, gates given and computed. `finish` runs after each call and
/// before its output is read. Fails the running test when a call is refused.
std::vector<uint64_t> bits_of_all_ops(
    const packproof_library& library, int32_t dtype, const std::function<void()>& finish = [] {});

}  // namespace packproof

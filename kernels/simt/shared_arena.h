#pragma once

#include <cstddef>

namespace packproof::simt {

/// The running block's arena. Ends the launch when `bytes` exceeds what the launch asked for.
std::byte* shared_arena(std::size_t bytes);

}  // namespace packproof::simt

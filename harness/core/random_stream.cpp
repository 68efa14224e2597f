#include "harness/core/random_stream.h"

#include "harness/core/portable_math.h"

#include <cmath>

namespace packproof {
namespace {

// The finaliser of SplitMix64: a bijection of 64 bits in which every input bit reaches every output bit.
uint64_t mix(uint64_t x) {
  x += 0x9E3779B97F4A7C15;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

// Tells the numbers of a stream itself from the streams of its indices.
constexpr uint64_t kDrawMark = 0xD6E8FEB86659FD93;

}  // namespace

RandomStream::RandomStream(uint64_t seed, std::string_view name) : state_(mix(seed)) {
  for (const char c : name) state_ = mix(state_ ^ static_cast<unsigned char>(c));
}

RandomStream RandomStream::at(int64_t index) const {
  return RandomStream(mix(state_ ^ mix(static_cast<uint64_t>(index))));
}

uint64_t RandomStream::bits() const { return mix(state_ ^ kDrawMark); }

double RandomStream::uniform() const {
  return static_cast<double>(bits() >> 11) * 0x1p-53 + 0x1p-54;
}

double RandomStream::normal() const {
  // Marsaglia's polar method: one logarithm, and a square root, which IEEE rounds correctly. The
  // offset keeps u and v, and so the logarithm's argument, away from zero.
  for (int64_t attempt = 0;; ++attempt) {
    const uint64_t word = at(attempt).bits();
    const double u = static_cast<double>(word >> 32) * 0x1p-31 + (0x1p-32 - 1.0);
    const double v = static_cast<double>(word & 0xFFFFFFFF) * 0x1p-31 + (0x1p-32 - 1.0);
    const double square = u * u + v * v;
    if (square >= 1.0) continue;
    return u * std::sqrt(-2.0 * portable::log(square) / square);
  }
}

int64_t RandomStream::integer(int64_t low, int64_t high) const {
  const uint64_t count = static_cast<uint64_t>(high) - static_cast<uint64_t>(low) + 1;
  if (count == 0) return static_cast<int64_t>(bits());
  return static_cast<int64_t>(static_cast<uint64_t>(low) + bits() % count);
}

}  // namespace packproof

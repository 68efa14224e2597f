#pragma once

#include <cstdint>
#include <string_view>

namespace packproof {

/// Counter-based random numbers: a value is a function of a seed, a name and indices, never of how
/// many were drawn before. `RandomStream(seed, "q").at(n).at(t).at(i).normal()` is element i of
/// token t of sequence n wherever that sequence stands in a pack, on any machine.
class RandomStream {
 public:
  RandomStream(uint64_t seed, std::string_view name);

  /// The independent stream of one index.
  RandomStream at(int64_t index) const;

  uint64_t bits() const;
  double uniform() const;                            ///< In (0, 1), a multiple of 2^-53 plus 2^-54.
  double normal() const;                             ///< Standard normal.
  int64_t integer(int64_t low, int64_t high) const;  ///< Uniform on low..high, both included.

 private:
  explicit RandomStream(uint64_t state) : state_(state) {}

  uint64_t state_;
};

}  // namespace packproof

#pragma once

#include <cstdint>
#include <numeric>

namespace packproof::simt {

/// A small deterministic generator (splitmix64); one per block, so that a block's schedule depends
/// neither on the number of host threads nor on the other blocks.
class ScheduleRandom {
 public:
  ScheduleRandom() = default;

  ScheduleRandom(uint64_t seed, uint64_t stream) : state_(seed + stream * 0x9e3779b97f4a7c15) {
    next();
  }

  uint64_t next() {
    state_ += 0x9e3779b97f4a7c15;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

 private:
  uint64_t state_ = 0;
};

/// Which block runs at which position of the schedule: the identity for seed 0, else an affine
/// permutation i -> (a i + b) mod n with a coprime to n.
class BlockOrder {
 public:
  BlockOrder(uint64_t seed, uint64_t num_blocks) : num_blocks_(num_blocks) {
    if (seed == 0 || num_blocks < 2) return;
    ScheduleRandom random(seed, ~uint64_t{0});
    offset_ = random.next() % num_blocks;
    do {
      factor_ = random.next() % num_blocks;
    } while (std::gcd(factor_, num_blocks) != 1);
  }

  uint64_t block_at(uint64_t position) const {
    const auto product = static_cast<unsigned __int128>(factor_) * position + offset_;
    return static_cast<uint64_t>(product % num_blocks_);
  }

 private:
  uint64_t num_blocks_;
  uint64_t factor_ = 1;
  uint64_t offset_ = 0;
};

}  // namespace packproof::simt

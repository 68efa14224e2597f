#pragma once

#include "harness/core/large_memory.h"

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace packproof::reference {

struct ReleaseLargeMemory {
  std::size_t bytes = 0;

  void operator()(double* memory) const { release_memory(memory, bytes); }
};

/// Contiguous f64 values of a shape in memory that nothing clears first: whoever makes them writes
/// every element. Clearing costs as much as reading an input does.
class TokenValues {
 public:
  TokenValues() = default;

  explicit TokenValues(std::vector<int64_t> shape) : shape_(std::move(shape)), count_(1) {
    for (const int64_t extent : shape_) count_ *= static_cast<std::size_t>(extent);
    values_ = Memory(static_cast<double*>(allocate_memory(count_ * sizeof(double))),
                     ReleaseLargeMemory{count_ * sizeof(double)});
  }

  const std::vector<int64_t>& shape() const { return shape_; }

  std::span<double> values() { return {values_.get(), count_}; }

  std::span<const double> values() const { return {values_.get(), count_}; }

 private:
  using Memory = std::unique_ptr<double, ReleaseLargeMemory>;

  std::vector<int64_t> shape_;
  std::size_t count_ = 0;
  Memory values_;
};

}  // namespace packproof::reference

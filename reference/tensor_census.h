#pragma once

#include "harness/core/result.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace packproof::reference {

/// Compares the tensors that a checkpoint has with those that a model needs, and says in one
/// sentence what is missing, superfluous or of another shape (up to five names each).
class TensorCensus {
 public:
  void found(const std::string& name, std::vector<int64_t> shape);
  void expect(const std::string& name, std::vector<int64_t> shape);

  Status check(const std::string& origin) const;

 private:
  std::map<std::string, std::vector<int64_t>> found_;
  std::map<std::string, std::vector<int64_t>> expected_;
};

}  // namespace packproof::reference

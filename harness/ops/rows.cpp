#include "harness/ops/rows.h"

#include <cstring>

namespace packproof {
namespace {

std::size_t row_bytes(const Tensor& tensor, int64_t rows) {
  if (rows == 0) return 0;
  return static_cast<std::size_t>(tensor.numel() / rows) * size_of(tensor.dtype());
}

}  // namespace

Tensor gather_rows(const Tensor& source, int64_t leading_rank, std::vector<int64_t> leading,
                   const std::vector<int64_t>& from, double pad_value) {
  std::vector<int64_t> shape = std::move(leading);
  int64_t inner = 1;
  for (int64_t axis = leading_rank; axis < source.rank(); ++axis) {
    shape.push_back(source.dim(axis));
    inner *= source.dim(axis);
  }
  Tensor result(source.dtype(), std::move(shape));
  const std::size_t bytes = static_cast<std::size_t>(inner) * size_of(source.dtype());
  for (std::size_t r = 0; r < from.size(); ++r) {
    std::byte* target = result.bytes().data() + r * bytes;
    if (from[r] >= 0) {
      std::memcpy(target, source.bytes().data() + static_cast<std::size_t>(from[r]) * bytes, bytes);
    } else if (from[r] == RowSource::kSlack) {
      std::memset(target, 0xFF, bytes);
    } else {
      for (int64_t e = 0; e < inner; ++e) {
        store_element(source.dtype(),
                      target + static_cast<std::size_t>(e) * size_of(source.dtype()), pad_value);
      }
    }
  }
  return result;
}

void copy_row(const Tensor& source, int64_t source_rows, int64_t from, Tensor& target,
              int64_t target_rows, int64_t to) {
  const std::size_t bytes = row_bytes(source, source_rows);
  const std::size_t target_bytes = row_bytes(target, target_rows);
  std::memcpy(target.bytes().data() + static_cast<std::size_t>(to) * target_bytes,
              source.bytes().data() + static_cast<std::size_t>(from) * bytes, bytes);
}

void fill_row_with_nan(Tensor& tensor, int64_t rows, int64_t row) {
  const std::size_t bytes = row_bytes(tensor, rows);
  std::memset(tensor.bytes().data() + static_cast<std::size_t>(row) * bytes, 0xFF, bytes);
}

}  // namespace packproof

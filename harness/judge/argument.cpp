#include "harness/judge/argument.h"

#include <algorithm>
#include <charconv>

namespace packproof {

const Tensor* find_argument(const TensorMap& tensors, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (const auto found = tensors.find(name); found != tensors.end()) return &found->second;
  }
  return nullptr;
}

Result<const Tensor*> require_argument(const CapturedCall& call,
                                       std::initializer_list<const char*> names) {
  const Tensor* found = find_argument(call.inputs, names);
  if (found == nullptr) {
    return invalid_input("expected a tensor '" + std::string(*names.begin()) + "', found none");
  }
  return found;
}

Tensor permuted(const Tensor& tensor, const std::vector<int64_t>& axes) {
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;
  const std::vector<int64_t> source = contiguous_strides(tensor.shape());
  for (const int64_t axis : axes) {
    shape.push_back(tensor.dim(axis));
    strides.push_back(source[static_cast<std::size_t>(axis)]);
  }
  Tensor result(tensor.dtype(), shape);
  std::vector<int64_t> index(shape.size(), 0);
  int64_t from = 0;
  for (int64_t i = 0; i < result.numel(); ++i) {
    result.set(i, tensor.at(from));
    for (std::size_t axis = shape.size(); axis-- > 0;) {
      from += strides[axis];
      if (++index[axis] < shape[axis]) break;
      from -= strides[axis] * shape[axis];
      index[axis] = 0;
    }
  }
  return result;
}

Tensor last_columns(const Tensor& tensor, int64_t count) {
  const int64_t axis = tensor.rank() - 1;
  return tensor.slice(axis, std::max<int64_t>(tensor.dim(axis) - count, 0), tensor.dim(axis));
}

Result<double> number_argument(const CapturedCall& call, const std::string& name,
                               double otherwise) {
  const std::string text = call.scalar(name, "");
  if (text.empty()) return otherwise;
  double value = 0.0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc{} || end != text.data() + text.size()) {
    return invalid_input("expected a number as '" + name + "', found '" + text + "'");
  }
  return value;
}

Status refuse_arguments(const CapturedCall& call, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (call.is_set(name)) {
      return invalid_input("the reference knows no '" + std::string(name) + "', which was given");
    }
  }
  return {};
}

void count_on_rounding(MappedCall& mapped, DType dtype, const std::string& what) {
  mapped.forward_roundoff = std::max(mapped.forward_roundoff, unit_roundoff(dtype));
  mapped.backward_roundoff = std::max(mapped.backward_roundoff, unit_roundoff(dtype));
  mapped.approximation = what;
}

}  // namespace packproof

#include "reference/aten_tensor.h"

#include <cstring>

namespace packproof::reference {

at::Tensor to_aten(const Tensor& tensor) {
  const bool floating = is_floating(tensor.dtype());
  const DType target = floating ? DType::kF64 : DType::kI64;
  const bool same = tensor.dtype() == target && tensor.is_contiguous();
  const Tensor converted = same ? Tensor() : tensor.to(target);
  const Tensor& source = same ? tensor : converted;
  at::Tensor result = at::empty(source.shape(), floating ? at::kDouble : at::kLong);
  if (result.numel() > 0) {
    std::memcpy(result.data_ptr(), source.bytes().data(),
                static_cast<std::size_t>(result.nbytes()));
  }
  return result;
}

Tensor from_aten(const at::Tensor& tensor) {
  const bool floating = tensor.is_floating_point();
  const at::Tensor source = tensor.detach().to(floating ? at::kDouble : at::kLong).contiguous();
  Tensor result(floating ? DType::kF64 : DType::kI64, source.sizes().vec());
  if (source.numel() > 0) {
    std::memcpy(result.bytes().data(), source.data_ptr(),
                static_cast<std::size_t>(source.nbytes()));
  }
  return result;
}

}  // namespace packproof::reference

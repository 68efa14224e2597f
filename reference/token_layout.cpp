#include "reference/token_layout.h"

#include "harness/core/packing.h"
#include "reference/aten_tensor.h"

#include <string>

namespace packproof::reference {
namespace {

std::string place(const Tensor& tensor, int64_t linear) {
  std::string text = "[";
  int64_t stride = tensor.numel();
  for (int64_t axis = 0; axis < tensor.rank(); ++axis) {
    stride /= tensor.dim(axis);
    text += (axis > 0 ? ", " : "") + std::to_string(linear / stride);
    linear %= stride;
  }
  return text + "]";
}

Status check_shape(const std::string& name, const Tensor& tensor,
                   const std::vector<std::vector<int64_t>>& allowed) {
  if (tensor.dtype() != DType::kI64) {
    return invalid_input(name + ": expected i64, found " + std::string(name_of(tensor.dtype())));
  }
  std::string expected;
  for (const std::vector<int64_t>& shape : allowed) {
    if (tensor.shape() == shape) return {};
    expected += (expected.empty() ? "" : " or ") + shape_text(shape);
  }
  return invalid_input(name + ": expected shape " + expected + ", found " +
                       shape_text(tensor.shape()));
}

Status check_range(const std::string& name, const Tensor& tensor, int64_t lowest, int64_t highest) {
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    const int64_t value = tensor.int_at(i);
    if (value < lowest || value > highest) {
      return invalid_input(name + place(tensor, i) + ": expected a value in [" +
                           std::to_string(lowest) + ", " + std::to_string(highest) + "], found " +
                           std::to_string(value));
    }
  }
  return {};
}

Status check_positions(const ModelBatch& batch, const ModelConfig& config, int64_t rows,
                       int64_t length) {
  if (!batch.position_ids) return {};
  std::vector<std::vector<int64_t>> allowed{{rows, length}};
  if (config.family != ModelFamily::kQwen3Next) allowed.push_back({3, rows, length});
  PACKPROOF_CHECK_OK(check_shape("position_ids", *batch.position_ids, allowed));
  return check_range("position_ids", *batch.position_ids, 0, int64_t{1} << 52);
}

Status check_packed(const ModelBatch& batch, int64_t rows, int64_t length, int64_t past) {
  if (batch.cu_seqlens.empty()) return {};
  if (rows != 1) {
    return invalid_input("cu_seqlens: expected one batch row (packed form), found B = " +
                         std::to_string(rows));
  }
  if (batch.attention_mask) {
    return invalid_input("attention_mask: expected none beside cu_seqlens, found one");
  }
  if (past > 0) {
    return invalid_input("cu_seqlens: expected none in a call that continues a cache, found " +
                         std::to_string(batch.cu_seqlens.size()) + " entries");
  }
  const Result<Packing> packing = Packing::from_cu_seqlens(batch.cu_seqlens, length);
  if (!packing) return packing.error();
  return {};
}

at::Tensor default_positions(const TokenLayout& layout) {
  if (layout.packed()) {
    at::Tensor positions = at::zeros({1, layout.length}, at::kLong);
    for (const SequenceSpan& span : layout.sequences()) {
      positions[0].slice(0, span.begin, span.end).copy_(at::arange(span.length(), at::kLong));
    }
    return positions;
  }
  return at::arange(layout.past, layout.past + layout.length, at::kLong)
      .expand({layout.batch, layout.length});
}

}  // namespace

std::vector<SequenceSpan> TokenLayout::sequences() const {
  std::vector<SequenceSpan> spans;
  if (packed()) {
    for (std::size_t n = 0; n + 1 < cu_seqlens.size(); ++n) {
      spans.push_back({0, cu_seqlens[n], cu_seqlens[n + 1]});
    }
  } else {
    for (int64_t row = 0; row < batch; ++row) spans.push_back({row, 0, length});
  }
  return spans;
}

Result<TokenLayout> token_layout(const ModelBatch& batch, const ModelConfig& config, int64_t past) {
  const Tensor& ids = batch.input_ids;
  if (ids.rank() != 2 || ids.dim(0) < 1 || ids.dim(1) < 1) {
    return invalid_input("input_ids: expected shape [B, L] with B, L >= 1, found " +
                         shape_text(ids.shape()));
  }
  const int64_t rows = ids.dim(0);
  const int64_t length = ids.dim(1);
  PACKPROOF_CHECK_OK(check_shape("input_ids", ids, {{rows, length}}));
  PACKPROOF_CHECK_OK(check_range("input_ids", ids, 0, config.vocab_size - 1));
  PACKPROOF_CHECK_OK(check_positions(batch, config, rows, length));
  PACKPROOF_CHECK_OK(check_packed(batch, rows, length, past));

  TokenLayout layout;
  layout.batch = rows;
  layout.length = length;
  layout.past = past;
  layout.cu_seqlens = batch.cu_seqlens;
  layout.input_ids = to_aten(ids);
  layout.positions = batch.position_ids ? to_aten(*batch.position_ids) : default_positions(layout);
  if (batch.attention_mask) {
    PACKPROOF_CHECK_OK(
        check_shape("attention_mask", *batch.attention_mask, {{rows, past + length}}));
    PACKPROOF_CHECK_OK(check_range("attention_mask", *batch.attention_mask, 0, 1));
    const at::Tensor mask = to_aten(*batch.attention_mask);
    const at::Tensor now = mask.narrow(1, past, length);
    const bool full = now.all().item<bool>();
    if (!mask.all().item<bool>()) layout.key_mask = mask.to(at::kBool);
    if (!full) layout.token_mask = now.to(at::kBool);
    // The library hands delta-net layers no mask for single tokens or when all are ones (spec 4.1).
    if (length > 1 && !full) {
      layout.mixer_mask = now.to(at::kDouble).unsqueeze(-1);
    }
  }
  if (layout.total_tokens() < rows * length) {
    layout.token_mask = at::arange(length, at::kLong).unsqueeze(0) < layout.total_tokens();
  }
  return layout;
}

}  // namespace packproof::reference

#include "harness/core/fill.h"

#include "harness/core/portable_math.h"
#include "harness/core/random_stream.h"

#include <algorithm>
#include <thread>
#include <vector>

namespace packproof {
namespace {

constexpr int64_t kNoSequence = -1;
constexpr int64_t kNoToken = -1;
constexpr int64_t kLargeTensor = int64_t{1} << 22;  // Elements; threads cost less than these.

double draw(const FillRecipe& recipe, const RandomStream& stream) {
  switch (recipe.distribution) {
    case Distribution::kConstant:
      return recipe.low;
    case Distribution::kNormal:
      return recipe.low + recipe.high * stream.normal();
    case Distribution::kUniform:
      return recipe.low + (recipe.high - recipe.low) * stream.uniform();
    case Distribution::kSigmoidNormal:
      return portable::sigmoid(stream.normal());
    case Distribution::kInteger:
      return static_cast<double>(
          stream.integer(static_cast<int64_t>(recipe.low), static_cast<int64_t>(recipe.high)));
  }
  return 0.0;
}

void fill_run(const FillRecipe& recipe, const RandomStream& stream, int64_t begin, int64_t count,
              Tensor& tensor) {
  for (int64_t i = 0; i < count; ++i) tensor.set(begin + i, draw(recipe, stream.at(i)));
}

}  // namespace

FillRecipe FillRecipe::constant(double value) { return {Distribution::kConstant, value, value}; }

FillRecipe FillRecipe::normal(double scale, double mean) {
  return {Distribution::kNormal, mean, scale};
}

FillRecipe FillRecipe::uniform(double low, double high) {
  return {Distribution::kUniform, low, high};
}

FillRecipe FillRecipe::sigmoid_normal() { return {Distribution::kSigmoidNormal, 0.0, 1.0}; }

FillRecipe FillRecipe::integers(int64_t bound) {
  return {Distribution::kInteger, -static_cast<double>(bound), static_cast<double>(bound)};
}

Tensor fill_tokens(const FillRecipe& recipe, const FillTarget& target, const Packing& packing) {
  Tensor tensor(target.dtype, target.shape);
  if (tensor.empty()) return tensor;
  const RandomStream root(target.seed, target.name);
  const int64_t per_token = tensor.numel() / packing.total_rows();
  // Tokens are independent: large tensors are drawn by all cores.
  const auto fill_rows = [&](int64_t first, int64_t end) {
    for (int64_t n = 0; n < packing.num_seqs(); ++n) {
      const RandomStream sequence = root.at(n);
      const int64_t last = std::min(packing.length(n), end - packing.begin(n));
      for (int64_t t = std::max<int64_t>(first - packing.begin(n), 0); t < last; ++t) {
        fill_run(recipe, sequence.at(t), (packing.begin(n) + t) * per_token, per_token, tensor);
      }
    }
  };
  const int64_t rows = packing.total_tokens();
  const int64_t parts =
      tensor.numel() < kLargeTensor ? 1 : std::max<int64_t>(std::thread::hardware_concurrency(), 1);
  std::vector<std::thread> others;
  for (int64_t part = 1; part < parts; ++part) {
    others.emplace_back(fill_rows, rows * part / parts, rows * (part + 1) / parts);
  }
  fill_rows(0, rows / parts);
  for (std::thread& other : others) other.join();
  const auto used = static_cast<std::size_t>(packing.total_tokens() * per_token);
  std::ranges::fill(tensor.bytes().subspan(used * size_of(target.dtype)), std::byte{0xFF});
  return tensor;
}

Tensor fill_sequences(const FillRecipe& recipe, const FillTarget& target,
                      std::span<const int64_t> ordinals) {
  Tensor tensor(target.dtype, target.shape);
  if (tensor.empty()) return tensor;
  const RandomStream root(target.seed, target.name);
  const auto rows = static_cast<int64_t>(ordinals.size());
  const int64_t per_sequence = tensor.numel() / rows;
  for (int64_t row = 0; row < rows; ++row) {
    fill_run(recipe, root.at(ordinals[static_cast<std::size_t>(row)]).at(kNoToken),
             row * per_sequence, per_sequence, tensor);
  }
  return tensor;
}

Tensor fill_shared(const FillRecipe& recipe, const FillTarget& target) {
  Tensor tensor(target.dtype, target.shape);
  const RandomStream root(target.seed, target.name);
  fill_run(recipe, root.at(kNoSequence).at(kNoToken), 0, tensor.numel(), tensor);
  return tensor;
}

}  // namespace packproof

#include "reference/weight_products.h"

#include "reference/checkpoint.h"

#include <chrono>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

namespace packproof::reference {
namespace {

/// y = x W^T.
struct Product {
  at::Tensor x;       ///< [T, in].
  at::Tensor weight;  ///< [out, in].
  at::Tensor y;       ///< [T, out].
};

/// Whether tokens are multiplied by it: the embeddings are looked up, unless the head is tied to
/// them.
bool multiplies(const ExpectedTensor& tensor, const ModelConfig& config) {
  return tensor.shape.size() == 2 &&
         (tensor.name != "model.embed_tokens.weight" || config.tie_word_embeddings);
}

/// Every weight has memory of its own, as in a model; all of it is in place before time counts.
std::vector<Product> products_of(const ModelConfig& config, int64_t tokens) {
  std::vector<Product> products;
  for (const ExpectedTensor& tensor : expected_tensors(config)) {
    if (!multiplies(tensor, config)) continue;
    const int64_t rows = tensor.shape[0];
    const int64_t columns = tensor.shape[1];
    products.push_back({at::full({tokens, columns}, 0.5, at::kDouble),
                        at::full({rows, columns}, 0.5, at::kDouble),
                        at::full({tokens, rows}, 0.0, at::kDouble)});
  }
  return products;
}

}  // namespace

Result<double> time_products(const ModelConfig& config, int64_t tokens) {
  PACKPROOF_CHECK_OK(validate(config));
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    if (config.is_moe_layer(layer)) {
      return invalid_input("products: expected dense layers, found a mixture in layer " +
                           std::to_string(layer));
    }
  }
  try {
    const c10::NoGradGuard no_gradients;
    std::vector<Product> products = products_of(config, tokens);
    const auto begin = std::chrono::steady_clock::now();
    for (Product& product : products) at::matmul_out(product.y, product.x, product.weight.t());
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    return seconds.count();
  } catch (const std::exception& error) {
    return internal_error(std::string("the matrix products failed: ") + error.what());
  }
}

}  // namespace packproof::reference

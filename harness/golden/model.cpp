#include "harness/core/packing.h"
#include "harness/core/sha256.h"
#include "harness/golden/run.h"
#include "harness/oracle/row_map.h"
#include "harness/truth/batch.h"
#include "harness/truth/walk.h"

#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace packproof {

namespace {

namespace fs = std::filesystem;

/// Boundaries that break kernels: a single token, less than a conv width, two chunks of 64.
constexpr const char* kGoldenLens = "1,3,65,2,64";
constexpr int64_t kChunkSize = 64;

struct ModelLine {
  std::string folder;
  std::vector<int64_t> lens;
  uint64_t seed = 0;
};

/// The text after "key=" up to the next blank.
Result<std::string> field(const std::string& line, const std::string& key) {
  const std::string start = key + "=";
  std::size_t at = line.starts_with(start) ? 0 : line.find(" " + start);
  if (at == std::string::npos)
    return invalid_input("model line '" + line + "': expected a field '" + start + "'");
  at = line.find('=', at) + 1;
  return line.substr(at, line.find(' ', at) - at);
}

Result<uint64_t> number(const std::string& text, const std::string& line) {
  constexpr std::size_t kDigits = 18;  // Fits 64 bits whatever the digits are.
  if (text.empty() || text.size() > kDigits ||
      text.find_first_not_of("0123456789") != std::string::npos)
    return invalid_input("model line '" + line + "': expected a number, found '" + text + "'");
  return std::stoull(text);
}

Result<ModelLine> parse_model_line(const std::string& line) {
  ModelLine parsed;
  PACKPROOF_TRY(parsed.folder, field(line, "model"));
  PACKPROOF_TRY(const std::string seed, field(line, "seed"));
  PACKPROOF_TRY(parsed.seed, number(seed, line));
  PACKPROOF_TRY(std::string lens, field(line, "lens"));
  for (lens += ','; !lens.empty(); lens.erase(0, lens.find(',') + 1)) {
    PACKPROOF_TRY(const uint64_t length, number(lens.substr(0, lens.find(',')), line));
    parsed.lens.push_back(static_cast<int64_t>(length));
    if (length == 0 || length > (1U << 20))
      return invalid_input("model line '" + line + "': expected lengths from 1 to 2^20");
  }
  return parsed;
}

/// SplitMix64 (Steele, Lea, Flood 2014): the batch must be the same on any machine.
uint64_t next_random(uint64_t& state) {
  uint64_t z = state += 0x9e3779b97f4a7c15U;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
  return z ^ (z >> 31);
}

Tensor random_ids(int64_t count, int64_t vocabulary, uint64_t seed) {
  Tensor ids(DType::kI64, {count});
  for (int64_t i = 0; i < count; ++i)
    ids.set_int(i, static_cast<int64_t>(next_random(seed) % static_cast<uint64_t>(vocabulary)));
  return ids;
}

/// SHA-256 over the batch and every regular file of the checkpoint folder, by name.
Result<std::string> inputs_hash(const TokenBatch& batch, const fs::path& folder) {
  Sha256 hash;
  std::map<std::string, std::string> sums;
  std::error_code code;
  for (fs::directory_iterator it(folder, code), end; !code && it != end; it.increment(code)) {
    if (!it->is_regular_file(code)) continue;
    PACKPROOF_TRY(sums[it->path().filename().string()], sha256_of_file(it->path().string()));
  }
  std::string text = sha256_of({{"input_ids", batch.input_ids}});
  for (const auto& [name, sum] : sums) text += "\n" + name + " " + sum;
  hash.update(std::as_bytes(std::span(text)));
  return hash.hex_digest();
}

/// The oracle's forward bar on the 2-norm, spread evenly over the elements.
Tensor even_allowance(const Tensor& values) {
  double squares = 0.0;
  for (const double value : values.values<double>()) squares += value * value;
  const double share = kForwardBar * std::sqrt(squares / static_cast<double>(values.numel()));
  Tensor allowed(DType::kF64, values.shape());
  for (double& value : allowed.values<double>()) value = share;
  return allowed;
}

Result<double> share_of_alone(const reference::Model& model, const TokenBatch& batch,
                              const Tensor& packed, double allowed) {
  double worst = 0.0;
  for (int64_t n = 0; n < batch.packing.num_seqs(); ++n) {
    PACKPROOF_TRY(const reference::ModelOutput alone, model.forward(alone_batch(batch, n), {}));
    const int64_t begin = batch.packing.begin(n) * packed.dim(1);
    for (int64_t i = 0; i < alone.logits.numel(); ++i) {
      const double share = std::abs(packed.at(begin + i) - alone.logits.at(i)) / allowed;
      // The comparison is written so that NaN becomes the worst.
      if (!(share <= worst))
        worst = std::isnan(share) ? std::numeric_limits<double>::infinity() : share;
    }
  }
  return worst;
}

Result<GoldenRun> run_model(const std::string& line, bool judge,
                            const reference::Reference& reference, const fs::path& base) {
  PACKPROOF_TRY(const ModelLine parsed, parse_model_line(line));
  const fs::path folder = base / parsed.folder;
  PACKPROOF_TRY(const std::unique_ptr<reference::Model> model, reference.load_model(folder));
  PACKPROOF_TRY(const Packing packing, Packing::from_lengths(parsed.lens));
  const TokenBatch batch{
      packing, random_ids(packing.total_tokens(), model->config().vocab_size, parsed.seed), {}};
  GoldenRun run;
  PACKPROOF_TRY(run.inputs_sha256, inputs_hash(batch, folder));
  // No identity: the reference's last bits depend on the matrix products of the machine's BLAS, so
  // its goldens are compared within their allowance always.
  run.provenance.candidate = "packproof reference";
  run.provenance.device = "host";
  run.provenance.variant = "packed";
  PACKPROOF_TRY(const reference::ModelOutput output, model->forward(packed_batch(batch), {}));
  fixtures::GoldenOutput& logits = run.outputs["logits"];
  logits.values = output.logits.reshaped({output.logits.dim(1), output.logits.dim(2)});
  for (int64_t n = 0; n < packing.num_seqs(); ++n)
    for (int64_t t = 0; t < packing.length(n); ++t)
      logits.regions.push_back(static_cast<int32_t>(region_of_token(
          t, packing.length(n), model->config().linear_conv_kernel_dim, kChunkSize)));
  if (!judge) return run;
  logits.allowed = even_allowance(logits.values);
  PACKPROOF_TRY(logits.budget_used,
                share_of_alone(*model, batch, logits.values, logits.allowed.at(0)));
  return run;
}

}  // namespace

GoldenRunner model_runner(const reference::Reference& reference, fs::path base) {
  return [&reference, base = std::move(base)](const std::string& line, bool judge) {
    return run_model(line, judge, reference, base);
  };
}

std::string model_line(const fs::path& folder, const fs::path& base) {
  std::error_code code;
  fs::path relative = fs::relative(folder, base.empty() ? fs::path(".") : base, code);
  if (code || relative.empty()) relative = fs::absolute(folder, code);
  return "model=" + relative.generic_string() + " lens=" + kGoldenLens + " seed=1";
}

}  // namespace packproof

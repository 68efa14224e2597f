#include "harness/inspect/inspection.h"

#include <algorithm>
#include <numeric>

#include <gtest/gtest.h>

namespace packproof {
namespace {

BatchField row(std::vector<int64_t> values, const char* dtype = "int64") {
  const auto size = static_cast<int64_t>(values.size());
  return {dtype, {1, size}, std::move(values)};
}

BatchField offsets(std::vector<int64_t> values) {
  const auto size = static_cast<int64_t>(values.size());
  return {"int32", {size}, std::move(values)};
}

/// Three sequences of 3, 1 and 4 tokens as DataCollatorWithFlattening gives them by default.
Batch default_batch() {
  return {{"input_ids", row({11, 12, 13, 21, 31, 32, 33, 34})},
          {"labels", row({-100, 12, 13, -100, -100, 32, 33, 34})},
          {"position_ids", row({0, 1, 2, 0, 0, 1, 2, 3})}};
}

Batch complete_batch() {
  Batch batch = default_batch();
  batch["seq_idx"] = row({0, 0, 0, 1, 2, 2, 2, 2}, "int32");
  batch["cu_seq_lens_q"] = batch["cu_seq_lens_k"] = offsets({0, 3, 4, 8});
  batch["max_length_q"] = batch["max_length_k"] = {"int64", {}, {4}};
  return batch;
}

Inspection inspected(const Batch& batch) {
  Result<Inspection> result = inspect(batch);
  EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message);
  return std::move(*result);
}

bool mentions(const std::vector<std::string>& lines, const std::string& text) {
  return std::ranges::any_of(
      lines, [&](const std::string& line) { return line.find(text) != std::string::npos; });
}

Treatment treatment(const Inspection& inspection, const std::string& consumer, Library library) {
  for (const Consumer& row : inspection.consumers) {
    if (row.name == consumer) return row.by_library[static_cast<std::size_t>(library)];
  }
  ADD_FAILURE() << consumer;
  return Treatment::kRefuses;
}

TEST(Inspect, TheCollatorsDefaultIsUnsafe) {
  const Inspection found = inspected(default_batch());
  EXPECT_FALSE(found.safe());
  EXPECT_TRUE(mentions(found.problems, "the convolution gets no boundaries"));
  EXPECT_TRUE(mentions(found.problems, "the delta rule gets no boundaries"));
  EXPECT_TRUE(mentions(found.remedies, "return_seq_idx=True"));
  EXPECT_TRUE(mentions(found.remedies, "return_flash_attn_kwargs=True"));
  // Without metadata the torch fallback of 5.20 has nothing to refuse: it runs and leaks.
  EXPECT_EQ(treatment(found, "delta rule", Library::kFallback520), Treatment::kLeaks);
  EXPECT_EQ(treatment(found, "softmax attention, eager and sdpa", Library::kFast520),
            Treatment::kRight);
}

TEST(Inspect, CompleteMetadataAreSafeWithTheKernels) {
  const Inspection found = inspected(complete_batch());
  EXPECT_TRUE(found.safe()) << inspection_text(found);
  EXPECT_EQ(treatment(found, "causal convolution", Library::kBefore59), Treatment::kLeaks);
  EXPECT_EQ(treatment(found, "causal convolution", Library::kFast59), Treatment::kRight);
  EXPECT_EQ(treatment(found, "delta rule", Library::kFallback59), Treatment::kLeaks);
  EXPECT_EQ(treatment(found, "delta rule", Library::kFallback520), Treatment::kRefuses);
}

TEST(Inspect, EveryMissingKeyIsNamed) {
  Batch batch = complete_batch();
  batch.erase("seq_idx");
  EXPECT_TRUE(mentions(inspected(batch).problems, "the convolution gets no boundaries"));
  EXPECT_EQ(inspected(batch).problems.size(), 1u);
  batch = complete_batch();
  batch.erase("cu_seq_lens_q");
  EXPECT_TRUE(mentions(inspected(batch).problems, "the delta rule gets no boundaries"));
  batch = complete_batch();
  batch.erase("position_ids");
  EXPECT_TRUE(mentions(inspected(batch).problems, "eager and sdpa attention see no boundaries"));
}

TEST(Inspect, DisagreeingBoundariesAreNamed) {
  Batch batch = complete_batch();
  batch["seq_idx"] = row({0, 0, 0, 0, 1, 1, 1, 1}, "int32");
  EXPECT_TRUE(mentions(inspected(batch).problems, "gets other boundaries by seq_idx"));
  batch = complete_batch();
  batch["cu_seq_lens_k"] = offsets({0, 4, 8});
  EXPECT_TRUE(mentions(inspected(batch).problems, "cu_seq_lens_q and cu_seq_lens_k differ"));
  batch = complete_batch();
  batch["cu_seqlens"] = offsets({0, 4, 8});
  EXPECT_TRUE(mentions(inspected(batch).problems, "cu_seqlens and cu_seq_lens_q differ"));
  // A sequence that starts one above the end of the one before is invisible to the mask rule.
  batch = complete_batch();
  batch["position_ids"] = row({0, 1, 2, 3, 0, 1, 2, 3});
  EXPECT_TRUE(mentions(inspected(batch).problems, "see other boundaries in position_ids"));
}

TEST(Inspect, LabelsOverABoundaryAndOfEmptyFeaturesAreFound) {
  Batch batch = complete_batch();
  batch["labels"] = row({-100, 12, 13, 21, -100, 32, 33, 34});
  EXPECT_TRUE(mentions(inspected(batch).problems, "the last token of 1 sequences is trained"));
  batch["labels"] = row({-100, 12, 13, -100, -100, -100, 32, 33, 34});
  EXPECT_TRUE(mentions(inspected(batch).problems, "labels has 9 entries for 8 tokens"));
}

TEST(Inspect, WrongTypesAndLengthsAreFound) {
  Batch batch = complete_batch();
  batch["seq_idx"].dtype = "I64";
  EXPECT_TRUE(mentions(inspected(batch).problems, "causal_conv1d takes int32 only"));
  batch = complete_batch();
  batch["max_length_q"].values = {3};
  EXPECT_TRUE(mentions(inspected(batch).problems, "max_length_q is 3"));
  batch = complete_batch();
  batch["attention_mask"] = row({1, 1, 1, 1, 1, 1, 1, 1});
  EXPECT_TRUE(mentions(inspected(batch).problems, "attention_mask beside packed sequences"));
}

TEST(Inspect, PaddedBatches) {
  Batch batch{{"input_ids", {"int64", {2, 3}, {0, 1, 2, 3, 4, 5}}},
              {"attention_mask", {"int64", {2, 3}, {0, 1, 1, 1, 1, 1}}}};
  EXPECT_TRUE(inspected(batch).safe());
  batch["attention_mask"].values = {1, 1, 0, 1, 1, 1};
  EXPECT_TRUE(inspected(batch).safe());
  EXPECT_TRUE(mentions(inspected(batch).notes, "right padding"));
  batch["attention_mask"].values = {1, 0, 1, 1, 1, 1};
  EXPECT_TRUE(mentions(inspected(batch).problems, "zeros between tokens"));
}

TEST(Inspect, ABatchWithoutIdsIsRefused) {
  const Result<Inspection> result = inspect({});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().message, "expected a batch with input_ids, found none");
}

}  // namespace
}  // namespace packproof

#include "harness/core/collator.h"

#include "harness/core/packing.h"

#include <fstream>
#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace packproof {
namespace {

// Keys keep their order, which is part of the contract.
using Json = nlohmann::ordered_json;

Json oracle(const std::string& file) {
  std::ifstream stream(std::string(PACKPROOF_SOURCE_DIR) + "/fixtures/oracle/" + file);
  EXPECT_TRUE(stream.good()) << file;
  return Json::parse(stream);
}

CollatorOptions options_of(const Json& json) {
  CollatorOptions options;
  for (const auto& [name, value] : json.items()) {
    if (name == "return_position_ids") {
      options.return_position_ids = value;
    } else if (name == "separator_id") {
      options.separator_id = value;
    } else if (name == "return_flash_attn_kwargs") {
      options.return_flash_attn_kwargs = value;
    } else if (name == "return_seq_idx") {
      options.return_seq_idx = value;
    } else if (name == "position_ids_start") {
      options.position_ids_start = value;
    } else {
      ADD_FAILURE() << "the oracle has an option this test does not know: " << name;
    }
  }
  return options;
}

std::vector<CollatorFeature> features_of(const Json& json) {
  std::vector<CollatorFeature> features;
  for (const Json& item : json) {
    CollatorFeature feature;
    feature.input_ids = item.at("input_ids").get<std::vector<int64_t>>();
    if (item.contains("labels")) feature.labels = item.at("labels").get<std::vector<int64_t>>();
    features.push_back(std::move(feature));
  }
  return features;
}

Json tensor_json(const Tensor& tensor) {
  Json data = Json::array();
  for (int64_t i = 0; i < tensor.numel(); ++i) data.push_back(tensor.int_at(i));
  return {{"dtype", tensor.dtype() == DType::kI32 ? "int32" : "int64"},
          {"shape", tensor.shape()},
          {"data", data}};
}

Json number_json(int64_t value) { return {{"dtype", "python int"}, {"data", value}}; }

Json batch_json(const CollatedBatch& batch) {
  Json json;
  for (const std::string_view key : batch.keys()) {
    const std::string name(key);
    if (name == "input_ids") json[name] = tensor_json(batch.input_ids);
    if (name == "labels") json[name] = tensor_json(batch.labels);
    if (name == "position_ids") json[name] = tensor_json(*batch.position_ids);
    if (name == "seq_idx") json[name] = tensor_json(*batch.seq_idx);
    if (name == "cu_seq_lens_q") json[name] = tensor_json(*batch.cu_seq_lens_q);
    if (name == "cu_seq_lens_k") json[name] = tensor_json(*batch.cu_seq_lens_k);
    if (name == "max_length_q") json[name] = number_json(*batch.max_length_q);
    if (name == "max_length_k") json[name] = number_json(*batch.max_length_k);
  }
  return json;
}

TEST(Collator, GivesWhatTheLibraryGivesInEveryOracleCase) {
  const Json cases = oracle("collator.json");
  ASSERT_EQ(cases.size(), 70U);
  for (const Json& item : cases) {
    const Result<CollatedBatch> batch =
        collate(features_of(item.at("features")), options_of(item.at("options")));
    ASSERT_TRUE(batch.ok()) << batch.error().message;
    std::vector<std::string> keys;
    for (const std::string_view key : batch->keys()) keys.emplace_back(key);
    EXPECT_EQ(keys, item.at("keys").get<std::vector<std::string>>()) << item.at("name");
    EXPECT_EQ(batch_json(*batch).dump(), item.at("batch").dump()) << item.at("name");
  }
}

TEST(Collator, RefusesWhatTheLibraryCannotCollate) {
  EXPECT_EQ(collate({}, {}).error().message, "features: expected at least one feature, found none");
  const std::vector<CollatorFeature> mixed{{{1, 2}, std::vector<int64_t>{1, 2}},
                                           {{3}, std::nullopt}};
  EXPECT_EQ(collate(mixed, {}).error().message,
            "features[1]: expected labels, since features[0] has them, found none");
}

TEST(Collator, IgnoresLabelsThatOnlyLaterFeaturesHave) {
  const std::vector<CollatorFeature> features{{{1, 2}, std::nullopt},
                                              {{3, 4}, std::vector<int64_t>{8, 9}}};
  const CollatedBatch batch = collate(features, {}).value();
  EXPECT_EQ(batch.labels.int_at(3), 4);
}

// The two rules by which the library infers boundaries from positions (spec 4.2).
TEST(BoundaryRules, FindWhatTheLibraryFinds) {
  const Json rows = oracle("boundary_rules.json");
  ASSERT_EQ(rows.size(), 11U);
  for (const Json& row : rows) {
    const auto positions = row.at("position_ids").get<std::vector<int64_t>>();
    const Json& index = row.at("mask_rule_sequence_index");
    const std::vector<int64_t> expected =
        index.is_null() ? std::vector<int64_t>{} : index.get<std::vector<int64_t>>();
    EXPECT_EQ(mask_rule_sequence_index(positions), expected) << row.at("name");
    const std::vector<int64_t> cu_seqlens = flash_rule_cu_seqlens(positions);
    EXPECT_EQ(cu_seqlens, row.at("flash_rule_cu_seq_lens").get<std::vector<int64_t>>())
        << row.at("name");
  }
}

}  // namespace
}  // namespace packproof

#include "harness/core/op_call.h"

#include <set>
#include <string>

#include <gtest/gtest.h>

namespace packproof {
namespace {

TEST(OpSchema, NamesComeBack) {
  std::set<std::string_view> names;
  for (const Op op : all_ops()) {
    names.insert(name_of(op));
    EXPECT_EQ(op_from_name(name_of(op)), op);
  }
  EXPECT_EQ(names.size(), 13U);
  EXPECT_FALSE(op_from_name("conv").has_value());
  EXPECT_EQ(direction_from_name("bwd"), Direction::kBackward);
  EXPECT_FALSE(direction_from_name("backward").has_value());
}

TEST(OpSchema, OnlyTheUpdatesHaveNoBackward) {
  for (const Op op : all_ops()) {
    EXPECT_FALSE(schema_of(op, Direction::kForward).empty()) << name_of(op);
    const bool update = name_of(op).ends_with("_update");
    EXPECT_EQ(schema_of(op, Direction::kBackward).empty(), update) << name_of(op);
  }
}

TEST(OpSchema, AGradientHasTheRoleAndTypeOfItsTensor) {
  for (const Op op : all_ops()) {
    for (const TensorSchema& row : schema_of(op, Direction::kBackward)) {
      if (!row.name.starts_with("d_") || row.name == "dt_bias") continue;
      const std::string_view name = row.name.substr(2);
      const Direction direction = Direction::kForward;
      // A gradient that leaves belongs to an input, one that enters to an output of the forward.
      const TensorSchema* forward = find_schema(op, direction, name, !row.output);
      ASSERT_NE(forward, nullptr) << name_of(op) << " " << row.name;
      EXPECT_EQ(row.role, forward->role) << name_of(op) << " " << row.name;
      EXPECT_EQ(row.float32_only, forward->float32_only) << name_of(op) << " " << row.name;
      EXPECT_EQ(row.optional, forward->optional) << name_of(op) << " " << row.name;
    }
  }
}

TEST(OpSchema, PoolsAreReadAndWritten) {
  for (const Op op : all_ops()) {
    for (const TensorSchema& row : schema_of(op, Direction::kForward)) {
      if (row.role != TensorRole::kPool) continue;
      EXPECT_NE(find_schema(op, Direction::kForward, row.name, false), nullptr);
      EXPECT_NE(find_schema(op, Direction::kForward, row.name, true), nullptr);
    }
  }
  EXPECT_EQ(find_schema(Op::kCausalConv1dUpdate, Direction::kForward, "conv_state", true)->role,
            TensorRole::kPool);
}

TEST(OpSchema, InputsComeBeforeOutputsAndNamesAreUnique) {
  for (const Op op : all_ops()) {
    for (const Direction direction : {Direction::kForward, Direction::kBackward}) {
      bool outputs = false;
      std::set<std::pair<std::string_view, bool>> seen;
      for (const TensorSchema& row : schema_of(op, direction)) {
        EXPECT_TRUE(row.output || !outputs) << name_of(op) << " " << row.name;
        outputs = row.output;
        EXPECT_TRUE(seen.emplace(row.name, row.output).second) << name_of(op) << " " << row.name;
      }
    }
  }
}

}  // namespace
}  // namespace packproof

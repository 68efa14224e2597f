#include "reference/json_strict.h"

#include <gtest/gtest.h>

namespace packproof::reference {
namespace {

std::string refusal_of(std::string_view text) {
  const auto parsed = parse_strict_json(text, "x.json");
  return parsed.ok() ? "accepted " + parsed->dump() : parsed.error().message;
}

TEST(StrictJson, BuildsEveryKindOfValue) {
  const auto parsed =
      parse_strict_json(R"({"a": [1, -2, 3.5, true, null, "s", {"b": {}}], "c": []})", "x.json");
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(parsed->dump(), R"({"a":[1,-2,3.5,true,null,"s",{"b":{}}],"c":[]})");
}

TEST(StrictJson, RefusesAKeyThatComesTwice) {
  EXPECT_EQ(refusal_of(R"({"a": 1, "b": 2, "a": 1})"),
            "x.json: expected JSON with every key once, found the key \"a\" twice");
  EXPECT_EQ(refusal_of(R"({"o": [{"a": 1, "a": 1}]})"),
            "x.json: expected JSON with every key once, found the key \"a\" twice");
  EXPECT_EQ(refusal_of(R"({"o": {"a": 1}, "a": 2})"), R"(accepted {"a":2,"o":{"a":1}})");
}

TEST(StrictJson, RefusesEveryOtherText) {
  for (const char* text : {"", "{", "[1,]", "{\"a\":1} x", "NaN", "{\"a\":1e999}", "\"\xFF\"",
                           "{a:1}", "[1]]", "'a'"}) {
    EXPECT_EQ(refusal_of(text).find("x.json: expected JSON with every key once, found something "
                                    "else at byte "),
              0u)
        << text << ": " << refusal_of(text);
  }
}

TEST(StrictJson, BoundsNesting) {
  const auto nested = [](std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_TRUE(parse_strict_json(nested(64), "x").ok());
  EXPECT_EQ(refusal_of(nested(65)),
            "x.json: expected JSON with every key once, found values nested more than 64 deep");
  EXPECT_FALSE(parse_strict_json(std::string(1000000, '['), "x").ok());
}

TEST(StrictJson, ShortensValuesForMessages) {
  EXPECT_EQ(json_text("a"), "\"a\"");
  EXPECT_EQ(json_text(std::string(100, 'a')).size(), 63u);
}

}  // namespace
}  // namespace packproof::reference

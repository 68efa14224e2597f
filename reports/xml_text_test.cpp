#include "reports/xml_text.h"

#include "reports/utf8.h"

#include <gtest/gtest.h>

namespace packproof {
namespace {

constexpr const char* kReplacement = "\xEF\xBF\xBD";

TEST(XmlText, EscapesMarkupAndLineEnds) {
  EXPECT_EQ(xml_text("a<b>&\"'\n\r\t"), "a&lt;b&gt;&amp;&quot;&apos;&#10;&#13;&#9;");
  EXPECT_EQ(xml_text("]]>"), "]]&gt;");
}

TEST(XmlText, KeepsEveryKindOfCharacterThatXmlAllows) {
  const std::string text = "z \xC3\xA4 \xE2\x82\xAC \xF0\x9F\x98\x80 \xEF\xBF\xBD \xED\x9F\xBF";
  EXPECT_EQ(xml_text(text), text);
}

TEST(XmlText, ReplacesWhatXmlForbids) {
  EXPECT_EQ(xml_text(std::string_view("\0", 1)), kReplacement);
  EXPECT_EQ(xml_text("\x1B"), kReplacement);
  EXPECT_EQ(xml_text("\xEF\xBF\xBE"), kReplacement);  // U+FFFE
  EXPECT_EQ(xml_text("\xEF\xBF\xBF"), kReplacement);  // U+FFFF
}

TEST(XmlText, ReplacesBytesThatAreNotUtf8) {
  EXPECT_EQ(xml_text("\xFF"), kReplacement);
  EXPECT_EQ(xml_text("\xC3"), kReplacement);  // cut short
  EXPECT_EQ(xml_text("\x80"), kReplacement);  // no lead byte
  EXPECT_EQ(xml_text("\xC3("), std::string(kReplacement) + "(");
  const std::string twice = std::string(kReplacement) + kReplacement;
  EXPECT_EQ(xml_text("\xC0\xBC"), twice);                     // overlong '<'
  EXPECT_EQ(xml_text("\xED\xA0\x80"), twice + kReplacement);  // surrogate
  EXPECT_EQ(xml_text("\xF4\x90\x80\x80"), twice + twice);     // above 0x10FFFF
}

TEST(Utf8, CountsCharacters) {
  EXPECT_EQ(utf8_length(""), 0u);
  EXPECT_EQ(utf8_length("a\xC3\xA4\xE2\x94\x81\xF0\x9F\x98\x80"), 4u);
  EXPECT_EQ(utf8_length("\xFF\xFF"), 2u);
}

}  // namespace
}  // namespace packproof

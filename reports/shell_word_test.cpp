#include "reports/shell_word.h"

#include <gtest/gtest.h>

namespace packproof {
namespace {

TEST(ShellWord, QuotesWhatAShellWouldNotTakeAsItIs) {
  EXPECT_EQ(shell_word("build/my-lib_2.so"), "build/my-lib_2.so");
  EXPECT_EQ(shell_word("./my libs/bad.so"), "'./my libs/bad.so'");
  EXPECT_EQ(shell_word("it's"), "'it'\\''s'");
  EXPECT_EQ(shell_word(""), "''");
  for (const char* text :
       {"a\nb", "a\\b", "`id`", "$HOME", "a#b", "~", "[a]", "{a,b}", "a!", "\xC3\xA4"}) {
    EXPECT_EQ(shell_word(text), "'" + std::string(text) + "'");
  }
}

}  // namespace
}  // namespace packproof

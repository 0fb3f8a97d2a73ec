// What --json prints is JSON whatever the strings in it are.

#include "tools/json.hpp"

#include <gtest/gtest.h>

namespace ixcap::tools {
namespace {

TEST(Json, EscapesWhatHasToBe) {
  EXPECT_EQ(json_string(""), R"("")");
  EXPECT_EQ(json_string("enp3s0f0"), R"("enp3s0f0")");
  EXPECT_EQ(json_string("sed -i 's/\"/&x /' \\b"), R"("sed -i 's/\"/&x /' \\b")");
  EXPECT_EQ(json_string(std::string("a\0b\n\t\x1f", 6)), R"("a\u0000b\u000a\u0009\u001f")");
}

TEST(Json, KeepsUtf8AndReplacesWhatIsNone) {
  EXPECT_EQ(json_string("\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80"), "\"\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80\"");
  EXPECT_EQ(json_string("a\xFF"), R"("a\ufffd")");
  EXPECT_EQ(json_string("\xC3"), R"("\ufffd")");
  EXPECT_EQ(json_string("\xC0\x80"), R"("\ufffd\ufffd")");
  EXPECT_EQ(json_string("\xED\xA0\x80"), R"("\ufffd\ufffd\ufffd")");
  EXPECT_EQ(json_string("\xF4\x90\x80\x80"), R"("\ufffd\ufffd\ufffd\ufffd")");
}

TEST(Json, NothingIsNullWhereThatIsMeant) {
  EXPECT_EQ(json_string_or_null(""), "null");
  EXPECT_EQ(json_string_or_null("x"), R"("x")");
}

}  // namespace
}  // namespace ixcap::tools

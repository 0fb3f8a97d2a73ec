// docs/registers.md is what the register table says. After a change of the table, run this test once with
// IXCAP_WRITE_PAGES=1: it writes the page.

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include <ixcap/driver/ixgbe/registers.hpp>

#include "tests/files.hpp"

namespace ixcap::ixgbe {
namespace {

const char* name_of(Access access) {
  switch (access) {
    case Access::RW:
      return "RW";
    case Access::RO:
      return "RO";
    case Access::WO:
      return "WO";
    case Access::RC:
      return "RC";
    case Access::W1C:
      return "W1C";
    case Access::W1S:
      return "W1S";
    case Access::SC:
      return "SC";
    case Access::RS:
      return "RS";
  }
  return "";
}

std::string hex(std::uint32_t value, int digits) {
  char text[16];
  std::snprintf(text, sizeof text, "0x%0*X", digits, value);
  return text;
}

std::string address(std::uint32_t base, std::uint32_t stride, std::uint32_t count) {
  if (count == 1) return hex(base, 5);
  return hex(base, 5) + " + " + hex(stride, 2) + " n, n < " + std::to_string(count);
}

std::string address(const Register& reg) {
  if (reg.lower_count == 0) return address(reg.base, reg.stride, reg.count);
  return address(reg.base, reg.stride, reg.lower_count) + "; " + hex(reg.upper_base, 5) + " + " + hex(reg.stride, 2) +
         " (n - " + std::to_string(reg.lower_count) + "), n < " + std::to_string(reg.count);
}

std::string page() {
  std::ostringstream text;
  text << "# Registers of the 82599 that ixcap knows\n\n"
          "Generated from `driver/ixgbe/registers.inc`; offsets are in BAR0, sections are the data sheet's (Intel "
          "331520).\n"
          "Access: RW plain; RO read-only; WO reads 0; RC cleared by reading; W1C, W1S cleared or set by writing 1; SC "
          "clears itself\n"
          "when done; RS set by reading. A mask beside it says which bits behave so, the others being RW.\n\n"
          "| register | offset | access | reset | section | |\n|---|---|---|---|---|---|\n";
  for (const Register* reg : register_table) {
    text << "| " << reg->name << " | " << address(*reg) << " | " << name_of(reg->access);
    if (reg->access != Access::RW && reg->special != 0xFFFFFFFF) text << ' ' << hex(reg->special, 8);
    text << " | " << hex(reg->reset, 8) << " | " << reg->section << " | " << reg->phrase << " |\n";
  }
  text << "\n## Second addresses\n\n| register | also at |\n|---|---|\n";
  for (const RegisterAlias& alias : register_aliases) {
    text << "| " << alias.target->name << " | " << address(alias.base, alias.stride, alias.count) << " |\n";
  }
  return text.str();
}

TEST(RegisterPage, IsWhatTheTableSays) {
  const std::string path = test::source_folder() + std::string("/docs/registers.md");
  if (std::getenv("IXCAP_WRITE_PAGES") != nullptr) std::ofstream(path) << page();
  std::ostringstream stored;
  stored << std::ifstream(path).rdbuf();
  EXPECT_EQ(stored.str(), page()) << "run this test with IXCAP_WRITE_PAGES=1 and commit docs/registers.md";
}

}  // namespace
}  // namespace ixcap::ixgbe

// The register table is checked while compiling; here the check itself is checked: every kind of fault is found.

#include <gtest/gtest.h>

#include <array>

#include <ixcap/driver/ixgbe/registers.hpp>

namespace ixcap::ixgbe {
namespace {

constexpr Register at(std::string_view name, std::uint32_t base, std::uint32_t stride = 0, std::uint32_t count = 1) {
  return {name, base, stride, count, Access::RW, 0, 0, "8.2.3", "a register of this test"};
}

template <std::size_t N>
constexpr TableFault check(const std::array<Register, N>& registers, std::span<const RegisterAlias> aliases = {}) {
  std::array<const Register*, N> table{};
  for (std::size_t i = 0; i < N; ++i) table[i] = &registers[i];
  return check_table(table, aliases);
}

static_assert(check(std::array{at("A", 0x0), at("B", 0x4)}) == TableFault::none);
static_assert(check(std::array{at("A", 0x0), at("A", 0x4)}) == TableFault::duplicate_name);
static_assert(check(std::array{at("A", 0x8), at("B", 0x8)}) == TableFault::overlap);
static_assert(check(std::array{at("A", 0x0, 8, 4), at("B", 0x10)}) == TableFault::overlap);
static_assert(check(std::array{at("A", 0x0, 8, 4), at("B", 0x4, 8, 4)}) == TableFault::none, "interleaved arrays");
static_assert(check(std::array{at("A", 0x2)}) == TableFault::misaligned);
static_assert(check(std::array{at("A", 0x0, 6, 2)}) == TableFault::misaligned);
static_assert(check(std::array{at("A", register_space_bytes)}) == TableFault::outside);
static_assert(check(std::array{at("A", register_space_bytes - 4, 4, 2)}) == TableFault::outside);
static_assert(check(std::array{at("A", 0x0, 4, 0)}) == TableFault::empty);
static_assert(check(std::array{at("A", 0x0, 0, 2)}) == TableFault::empty, "two instances at one address");

constexpr Register in_banks(std::string_view name, std::uint32_t upper) {
  return {name, 0x0, 8, 4, Access::RW, 0, 0, "8.2.3", "a register of this test", 2, upper};
}
static_assert(in_banks("A", 0x100).offset(1) == 0x8);
static_assert(in_banks("A", 0x100).offset(2) == 0x100);
static_assert(check(std::array{in_banks("A", 0x100), at("B", 0x10), at("C", 0x104)}) == TableFault::none);
static_assert(check(std::array{in_banks("A", 0x100), at("B", 0x108)}) == TableFault::overlap);
static_assert(check(std::array{in_banks("A", 0x8)}) == TableFault::overlap, "the banks themselves");

constexpr Register target = at("A", 0x0, 4, 2);
static_assert(check_table({}, std::array{RegisterAlias{0x100, 4, 2, &target}}) == TableFault::none);
static_assert(check_table({}, std::array{RegisterAlias{0x100, 4, 3, &target}}) == TableFault::outside);
constexpr std::array<const Register*, 1> table_of_target{&target};
static_assert(check_table(table_of_target, std::array{RegisterAlias{0x4, 4, 2, &target}}) == TableFault::overlap);

TEST(Registers, OffsetsFollowTheDataSheet) {
  EXPECT_EQ(RDT.offset(0), 0x01018u);
  EXPECT_EQ(RDT.offset(63), 0x01018u + 63 * 0x40);
  EXPECT_EQ(RDT.offset(64), 0x0D018u);
  EXPECT_EQ(RDT.offset(127), 0x0D018u + 63 * 0x40);
  EXPECT_EQ(RAH.offset(1), 0x0A20Cu);
  EXPECT_EQ(RXDCTL.name, "RXDCTL");
}

}  // namespace
}  // namespace ixcap::ixgbe

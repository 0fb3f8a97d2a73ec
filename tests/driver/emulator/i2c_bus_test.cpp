// A driver that moves the two lines of I2CCTL by hand reads the module as it would read one in a cage.

#include <gtest/gtest.h>

#include <numeric>
#include <optional>
#include <random>
#include <vector>

#include <ixcap/driver/emulator/nic.hpp>
#include <ixcap/driver/ixgbe/register_bits.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>

namespace ixcap::emulator {
namespace {

using namespace ixgbe;

class I2cBusTest : public ::testing::Test {
 protected:
  std::uint32_t lines() { return nic.read(I2CCTL.offset()); }
  bool data_in() { return (lines() & I2CCTL_DATA_IN) != 0; }
  void set(std::uint32_t output, bool high) {
    const std::uint32_t before = lines();
    nic.write(I2CCTL.offset(), high ? before | output : before & ~output);
  }
  void set_data(bool high) {
    set(I2CCTL_DATA_OUT, high);
    EXPECT_EQ(data_in(), high) << "somebody else pulls the line";
  }
  void raise_clock() {
    set(I2CCTL_CLK_OUT, true);
    EXPECT_NE(lines() & I2CCTL_CLK_IN, 0u);
  }
  void lower_clock() { set(I2CCTL_CLK_OUT, false); }

  void start() {
    set(I2CCTL_DATA_OUT, true);
    raise_clock();
    set_data(false);
    lower_clock();
  }
  void stop() {
    set_data(false);
    raise_clock();
    set_data(true);
  }
  /// False if nobody acknowledges.
  bool send(std::uint8_t byte) {
    for (int bit = 7; bit >= 0; --bit) {
      set_data((byte >> bit & 1) != 0);
      raise_clock();
      lower_clock();
    }
    set(I2CCTL_DATA_OUT, true);
    raise_clock();
    const bool acknowledged = !data_in();
    lower_clock();
    return acknowledged;
  }
  std::uint8_t take(bool last) {
    unsigned byte = 0;
    set(I2CCTL_DATA_OUT, true);
    for (int bit = 0; bit < 8; ++bit) {
      raise_clock();
      byte = byte << 1 | (data_in() ? 1 : 0);
      lower_clock();
    }
    set_data(last);
    raise_clock();
    lower_clock();
    return static_cast<std::uint8_t>(byte);
  }
  std::optional<std::uint8_t> read(std::uint8_t device, std::uint8_t offset) {
    start();
    if (!send(device) || !send(offset)) {
      stop();
      return std::nullopt;
    }
    start();
    if (!send(static_cast<std::uint8_t>(device | 1))) return std::nullopt;
    const std::uint8_t byte = take(true);
    stop();
    return byte;
  }
  std::vector<unsigned> read_all(std::uint8_t device) {
    std::vector<unsigned> bytes;
    for (unsigned offset = 0; offset < 256; ++offset) {
      const auto byte = read(device, static_cast<std::uint8_t>(offset));
      EXPECT_TRUE(byte.has_value()) << offset;
      bytes.push_back(byte.value_or(0));
    }
    return bytes;
  }
  static unsigned sum(const std::vector<unsigned>& bytes, std::size_t first, std::size_t last) {
    return std::accumulate(bytes.begin() + static_cast<long>(first), bytes.begin() + static_cast<long>(last), 0u) &
           0xFF;
  }

  Nic nic{nullptr, {}, Drive::stepped};
};

TEST_F(I2cBusTest, IdlesWithBothLinesHigh) {
  EXPECT_EQ(lines(), 0xFu);
}

TEST_F(I2cBusTest, ReadsAPassiveCable) {
  EXPECT_EQ(read(0xA0, 0x00), 0x03) << "SFP or SFP+";
  EXPECT_EQ(read(0xA0, 0x03), 0x00);
  EXPECT_EQ(read(0xA0, 0x06), 0x00);
  EXPECT_EQ(read(0xA0, 0x08), 0x04) << "passive";
  EXPECT_EQ(read(0xA0, 0x5C), 0x00) << "no diagnostics";
  EXPECT_EQ(read(0xA0, 0x5E), 0x00);
  EXPECT_FALSE(read(0xA2, 0x00).has_value());
  const auto bytes = read_all(0xA0);
  EXPECT_EQ(bytes[63], sum(bytes, 0, 63));
  EXPECT_EQ(bytes[95], sum(bytes, 64, 95));
}

TEST_F(I2cBusTest, ReadsOpticsWithDiagnostics) {
  for (const auto& [kind, compliance] : {std::pair{SfpKind::short_range, 0x10u}, {SfpKind::long_range, 0x20u}}) {
    nic.plug(kind);
    const auto bytes = read_all(0xA0);
    EXPECT_EQ(bytes[0x03], compliance);
    EXPECT_EQ(bytes[0x08], 0u);
    EXPECT_EQ(bytes[0x25] << 16 | bytes[0x26] << 8 | bytes[0x27], 0x001B21u);
    EXPECT_EQ(bytes[63], sum(bytes, 0, 63));
    EXPECT_EQ(bytes[95], sum(bytes, 64, 95));
    EXPECT_NE(bytes[0x5E], 0u);
    const auto diagnostics = read_all(0xA2);
    EXPECT_EQ(diagnostics[95], sum(diagnostics, 0, 95));
    EXPECT_EQ(diagnostics[96], 35u) << "degrees";
  }
}

TEST_F(I2cBusTest, ReadsManyBytesInOneTransferAndWraps) {
  start();
  ASSERT_TRUE(send(0xA0));
  ASSERT_TRUE(send(0xFF));
  start();
  ASSERT_TRUE(send(0xA1));
  EXPECT_EQ(take(false), 0x00);
  EXPECT_EQ(take(false), 0x03) << "offset 0 again";
  EXPECT_EQ(take(true), 0x04);
  stop();
}

TEST_F(I2cBusTest, WritesChangeNothing) {
  start();
  EXPECT_TRUE(send(0xA0));
  EXPECT_TRUE(send(0x00));
  EXPECT_TRUE(send(0x55));
  stop();
  EXPECT_EQ(read(0xA0, 0x00), 0x03);
}

TEST_F(I2cBusTest, NobodyAnswersAtOtherAddressesOrFromAnEmptyCage) {
  EXPECT_FALSE(read(0x50, 0).has_value());
  EXPECT_TRUE(read(0xA0, 0).has_value()) << "and the bus still works";
  nic.plug(SfpKind::none);
  EXPECT_FALSE(read(0xA0, 0).has_value());
  EXPECT_EQ(nic.read(ESDP.offset()) & ESDP_SDP2, 0u);
  nic.plug(SfpKind::passive_copper);
  EXPECT_TRUE(read(0xA0, 0).has_value());
  EXPECT_NE(nic.read(ESDP.offset()) & ESDP_SDP2, 0u);
}

TEST_F(I2cBusTest, RecoversFromGarbage) {
  std::mt19937 random(1);
  for (int round = 0; round < 100; ++round) {
    for (int i = 0; i < 500; ++i) nic.write(I2CCTL.offset(), static_cast<std::uint32_t>(random()));
    // Nine clocks with the data line free, then START and STOP: what a driver does with a stuck bus.
    set(I2CCTL_CLK_OUT, false);
    set(I2CCTL_DATA_OUT, true);
    for (int i = 0; i < 9; ++i) {
      raise_clock();
      lower_clock();
    }
    start();
    stop();
    ASSERT_EQ(read(0xA0, 0x08), 0x04);
  }
}

}  // namespace
}  // namespace ixcap::emulator

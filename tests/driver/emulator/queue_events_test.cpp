// The data path tells who makes interrupts about every queue that it has written back, once a pass, and about no other.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <utility>
#include <vector>

#include <ixcap/driver/emulator/receive_path.hpp>
#include <ixcap/driver/emulator/transmit_path.hpp>
#include <ixcap/driver/ixgbe/register_bits.hpp>

#include "tests/driver/emulator/rings.hpp"

namespace ixcap::emulator {
namespace {

using ixgbe::TransmitDescriptor;
using testing::ElementsAre;
using testing::IsEmpty;

class Recorder final : public QueueEvents {
 public:
  void raise_rx(std::uint32_t queue) noexcept override { received.push_back(queue); }
  void raise_tx(std::uint32_t queue) noexcept override { sent.push_back(queue); }

  std::vector<std::uint32_t> received;
  std::vector<std::uint32_t> sent;
};

class QueueEventsTest : public testing::Test {
 protected:
  static constexpr std::uint32_t queue = 70;
  static constexpr std::size_t buffer_offset = 2048;

  QueueEventsTest() : io_address_(dma_.map(memory_.data(), memory_.size())) {}

  void set_wide(const ixgbe::Register& low, const ixgbe::Register& high, std::uint64_t value) {
    registers_.set(low, static_cast<std::uint32_t>(value), queue);
    registers_.set(high, static_cast<std::uint32_t>(value >> 32), queue);
  }

  alignas(128) std::array<std::uint8_t, 8192> memory_{};
  RegisterFile registers_;
  DmaMap dma_;
  std::uint64_t io_address_;
  Recorder recorder_;
};

TEST_F(QueueEventsTest, TellOfDescriptorsThatWereSentAndAskForIt) {
  TransmitPath path(registers_, dma_, &recorder_);
  test::ListWire wire;
  auto* const ring = reinterpret_cast<TransmitDescriptor*>(memory_.data());
  constexpr std::uint32_t silent = TransmitDescriptor::EOP | TransmitDescriptor::IFCS | 60;
  for (std::uint32_t i = 0; i < 3; ++i) ring[i] = {io_address_ + buffer_offset, silent, 0};
  ring[1].command |= TransmitDescriptor::RS;
  ring[2].command |= TransmitDescriptor::RS;
  set_wide(ixgbe::TDBAL, ixgbe::TDBAH, io_address_);
  registers_.set(ixgbe::TDLEN, 128, queue);
  registers_.set(ixgbe::DMATXCTL, ixgbe::DMATXCTL_TE);
  path.set_queue_enabled(queue, true);
  registers_.set(ixgbe::TDT, 1, queue);
  EXPECT_EQ(path.run(&wire), 1u);
  EXPECT_THAT(recorder_.sent, IsEmpty()) << "RS is off";
  registers_.set(ixgbe::TDT, 3, queue);
  EXPECT_EQ(path.run(&wire), 2u);
  EXPECT_EQ(path.run(&wire), 0u);
  EXPECT_THAT(recorder_.sent, ElementsAre(queue));
}

TEST_F(QueueEventsTest, TellOfDescriptorsThatWereFilled) {
  ReceivePath path(registers_, dma_, &recorder_);
  auto* const ring = reinterpret_cast<ixgbe::ReceiveDescriptor*>(memory_.data());
  for (std::uint32_t i = 0; i < 8; ++i) ring[i].arm(io_address_ + buffer_offset);
  set_wide(ixgbe::RDBAL, ixgbe::RDBAH, io_address_);
  registers_.set(ixgbe::RDLEN, 128, queue);
  registers_.set(ixgbe::SRRCTL, ixgbe::SRRCTL_DESCTYPE_ADVANCED_ONE_BUFFER | ixgbe::SRRCTL_DROP_EN | 2, queue);
  registers_.set(ixgbe::FCTRL, ixgbe::FCTRL_UPE);
  registers_.set(ixgbe::RXCTRL, ixgbe::RXCTRL_RXEN);
  registers_.set(ixgbe::ETQF, ixgbe::ETQF_EN | 0x0202);
  registers_.set(ixgbe::ETQS, ixgbe::ETQS_QEN | queue << ixgbe::ETQS_QUEUE_SHIFT);
  path.set_queue_enabled(queue, true);
  registers_.set(ixgbe::RDT, 7, queue);
  path.refresh();
  const std::vector<std::uint8_t> frame(60, 2);
  for (int i = 0; i < 3; ++i) path.receive({frame.data(), 60, 60});
  EXPECT_THAT(recorder_.received, IsEmpty()) << "the driver does not see them yet";
  path.write_back();
  path.write_back();
  EXPECT_THAT(recorder_.received, ElementsAre(queue));
  EXPECT_TRUE(ring[2].load_status().done());
}

}  // namespace
}  // namespace ixcap::emulator

#pragma once

/// A driver made by hand for tests of the software NIC's data path: rings and buffers in DMA memory, every descriptor
/// written by the test.

#include <cstring>
#include <deque>
#include <span>
#include <vector>

#include <ixcap/driver/emulator/nic.hpp>
#include <ixcap/driver/ixgbe/descriptors.hpp>
#include <ixcap/driver/ixgbe/register_bits.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>
#include <ixcap/driver/pci/device.hpp>

namespace ixcap::test {

using Packet = std::vector<std::uint8_t>;

/// A wire's other end that keeps what was sent, and sends what the test gives it.
class ListWire final : public emulator::Wire {
 public:
  void send(std::span<const std::uint8_t> frame) noexcept override { sent.emplace_back(frame.begin(), frame.end()); }
  std::span<const std::uint8_t> receive() noexcept override {
    if (coming.empty()) return {};
    current_ = std::move(coming.front());
    coming.pop_front();
    return current_;
  }

  std::vector<Packet> sent;
  std::deque<Packet> coming;

 private:
  Packet current_;
};

/// Everything that a link, DMA and both directions need, but for the queues.
inline void bring_up(emulator::Nic& nic) {
  nic.enable_bus_master(true);
  nic.write(ixgbe::FCTRL.offset(), ixgbe::FCTRL_UPE | ixgbe::FCTRL_MPE | ixgbe::FCTRL_BAM);
  nic.write(ixgbe::DMATXCTL.offset(), nic.read(ixgbe::DMATXCTL.offset()) | ixgbe::DMATXCTL_TE);
  nic.write(ixgbe::RXCTRL.offset(), ixgbe::RXCTRL_RXEN);
}

class TransmitRing {
 public:
  using Descriptor = ixgbe::TransmitDescriptor;
  static constexpr std::uint32_t size = 64;
  static constexpr std::uint32_t buffer_bytes = 1u << 16;
  static constexpr std::uint32_t whole = Descriptor::EOP | Descriptor::IFCS | Descriptor::RS;
  static constexpr std::uint32_t advanced = Descriptor::DEXT | Descriptor::DTYP_data;

  explicit TransmitRing(emulator::Nic& nic, std::uint32_t queue = 0)
      : nic_(nic), queue_(queue), memory_(nic, buffers + std::size_t{size} * buffer_bytes) {
    nic.write(ixgbe::TDBAL.offset(queue), static_cast<std::uint32_t>(memory_.io_address()));
    nic.write(ixgbe::TDBAH.offset(queue), static_cast<std::uint32_t>(memory_.io_address() >> 32));
    nic.write(ixgbe::TDLEN.offset(queue), size * sizeof(Descriptor));
    nic.write(ixgbe::TDH.offset(queue), 0);
    nic.write(ixgbe::TDT.offset(queue), 0);
    nic.write(ixgbe::TXDCTL.offset(queue), ixgbe::TXDCTL_ENABLE);
  }

  /// The memory that the head is written back to, where the test asks for that.
  static constexpr std::size_t head_offset = 2048;
  static constexpr std::size_t buffers = 4096;

  Descriptor& operator[](std::uint32_t slot) { return reinterpret_cast<Descriptor*>(memory_.data())[slot % size]; }
  const pci::DmaMemory& memory() const { return memory_; }
  std::uint32_t tail() const { return tail_; }

  /// Writes a descriptor at the tail whose buffer holds `bytes`.
  void add(std::span<const std::uint8_t> bytes, std::uint32_t command, std::uint32_t status = 0) {
    const std::size_t offset = buffers + std::size_t{tail_} * buffer_bytes;
    if (!bytes.empty()) std::memcpy(memory_.data() + offset, bytes.data(), bytes.size());
    put({memory_.io_address() + offset, command | static_cast<std::uint32_t>(bytes.size()), status});
  }

  /// Writes a context descriptor at the tail. The context's lengths are the packet's.
  void add_context(const emulator::TransmitContext& context, std::uint32_t index = 0) {
    put({context.ip_length | context.mac_length << 9 | std::uint64_t{context.vlan} << 16,
         Descriptor::DEXT | Descriptor::DTYP_context | (context.ipv4 ? 1u << 10 : 0) |
             static_cast<std::uint32_t>(context.l4) << 11,
         index << Descriptor::IDX_shift | context.l4_length << 8 | context.mss << 16});
  }

  void put(const Descriptor& descriptor) {
    (*this)[tail_] = descriptor;
    tail_ = (tail_ + 1) % size;
  }

  void ring_doorbell() { nic_.doorbell(ixgbe::TDT.offset(queue_)).ring(tail_); }

 private:
  emulator::Nic& nic_;
  std::uint32_t queue_;
  pci::DmaMemory memory_;
  std::uint32_t tail_ = 0;
};

class ReceiveRing {
 public:
  static constexpr std::uint32_t size = 64;
  static constexpr std::uint32_t buffer_bytes = 2048;

  explicit ReceiveRing(emulator::Nic& nic, std::uint32_t queue = 0,
                       std::uint32_t type = ixgbe::SRRCTL_DESCTYPE_ADVANCED_ONE_BUFFER, std::uint32_t rxdctl = 0)
      : memory_(nic, 2 * std::size_t{size} * buffer_bytes + 4096) {
    for (std::uint32_t slot = 0; slot < size; ++slot) arm(slot);
    nic.write(ixgbe::RDBAL.offset(queue), static_cast<std::uint32_t>(memory_.io_address()));
    nic.write(ixgbe::RDBAH.offset(queue), static_cast<std::uint32_t>(memory_.io_address() >> 32));
    nic.write(ixgbe::RDLEN.offset(queue), size * sizeof(ixgbe::ReceiveDescriptor));
    constexpr std::uint32_t header_units = 4;  // 256 bytes
    nic.write(ixgbe::SRRCTL.offset(queue),
              type | ixgbe::SRRCTL_DROP_EN | header_units << ixgbe::SRRCTL_BSIZEHEADER_SHIFT | buffer_bytes / 1024);
    nic.write(ixgbe::RXDCTL.offset(queue), ixgbe::RXDCTL_ENABLE | rxdctl);
    nic.doorbell(ixgbe::RDT.offset(queue)).ring(size - 1);
  }

  ixgbe::ReceiveDescriptor& operator[](std::uint32_t slot) {
    return reinterpret_cast<ixgbe::ReceiveDescriptor*>(memory_.data())[slot];
  }
  bool done(std::uint32_t slot) { return (*this)[slot].load_status().done(); }
  std::uint32_t status(std::uint32_t slot) { return static_cast<std::uint32_t>((*this)[slot].status); }
  std::uint32_t length(std::uint32_t slot) { return (*this)[slot].load_status().length(); }
  std::uint32_t vlan(std::uint32_t slot) { return static_cast<std::uint32_t>((*this)[slot].status >> 48); }
  /// dw0 and dw1 as the hardware wrote them back.
  std::uint32_t info(std::uint32_t slot) { return static_cast<std::uint32_t>((*this)[slot].address); }
  std::uint32_t hash(std::uint32_t slot) { return static_cast<std::uint32_t>((*this)[slot].address >> 32); }

  const std::uint8_t* buffer(std::uint32_t slot) const { return memory_.data() + 4096 + slot * buffer_bytes; }
  const std::uint8_t* header(std::uint32_t slot) const { return buffer(size + slot); }
  Packet bytes(std::uint32_t slot) { return {buffer(slot), buffer(slot) + length(slot)}; }

  /// Descriptors written back so far, from slot 0 on.
  std::uint32_t filled() {
    std::uint32_t count = 0;
    while (count < size && done(count)) ++count;
    return count;
  }

  void arm(std::uint32_t slot) {
    (*this)[slot].address = memory_.io_address() + 4096 + slot * buffer_bytes;
    (*this)[slot].status = memory_.io_address() + 4096 + (size + slot) * buffer_bytes;
  }

 private:
  pci::DmaMemory memory_;
};

}  // namespace ixcap::test

// Rings and buffers in host pages that are no neighbours, as a host behind an IOMMU of its own has them: every frame
// arrives as in memory of one piece, a page that is not mapped costs the frames that needed it and no others, and what
// is unmapped under a running queue is touched no more.

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>
#include <random>

#include <ixcap/driver/emulator/packet_builder.hpp>
#include <ixcap/driver/ixgbe/port.hpp>

#include "tests/driver/emulator/rings.hpp"

namespace ixcap::emulator {
namespace {

using ixgbe::ReceiveDescriptor;
using ixgbe::TransmitDescriptor;
using test::ListWire;
using test::Packet;

constexpr std::uint64_t page_bytes = 4096;

/// Pages side by side in the I/O address space, anywhere but side by side in memory, and mapped one by one.
class ScatteredPages {
 public:
  static constexpr std::uint64_t io_address = 0x40000000;

  ScatteredPages(Nic& nic, std::size_t pages) : nic_(nic), memory_(2 * pages * page_bytes), places_(pages) {
    std::iota(places_.begin(), places_.end(), std::size_t{0});
    std::shuffle(places_.begin(), places_.end(), std::mt19937(1));  // NOLINT(cert-msc51-cpp)
    for (std::size_t page = 0; page < pages; ++page) map(page);
  }
  ~ScatteredPages() {
    for (std::size_t page = 0; page < places_.size(); ++page) unmap(page);
  }
  ScatteredPages(const ScatteredPages&) = delete;
  ScatteredPages& operator=(const ScatteredPages&) = delete;

  void map(std::size_t page) { nic_.add_dma_range(io(page), page_bytes, host(page), true, true); }
  void unmap(std::size_t page) { nic_.remove_dma_range(io(page), page_bytes); }
  static std::uint64_t io(std::size_t page) { return io_address + page * page_bytes; }

  std::uint8_t& at(std::uint64_t offset) { return host(offset / page_bytes)[offset % page_bytes]; }
  template <typename T>
  T& as(std::uint64_t offset) {
    return reinterpret_cast<T&>(at(offset));
  }
  Packet bytes(std::uint64_t offset, std::size_t length) {
    Packet bytes(length);
    for (std::size_t i = 0; i < length; ++i) bytes[i] = at(offset + i);
    return bytes;
  }
  void put(std::uint64_t offset, const Packet& bytes) {
    for (std::size_t i = 0; i < bytes.size(); ++i) at(offset + i) = bytes[i];
  }

 private:
  /// Every other page is never mapped.
  std::uint8_t* host(std::size_t page) { return memory_.data() + 2 * places_[page] * page_bytes; }

  Nic& nic_;
  std::vector<std::uint8_t> memory_;
  std::vector<std::size_t> places_;
};

/// A ring of three pages that begins within the first, and as many buffers of 2 KiB, each on two pages.
class ScatteredRing : public testing::Test {
 protected:
  static constexpr std::uint32_t size = 512;
  static constexpr std::uint64_t ring_offset = 2048;  // descriptors 0 to 127, 128 to 383, 384 to 511 on a page each
  static constexpr std::uint64_t buffer_bytes = 2048;
  static constexpr std::uint64_t buffers = 3 * page_bytes + 1000;
  static constexpr std::uint64_t buffer_stride = page_bytes / 2 + 1024;
  static constexpr std::uint64_t headers = buffers + size * buffer_stride + 4096 - 20;
  static constexpr std::size_t pages = (headers + 2 * page_bytes) / page_bytes + 1;

  ScatteredRing() {
    test::bring_up(nic_);
    nic_.connect(&wire_);
  }

  void start_receiving(std::uint32_t type = ixgbe::SRRCTL_DESCTYPE_ADVANCED_ONE_BUFFER) {
    for (std::uint32_t slot = 0; slot < size; ++slot) {
      descriptor(slot) = {ScatteredPages::io_address + buffers + slot * buffer_stride,
                          ScatteredPages::io_address + headers};
    }
    set_ring(ixgbe::RDBAL, ixgbe::RDBAH, ixgbe::RDLEN);
    nic_.write(ixgbe::SRRCTL.offset(),
               type | ixgbe::SRRCTL_DROP_EN | 4 << ixgbe::SRRCTL_BSIZEHEADER_SHIFT | buffer_bytes / 1024);
    nic_.write(ixgbe::RXDCTL.offset(), ixgbe::RXDCTL_ENABLE);
    nic_.doorbell(ixgbe::RDT.offset()).ring(size - 1);
  }
  void start_sending() {
    set_ring(ixgbe::TDBAL, ixgbe::TDBAH, ixgbe::TDLEN);
    nic_.write(ixgbe::TXDCTL.offset(), ixgbe::TXDCTL_ENABLE);
  }
  void set_ring(const ixgbe::Register& low, const ixgbe::Register& high, const ixgbe::Register& length) {
    nic_.write(low.offset(), static_cast<std::uint32_t>(ScatteredPages::io_address + ring_offset));
    nic_.write(high.offset(), 0);
    nic_.write(length.offset(), size * 16);
  }

  ReceiveDescriptor& descriptor(std::uint32_t slot) { return memory_.as<ReceiveDescriptor>(ring_offset + slot * 16); }
  TransmitDescriptor& transmit_descriptor(std::uint32_t slot) {
    return memory_.as<TransmitDescriptor>(ring_offset + slot * 16);
  }
  Packet buffer(std::uint32_t slot) {
    return memory_.bytes(buffers + slot * buffer_stride, descriptor(slot).load_status().length());
  }
  bool done(std::uint32_t slot) { return descriptor(slot).load_status().done(); }

  void receive(const Packet& frame) {
    wire_.coming.push_back(frame);
    nic_.step(1);
    const WireCounts counts = nic_.counts();
    EXPECT_EQ(counts.frames, counts.delivered + counts.dma_faults + counts.no_descriptor);
  }

  static Packet frame_of(std::uint32_t number, std::size_t length = 1500) {
    Packet frame(length);
    for (std::size_t i = 0; i < length; ++i) frame[i] = static_cast<std::uint8_t>(i * 3 + number * 7);
    frame[0] = 2;
    return frame;
  }

  ListWire wire_;
  Nic nic_{nullptr, {}, Drive::stepped};
  ScatteredPages memory_{nic_, pages};
};

TEST_F(ScatteredRing, ReceivesIntoBuffersOnTwoPages) {
  start_receiving();
  for (std::uint32_t number = 0; number < size - 1; ++number) receive(frame_of(number));
  EXPECT_EQ(nic_.counts().delivered, size - 1);
  for (std::uint32_t slot = 0; slot < size - 1; ++slot) ASSERT_EQ(buffer(slot), frame_of(slot)) << slot;
}

TEST_F(ScatteredRing, SplitsHeadersIntoBuffersOnTwoPages) {
  nic_.write(ixgbe::RXCSUM.offset(), ixgbe::RXCSUM_PCSD);
  nic_.write(ixgbe::PSRTYPE.offset(), ixgbe::PSRTYPE_UDP);
  start_receiving(ixgbe::SRRCTL_DESCTYPE_SPLIT);
  PacketBuilder builder(14 + 28 + 1000);
  builder.ethernet({2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}).ethertype(0x0800);
  builder.ipv4({0x0A000001, 0x0A000002, protocol_udp}, udp_header + 1000).udp(1, 2, Bytes(1000, 9));
  const Packet frame = builder.take();
  receive(frame);
  ASSERT_TRUE(done(0));
  EXPECT_EQ(memory_.bytes(headers, 42), Packet(frame.begin(), frame.begin() + 42));
  EXPECT_EQ(buffer(0), Packet(frame.begin() + 42, frame.end()));
}

TEST_F(ScatteredRing, AHoleInTheRingCostsTheFramesThatComeThereOnly) {
  start_receiving();
  memory_.unmap(1);
  for (std::uint32_t number = 0; number < 128; ++number) receive(frame_of(number));
  EXPECT_EQ(nic_.counts().delivered, 128u);
  EXPECT_TRUE(done(127));
  for (std::uint32_t number = 0; number < 5; ++number) receive(frame_of(number));
  EXPECT_EQ(nic_.counts().dma_faults, 5u);
  EXPECT_EQ(nic_.counts().delivered, 128u);
  memory_.map(1);
  for (std::uint32_t number = 128; number < size - 1; ++number) receive(frame_of(number));
  EXPECT_EQ(nic_.counts().dma_faults, 5u);
  for (std::uint32_t slot = 0; slot < size - 1; ++slot) ASSERT_EQ(buffer(slot), frame_of(slot)) << "no gap: " << slot;
}

TEST_F(ScatteredRing, ABufferThatIsHalfMappedIsAFault) {
  start_receiving();
  const std::size_t second_page = (buffers + page_bytes) / page_bytes;
  memory_.unmap(second_page);
  receive(frame_of(0, 60));
  receive(frame_of(1, 60));
  EXPECT_EQ(nic_.counts().delivered, 1u);
  receive(frame_of(1, 1500));
  EXPECT_EQ(nic_.counts().dma_faults, 2u);
  memory_.map(second_page);
  receive(frame_of(1, 1500));
  EXPECT_EQ(nic_.counts().delivered, 2u);
  EXPECT_EQ(buffer(1), frame_of(1, 1500));
}

TEST_F(ScatteredRing, SendsFromBuffersOnTwoPages) {
  start_sending();
  for (std::uint32_t slot = 0; slot < size - 1; ++slot) {
    const std::uint64_t place = buffers + slot * buffer_stride;
    memory_.put(place, frame_of(slot));
    transmit_descriptor(slot) = {ScatteredPages::io_address + place,
                                 test::TransmitRing::advanced | test::TransmitRing::whole | 1500, 0};
  }
  nic_.doorbell(ixgbe::TDT.offset()).ring(size - 1);
  while (nic_.read(ixgbe::TDH.offset()) != size - 1) nic_.step(0);
  ASSERT_EQ(wire_.sent.size(), size - 1);
  for (std::uint32_t slot = 0; slot < size - 1; ++slot) {
    ASSERT_EQ(wire_.sent[slot], frame_of(slot)) << slot;
    ASSERT_TRUE(transmit_descriptor(slot).done()) << slot;
  }
}

TEST_F(ScatteredRing, SendingWaitsAtAHoleInTheRing) {
  start_sending();
  const auto put = [this](std::uint32_t slot) {
    const std::uint64_t place = buffers + slot * buffer_stride;
    memory_.put(place, frame_of(slot, 60));
    transmit_descriptor(slot) = {ScatteredPages::io_address + place,
                                 test::TransmitRing::advanced | test::TransmitRing::whole | 60, 0};
  };
  for (std::uint32_t slot = 0; slot < 400; ++slot) put(slot);
  memory_.unmap(1);
  nic_.doorbell(ixgbe::TDT.offset()).ring(400);
  for (int pass = 0; pass < 20; ++pass) nic_.step(0);
  EXPECT_EQ(wire_.sent.size(), 128u);
  EXPECT_EQ(nic_.transmit_counts().descriptor_faults, 1u) << "nothing is tried again before something has changed";
  EXPECT_EQ(nic_.transmit_counts().packets, 128u) << "what waits is not lost";
  memory_.map(1);
  for (int pass = 0; pass < 20; ++pass) nic_.step(0);
  ASSERT_EQ(wire_.sent.size(), 400u);
  for (std::uint32_t slot = 0; slot < 400; ++slot) ASSERT_EQ(wire_.sent[slot], frame_of(slot, 60)) << slot;
  EXPECT_EQ(nic_.transmit_counts().sent, 400u);
}

/// The software NIC behind an IOMMU that maps page by page: it sees the pages of the driver's memory elsewhere, each
/// apart from its neighbours. Pages can be taken away; then nobody can touch them where the NIC saw them.
class ScatteringDevice final : public pci::Device {
 public:
  explicit ScatteringDevice(Nic& nic) : nic_(nic) {}
  ~ScatteringDevice() override {
    for (const auto& [address, view] : views_) ::munmap(view.memory, page_bytes);
  }

  const pci::Identity& identity() const noexcept override { return nic_.identity(); }
  std::uint32_t read(std::uint32_t offset) noexcept override { return nic_.read(offset); }
  void write(std::uint32_t offset, std::uint32_t value) noexcept override { nic_.write(offset, value); }
  pci::Doorbell doorbell(std::uint32_t offset) override { return nic_.doorbell(offset); }
  void enable_bus_master(bool enable) override { nic_.enable_bus_master(enable); }
  std::uint64_t map_dma(const pci::Pages& pages) override {
    const std::uint64_t start = next_;
    next_ += pages.size() + (std::uint64_t{1} << 30);
    // A huge page can only be seen whole.
    const std::size_t step = pages.page_bytes();
    for (std::size_t offset = 0; offset < pages.size(); offset += step) {
      const std::size_t opposite = pages.size() - step - offset;  // neighbours lie the other way round
      void* const seen =
          ::mmap(nullptr, step, PROT_READ | PROT_WRITE, MAP_SHARED, pages.memfd(), static_cast<off_t>(opposite));
      EXPECT_NE(seen, MAP_FAILED);
      const View view{static_cast<std::uint8_t*>(seen), step};
      views_.emplace(start + opposite, view);
      EXPECT_TRUE(nic_.add_dma_range(start + opposite, step, view.memory, true, true));
    }
    return start;
  }
  void unmap_dma(std::uint64_t io_address, const pci::Pages& pages) noexcept override {
    for (const auto& [address, view] : views_) {
      const bool inside = address >= io_address && address - io_address < pages.size();
      if (inside) nic_.remove_dma_range(address, view.bytes);
    }
  }

  std::size_t pages() const { return views_.size(); }
  void take_away(std::size_t number) {
    const auto& [address, view] = *std::next(views_.begin(), static_cast<std::ptrdiff_t>(number));
    ASSERT_TRUE(nic_.remove_dma_range(address, view.bytes));
    ASSERT_EQ(::mprotect(view.memory, view.bytes, PROT_NONE), 0);
  }
  void give_back(std::size_t number) {
    const auto& [address, view] = *std::next(views_.begin(), static_cast<std::ptrdiff_t>(number));
    ASSERT_EQ(::mprotect(view.memory, view.bytes, PROT_READ | PROT_WRITE), 0);
    ASSERT_TRUE(nic_.add_dma_range(address, view.bytes, view.memory, true, true));
  }

 private:
  struct View {
    std::uint8_t* memory;
    std::size_t bytes;
  };

  Nic& nic_;
  std::map<std::uint64_t, View> views_;
  std::uint64_t next_ = std::uint64_t{1} << 32;
};

TEST(ScatteredMemory, CarriesOurDriver) {
  constexpr std::size_t frames = 20'000;
  const TrafficSpec spec = parse_traffic("mix?count=20000&seed=5");
  const std::unique_ptr<Traffic> expected = open_traffic(spec);
  Nic nic(open_traffic(spec), {}, Drive::stepped);
  ScatteringDevice device(nic);
  ixgbe::Port port(device, {ixgbe::fewest_descriptors * 16});
  port.start_receiving();
  std::size_t received = 0;
  Frame lent[batch_size];
  while (nic.step(batch_size) != 0 || received < frames) {
    const std::size_t count = port.queue().poll(lent);
    if (count == 0) break;
    for (std::size_t i = 0; i < count; ++i, ++received) {
      const WireFrame* const sent = expected->next();
      ASSERT_NE(sent, nullptr);
      ASSERT_EQ(lent[i].captured_length, sent->wire_length);
      ASSERT_TRUE(std::equal(sent->bytes, sent->bytes + sent->wire_length, lent[i].data)) << "frame " << received;
    }
    port.queue().release();
  }
  EXPECT_EQ(received, frames);
  EXPECT_EQ(nic.counts().dma_faults, 0u);
}

TEST(ScatteredMemory, LosesPagesUnderARunningQueue) {
  const TrafficSpec spec = parse_traffic("mix?seed=6");
  Nic nic(open_traffic(spec), spec.rate, Drive::threaded);
  ScatteringDevice device(nic);
  ixgbe::Port port(device, {ixgbe::fewest_descriptors * 8});
  port.start_receiving();
  Frame lent[batch_size];
  std::uint64_t received = 0;
  const auto poll = [&] {
    received += port.queue().poll(lent);
    port.queue().release();
  };
  for (std::size_t page = 0; page < device.pages(); page += 29) {
    device.take_away(page);
    const std::uint64_t faults = nic.counts().dma_faults;
    while (nic.counts().dma_faults == faults) poll();
    device.give_back(page);
    for (const std::uint64_t enough = received + 2000; received < enough;) poll();
  }
  port.stop_receiving();
  while (const std::size_t count = port.queue().poll(lent)) {
    received += count;
    port.queue().release();
  }
  const WireCounts counts = nic.counts();
  EXPECT_EQ(received, counts.delivered) << "no descriptor was skipped or written twice";
  EXPECT_EQ(counts.frames, counts.delivered + counts.dma_faults + counts.waiting);
}

}  // namespace
}  // namespace ixcap::emulator

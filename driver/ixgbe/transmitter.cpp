#include <ixcap/driver/error.hpp>
#include <ixcap/driver/ixgbe/link.hpp>
#include <ixcap/driver/ixgbe/register_bits.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>
#include <ixcap/driver/ixgbe/reset.hpp>
#include <ixcap/driver/ixgbe/transmitter.hpp>
#include <ixcap/driver/ixgbe/wait.hpp>

namespace ixcap::ixgbe {
namespace {

constexpr std::uint32_t packet_buffer_bytes = 160 * 1024;  // all of it: one traffic class
/// KiB of the packet buffer above which no more is fetched: the longest frame always fits beside it.
constexpr std::uint32_t packet_buffer_threshold = 160 - 16;
static_assert(longest_frame < 16 * 1024);
constexpr std::uint32_t most_read_requests = 0xFFF;

/// What all queues share (data sheet 4.6.8), in its order. MTQC and the packet buffer may change only while the
/// descriptor arbiter is off.
void program_transmit_path(pci::Device& device) {
  set_bits(device, HLREG0, HLREG0_TXCRCEN | HLREG0_TXPADEN);
  set_bits(device, RTTDCS, RTTDCS_ARBDIS);
  device.write(DTXMXSZRQ.offset(), most_read_requests);
  device.write(TXPBSIZE.offset(0), packet_buffer_bytes);
  for (std::uint32_t i = 1; i < TXPBSIZE.count; ++i) device.write(TXPBSIZE.offset(i), 0);
  device.write(TXPBTHRESH.offset(0), packet_buffer_threshold);
  for (std::uint32_t i = 1; i < TXPBTHRESH.count; ++i) device.write(TXPBTHRESH.offset(i), 0);
  device.write(MTQC.offset(), 0);  // 64 queues, no pools, no traffic classes
  clear_bits(device, RTTDCS, RTTDCS_ARBDIS);
  set_bits(device, DMATXCTL, DMATXCTL_TE);
}

}  // namespace

Transmitter::Transmitter(pci::Device& device, std::uint32_t descriptors)
    : device_(device), queue_(device, 0, descriptors) {
  program_transmit_path(device);
  update_statistics();  // what the registers held before is not ours
  statistics_ = {};
  try {
    queue_.enable();
  } catch (const Error&) {
    stop();
    throw;
  }
}

Transmitter::~Transmitter() {
  stop();
}

void Transmitter::stop() noexcept {
  try {
    queue_.disable();
  } catch (const Error&) {
    // A queue that will not stop: this keeps the card off the memory all the same, and ends receiving, too.
    disable_master(device_);
  }
  clear_bits(device_, DMATXCTL, DMATXCTL_TE);
}

void Transmitter::update_statistics() noexcept {
  const std::uint32_t packets = device_.read(GPTC.offset());
  const std::uint64_t low = device_.read(GOTCL.offset());
  const std::uint64_t high = device_.read(GOTCH.offset()) & 0xF;  // reading it clears both
  // A device that is gone reads as all ones, which are no counts.
  if (device_.read(STATUS.offset()) == 0xFFFFFFFF) return;
  statistics_.good_packets += packets;
  statistics_.good_bytes += low | high << 32;
}

bool Transmitter::hangs(HangDetector::Clock::time_point now) noexcept {
  const std::uint64_t pending = queue_.pending();
  if (pending == 0) return detector_.hangs({0, queue_.completed(), 0, true}, now);
  const std::uint32_t head = device_.read(TDH.offset(queue_.index()));
  return detector_.hangs({pending, queue_.completed(), head, read_link(device_).up}, now);
}

}  // namespace ixcap::ixgbe

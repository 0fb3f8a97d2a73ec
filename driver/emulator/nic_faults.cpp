// The software NIC on a bad day: faults.hpp made to happen.

#include <algorithm>
#include <utility>

#include <ixcap/driver/emulator/damage.hpp>
#include <ixcap/driver/emulator/nic.hpp>
#include <ixcap/driver/ixgbe/register_bits.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>

namespace ixcap::emulator {

void Nic::set_faults(const FaultSpec& spec) {
  const ControlLock lock(*this);
  fault_spec_ = spec;
  faults_ = spec.any() ? std::make_unique<Faults>(spec) : nullptr;
  receive_path_.set_faults(faults_.get());
  interrupts_.set_faults(faults_.get());
  frames_before_faults_ = frames_before_reset_ = receive_path_.counts().frames;
  link_flaps_ns_ = spec.link_flap_ns == 0 ? 0 : interrupts_.clock().now_ns() + spec.link_flap_ns;
  link_flapped_ = false;
  control_.set_carrier(carrier_);
  if (spec.remove) {
    remove();
  } else if (std::exchange(removed_, false)) {
    power_on_reset();
  }
  // A reset that was stuck is a reset that happens now.
  constexpr std::uint32_t resets = ixgbe::CTRL_RST | ixgbe::CTRL_LNK_RST;
  if (!spec.stuck_reset && (registers_.get(ixgbe::CTRL) & resets) != 0) device_reset();
}

FaultSpec Nic::faults() const {
  const ControlLock lock(*this);
  return fault_spec_;
}

bool Nic::removed() const {
  const ControlLock lock(*this);
  return removed_;
}

/// Pulls the card out: it is not on the bus any more, and touches no memory.
void Nic::remove() noexcept {
  if (std::exchange(removed_, true)) return;
  interrupts_.reset();
  receive_path_.reset();
  transmit_path_.reset();
  update_master_status();
}

/// What time and the frames so far bring. Once a pass.
void Nic::let_faults_happen() noexcept {
  if (link_flaps_ns_ != 0 && interrupts_.clock().now_ns() >= link_flaps_ns_) {
    link_flaps_ns_ = interrupts_.clock().now_ns() + fault_spec_.link_flap_ns;
    link_flapped_ = !link_flapped_;
    control_.set_carrier(carrier_ && !link_flapped_);
  }
  if (frames_until_removal() == 0) remove();
}

std::uint64_t Nic::frames_until_removal() const noexcept {
  const std::uint64_t limit = fault_spec_.remove_after;
  if (limit == 0) return always;
  const std::uint64_t came = receive_path_.counts().frames - frames_before_faults_;
  return limit - std::min(limit, came);
}

/// As play(), with each frame as it arrives.
std::size_t Nic::play_with_faults(std::size_t frames, std::uint64_t until_ps) {
  receive_path_.drain_packet_buffer();
  const bool timed = rate_.unit != Rate::Unit::as_fast_as_received;
  const std::size_t most = std::min<std::uint64_t>(frames, frames_until_removal());
  std::size_t received = 0;
  for (; received < most; ++received) {
    if (!(fetch_in_play_ ? fetch() : on_wire_ != nullptr)) break;
    const WireFrame& frame = faults_->arriving(*on_wire_);
    if (timed ? arrival_ps_ > until_ps : !receive_path_.has_room(frame)) break;
    if (timed) arrival_ps_ += rate_.spacing_ps(frame.wire_length);
    on_wire_ = nullptr;
    receive_with_faults(frame);
  }
  end_play();
  return received;
}

void Nic::receive_with_faults(const WireFrame& arriving) {
  receive_path_.receive(arriving);
  const std::uint64_t came = receive_path_.counts().frames - frames_before_reset_;
  if (fault_spec_.receive_hang != 0 && came == fault_spec_.receive_hang) receive_path_.hang_queue();
  if (fault_spec_.ecc_error != 0 && came == fault_spec_.ecc_error) interrupts_.raise(ixgbe::EICR_ECC);
  if ((arriving.damage & damage::unmapped) != 0) interrupts_.raise(ixgbe::EICR_PCI);
  faults_->taken();
}

/// What a write leaves of a register that does not do as it is told.
std::uint32_t Nic::stuck(const ixgbe::Register& reg, std::uint32_t index, std::uint32_t value) const noexcept {
  if (!fault_spec_.stuck_enable || (&reg != &ixgbe::RXDCTL && &reg != &ixgbe::TXDCTL)) return value;
  static_assert(ixgbe::RXDCTL_ENABLE == ixgbe::TXDCTL_ENABLE);
  return (value & ~ixgbe::RXDCTL_ENABLE) | (registers_.get(reg, index) & ixgbe::RXDCTL_ENABLE);
}

}  // namespace ixcap::emulator

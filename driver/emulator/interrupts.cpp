#include <bit>

#include <ixcap/driver/emulator/interrupts.hpp>
#include <ixcap/driver/ixgbe/register_bits.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>

namespace ixcap::emulator {

using ixgbe::Register;

namespace {

constexpr std::uint32_t queue_bits = 0x0000FFFF;  // of EICR
constexpr std::uint32_t other_bits = 0xFFFF0000;
constexpr std::uint32_t cleared_with_ocd = 0x3FFF0000;  // data sheet 8.2.3.5.18: GPIE.OCD

constexpr std::uint64_t one(std::uint32_t number) {
  return std::uint64_t{1} << number;
}

/// The half of `bits` that instance `index` of an extended register shows.
constexpr std::uint32_t half(std::uint64_t bits, std::uint32_t index) {
  return static_cast<std::uint32_t>(bits >> (32 * (index & 1)));
}
constexpr std::uint64_t widen(std::uint32_t value, std::uint32_t index) {
  return std::uint64_t{value} << (32 * (index & 1));
}

/// A byte of IVAR or IVAR_MISC.
struct Entry {
  bool valid;
  std::uint32_t vector;
};
constexpr Entry entry_at(std::uint32_t word, unsigned byte) {
  const std::uint32_t entry = word >> (8 * byte);
  return {(entry & ixgbe::IVAR_VALID) != 0, entry & ixgbe::IVAR_VECTOR_MASK};
}

}  // namespace

void Interrupts::reset() noexcept {
  queue_causes_ = queue_enabled_ = queue_auto_mask_ = 0;
  other_causes_ = other_enabled_ = other_auto_mask_ = 0;
  unsent_ = throttled_ = 0;
  quiet_until_ns_.fill(0);
  table_.set_pending(0);
  config_.set_msi_pending(false);
  config_.set_intx_status(false);
}

bool Interrupts::multiple() const noexcept {
  return config_.msix_enabled() && (registers_.get(ixgbe::GPIE) & ixgbe::GPIE_MULTIPLE_MSIX) != 0;
}

void Interrupts::raise_queue(std::uint32_t queue, std::uint32_t direction) noexcept {
  if (queue / 2 >= ixgbe::IVAR.count) return;
  const Entry entry = entry_at(registers_.get(ixgbe::IVAR, queue / 2), queue % 2 * 2 + direction);
  if (!entry.valid) return;
  raise_causes(one(multiple() ? entry.vector : entry.vector % 16), 0);
}

void Interrupts::raise(std::uint32_t causes) noexcept {
  raise_causes(0, causes & other_bits);
}

void Interrupts::raise_causes(std::uint64_t queues, std::uint32_t others) noexcept {
  queue_causes_ |= queues;
  other_causes_ |= others;
  const std::uint64_t events = vectors_of(queues & queue_enabled_, others & other_enabled_);
  if (events == 0) return;
  unsent_ |= events;
  send(events);
}

void Interrupts::enable(std::uint64_t queues, std::uint32_t others) noexcept {
  const std::uint64_t new_queues = queues & ~queue_enabled_;
  const std::uint32_t new_others = others & ~other_enabled_;
  queue_enabled_ |= queues;
  other_enabled_ |= others;
  const std::uint64_t events = vectors_of(new_queues & queue_causes_, new_others & other_causes_);
  unsent_ |= events;
  send(events);
}

/// The vectors that these causes lead to; bit 0 for all of them where there is one interrupt only.
std::uint64_t Interrupts::vectors_of(std::uint64_t queues, std::uint32_t others) const noexcept {
  if (!multiple()) return (queues & queue_bits) != 0 || others != 0 ? 1 : 0;
  std::uint64_t result = queues;
  if (others != 0) {
    const std::uint32_t misc = registers_.get(ixgbe::IVAR_MISC);
    const Entry timer = entry_at(misc, 0);
    const Entry other = entry_at(misc, 1);
    if ((others & ixgbe::EICR_TCP_TIMER) != 0 && timer.valid) result |= one(timer.vector);
    if ((others & ~ixgbe::EICR_TCP_TIMER) != 0 && other.valid) result |= one(other.vector);
  }
  return result;
}

/// The vectors with an enabled cause.
std::uint64_t Interrupts::wanting() const noexcept {
  return vectors_of(queue_causes_ & queue_enabled_, other_causes_ & other_enabled_);
}

/// Sends the messages of those vectors that have an event, an enabled cause and no quiet time.
void Interrupts::send(std::uint64_t candidates) noexcept {
  const std::uint64_t wanted = wanting();
  const bool many = multiple();
  unsent_ &= wanted;  // what was cleared or disabled in the meantime is no event any more
  throttled_ &= wanted;
  if (wanted == 0 || config_.msix_enabled() || config_.msi_enabled()) config_.set_intx_status(false);
  for (std::uint64_t left = candidates & unsent_; left != 0; left &= left - 1) {
    const auto vector = static_cast<std::uint32_t>(std::countr_zero(left));
    if (quiet_until_ns_[vector] != 0) {
      const std::uint64_t now_ns = clock_.now_ns();
      if (now_ns < quiet_until_ns_[vector]) {
        throttled_ |= one(vector);
        continue;
      }
    }
    throttled_ &= ~one(vector);
    if (!(many ? send_one(vector, true) : send_single())) continue;
    unsent_ &= ~one(vector);
    const Register& interval = vector < ixgbe::EITR.count ? ixgbe::EITR : ixgbe::EITR_HIGH;
    const std::uint32_t index = vector < ixgbe::EITR.count ? vector : vector - ixgbe::EITR.count;
    const std::uint32_t units =
        (registers_.get(interval, index) & ixgbe::EITR_INTERVAL_MASK) >> ixgbe::EITR_INTERVAL_SHIFT;
    quiet_until_ns_[vector] = units == 0 ? 0 : clock_.now_ns() + units * std::uint64_t{ixgbe::EITR_unit_ns};
  }
  if (config_.msix_enabled()) {
    std::uint64_t held = unsent_ & ~throttled_;
    if (!many) held &= 1;
    table_.set_pending(held);
  } else {
    table_.set_pending(0);
  }
}

/// One MSI-X message; false if its host holds it back.
bool Interrupts::send_one(std::uint32_t vector, bool many) noexcept {
  if (!config_.bus_master() || config_.msix_masked() || table_.masked(vector)) return false;
  hand_over(InterruptKind::msix, vector);
  if (!many) return true;
  std::uint32_t others = 0;
  const std::uint32_t misc = registers_.get(ixgbe::IVAR_MISC);
  if (const Entry timer = entry_at(misc, 0); timer.valid && timer.vector == vector) others |= ixgbe::EICR_TCP_TIMER;
  if (const Entry other = entry_at(misc, 1); other.valid && other.vector == vector) {
    others |= other_bits & ~ixgbe::EICR_TCP_TIMER;
  }
  after_message(one(vector), others);
  return true;
}

/// What a message of a vector of its own clears: causes in EIAC (those that have no bit there always), and with
/// GPIE.EIAME the mask bits in EIAM.
void Interrupts::after_message(std::uint64_t queues, std::uint32_t others) noexcept {
  const std::uint32_t auto_clear = registers_.get(ixgbe::EIAC);
  queue_causes_ &= ~(queues & (~std::uint64_t{queue_bits} | auto_clear));
  other_causes_ &= ~(others & auto_clear);
  if ((registers_.get(ixgbe::GPIE) & ixgbe::GPIE_EIAME) == 0) return;
  queue_enabled_ &= ~(queues & queue_auto_mask_);
  other_enabled_ &= ~(others & other_auto_mask_);
}

/// The only interrupt there is: MSI-X vector 0, MSI or the pin.
bool Interrupts::send_single() noexcept {
  if (config_.msix_enabled()) return send_one(0, false);
  if (config_.msi_enabled()) {
    const bool held = !config_.bus_master() || config_.msi_masked();
    config_.set_msi_pending(held);
    if (held) return false;
    hand_over(InterruptKind::msi, 0);
    return true;
  }
  config_.set_intx_status(true);
  if (config_.intx_disabled()) return false;
  hand_over(InterruptKind::intx, 0);
  return true;
}

/// To the host. A message that gets lost on the way is one that was sent: nothing here knows of it.
void Interrupts::hand_over(InterruptKind kind, std::uint32_t vector) noexcept {
  if (sink_ == nullptr || (faults_ != nullptr && faults_->loses_interrupt())) return;
  sink_->raise(kind, vector);
}

bool Interrupts::keeps(const Register& reg) noexcept {
  return &reg == &ixgbe::EICR || &reg == &ixgbe::EICS || &reg == &ixgbe::EIMS || &reg == &ixgbe::EIMC ||
         &reg == &ixgbe::EIAM || &reg == &ixgbe::EICS_EX || &reg == &ixgbe::EIMS_EX || &reg == &ixgbe::EIMC_EX ||
         &reg == &ixgbe::EIAM_EX;
}

std::uint32_t Interrupts::read(const Register& reg, std::uint32_t index) noexcept {
  if (&reg == &ixgbe::EICR) return read_causes();
  if (&reg == &ixgbe::EICS) return (half(queue_causes_, 0) & queue_bits) | other_causes_;
  if (&reg == &ixgbe::EICS_EX) return half(queue_causes_, index);
  if (&reg == &ixgbe::EIAM) return (half(queue_auto_mask_, 0) & queue_bits) | other_auto_mask_;
  if (&reg == &ixgbe::EIAM_EX) return half(queue_auto_mask_, index);
  if (&reg == &ixgbe::EIMS || &reg == &ixgbe::EIMC) return (half(queue_enabled_, 0) & queue_bits) | other_enabled_;
  return half(queue_enabled_, index);  // EIMS_EX, EIMC_EX
}

/// EICR answers and clears; without GPIE.EIAME it also disables what EIAM names (data sheet 7.3.1.4).
std::uint32_t Interrupts::read_causes() noexcept {
  const std::uint32_t causes = (half(queue_causes_, 0) & queue_bits) | other_causes_;
  const std::uint32_t gpie = registers_.get(ixgbe::GPIE);
  if ((gpie & ixgbe::GPIE_OCD) != 0) {
    other_causes_ &= ~cleared_with_ocd;
  } else {
    queue_causes_ &= ~std::uint64_t{queue_bits};
    other_causes_ = 0;
  }
  if ((gpie & ixgbe::GPIE_EIAME) == 0) {
    queue_enabled_ &= ~queue_auto_mask_;
    other_enabled_ &= ~other_auto_mask_;
  }
  update();
  return causes;
}

void Interrupts::write(const Register& reg, std::uint32_t index, std::uint32_t value) noexcept {
  const bool extended =
      &reg == &ixgbe::EICS_EX || &reg == &ixgbe::EIMS_EX || &reg == &ixgbe::EIMC_EX || &reg == &ixgbe::EIAM_EX;
  const std::uint64_t queues = extended ? widen(value, index) : value & queue_bits;
  const std::uint32_t others = extended ? 0 : value & other_bits;
  if (&reg == &ixgbe::EICS || &reg == &ixgbe::EICS_EX) {
    if ((registers_.get(ixgbe::GPIE) & ixgbe::GPIE_EIAME) == 0) {
      queue_enabled_ |= queues & queue_auto_mask_;
      other_enabled_ |= others & other_auto_mask_;
    }
    raise_causes(queues, others);
  } else if (&reg == &ixgbe::EIMS || &reg == &ixgbe::EIMS_EX) {
    enable(queues, others);
  } else if (&reg == &ixgbe::EIMC || &reg == &ixgbe::EIMC_EX) {
    queue_enabled_ &= ~queues;
    other_enabled_ &= ~others;
    update();
  } else if (&reg == &ixgbe::EICR) {
    queue_causes_ &= ~queues;
    other_causes_ &= ~others;
    update();
  } else if (&reg == &ixgbe::EIAM) {
    queue_auto_mask_ = (queue_auto_mask_ & ~std::uint64_t{queue_bits}) | queues;
    other_auto_mask_ = others;
  } else if (&reg == &ixgbe::EIAM_EX) {
    queue_auto_mask_ = (queue_auto_mask_ & ~widen(0xFFFFFFFF, index)) | queues;
  }
}

/// Starts the vector's counter anew, at the value written, unless EITR.CNT_WDIS leaves it alone.
void Interrupts::interval_written(std::uint32_t vector, std::uint32_t value) noexcept {
  if (vector >= vectors || (value & ixgbe::EITR_CNT_WDIS) != 0) return;
  const std::uint32_t units = value >> ixgbe::EITR_COUNTER_SHIFT & ixgbe::EITR_COUNTER_MASK;
  quiet_until_ns_[vector] = units == 0 ? 0 : clock_.now_ns() + units * std::uint64_t{ixgbe::EITR_unit_ns};
  send(throttled_ & one(vector));
}

}  // namespace ixcap::emulator

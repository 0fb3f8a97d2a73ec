#include <ixcap/driver/emulator/nvm_port.hpp>
#include <ixcap/driver/ixgbe/register_bits.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>

namespace ixcap::emulator {
namespace {

enum : std::uint8_t { write_status = 1, write_data = 2, read_data = 3, disable = 4, read_status = 5, enable = 6 };

constexpr std::uint32_t instruction_bytes = 1;
constexpr std::uint32_t address_end = 3;  // one byte of instruction, two of address
constexpr std::uint8_t status_write_enabled = 0x02;

}  // namespace

bool NvmPort::after_write(const ixgbe::Register& reg, std::uint32_t value) noexcept {
  const std::uint32_t address = value >> ixgbe::EERD_ADDR_SHIFT & ixgbe::EERD_ADDR_MASK;
  const std::uint32_t done = address << ixgbe::EERD_ADDR_SHIFT | ixgbe::EERD_DONE;
  if (&reg == &ixgbe::EERD) {
    if ((value & ixgbe::EERD_START) != 0) {
      registers_.set(reg, std::uint32_t{nvm_.read(address)} << ixgbe::EERD_DATA_SHIFT | done);
    }
  } else if (&reg == &ixgbe::EEWR) {
    if ((value & ixgbe::EERD_START) != 0) {
      nvm_.write(address, static_cast<std::uint16_t>(value >> ixgbe::EERD_DATA_SHIFT));
      registers_.set(reg, (value & ~ixgbe::EERD_START) | ixgbe::EERD_DONE);
    }
  } else if (&reg == &ixgbe::EEC) {
    move_pins(value);
    std::uint32_t eec = registers_.get(reg) & ~(ixgbe::EEC_GNT | ixgbe::EEC_DO);
    if ((eec & ixgbe::EEC_REQ) != 0) eec |= ixgbe::EEC_GNT;
    if (output_) eec |= ixgbe::EEC_DO;
    registers_.set(reg, eec);
  } else if (&reg == &ixgbe::FLA) {
    const std::uint32_t fla = registers_.get(reg) & ~ixgbe::FLA_FL_GNT;
    registers_.set(reg, (fla & ixgbe::FLA_FL_REQ) != 0 ? fla | ixgbe::FLA_FL_GNT : fla);
  } else {
    return false;
  }
  return true;
}

void NvmPort::reset() noexcept {
  selected_ = clock_ = output_ = write_enabled_ = false;
}

/// CS selects while low; data is taken as SK rises and given as it falls.
void NvmPort::move_pins(std::uint32_t eec) noexcept {
  const bool select = (eec & ixgbe::EEC_REQ) != 0 && (eec & ixgbe::EEC_CS) == 0;
  const bool clock = (eec & ixgbe::EEC_SK) != 0;
  const bool rising = clock && !clock_;
  const bool falling = !clock && clock_;
  clock_ = clock;
  if (!select || !selected_) {
    if (selected_ && instruction_ == write_data && taken_ == address_end) write_enabled_ = false;  // written, and done
    selected_ = select;
    taken_ = 0;
    bits_ = outgoing_bits_ = 0;
    output_ = false;
    return;
  }
  if (rising) clock_in((eec & ixgbe::EEC_DI) != 0);
  if (falling && outgoing_bits_ != 0) {
    --outgoing_bits_;
    output_ = (outgoing_ >> outgoing_bits_ & 1) != 0;
  }
}

void NvmPort::clock_in(bool bit) noexcept {
  incoming_ = static_cast<std::uint8_t>(incoming_ << 1 | (bit ? 1 : 0));
  if (++bits_ < 8) return;
  bits_ = 0;
  take_byte(incoming_);
  next_output_byte();
}

void NvmPort::take_byte(std::uint8_t byte) noexcept {
  if (taken_ < instruction_bytes) {
    instruction_ = byte;
    if (byte == enable) write_enabled_ = true;
    if (byte == disable) write_enabled_ = false;
  } else if (taken_ < address_end) {
    address_ = (address_ << 8 | byte) & 0xFFFF;
  } else if (instruction_ == write_data && write_enabled_) {
    write_byte(address_++, byte);
  }
  if (taken_ < address_end) ++taken_;
}

/// After each byte that came in, what the EEPROM answers during the next one.
void NvmPort::next_output_byte() noexcept {
  if (instruction_ == read_status) {
    outgoing_ = write_enabled_ ? status_write_enabled : 0;  // never busy
  } else if (instruction_ == read_data && taken_ == address_end) {
    outgoing_ = read_byte(address_++);
  } else {
    return;
  }
  outgoing_bits_ = 8;
}

std::uint8_t NvmPort::read_byte(std::uint32_t address) const noexcept {
  return static_cast<std::uint8_t>(nvm_.read(address / 2) >> (8 * (address % 2)));
}

void NvmPort::write_byte(std::uint32_t address, std::uint8_t byte) noexcept {
  const unsigned shift = 8 * (address % 2);
  const unsigned kept = nvm_.read(address / 2) & ~(0xFFu << shift);
  nvm_.write(address / 2, static_cast<std::uint16_t>(kept | unsigned{byte} << shift));
}

}  // namespace ixcap::emulator

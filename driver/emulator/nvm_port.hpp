#pragma once

/// How drivers reach the NVM (data sheet 8.2.3.2): word by word through EERD and EEWR, or bit by bit through EEC, whose
/// pins SK, CS, DI and DO lead to a serial EEPROM of the usual kind (instructions READ, WRITE, WREN, WRDI, RDSR, WRSR;
/// byte addresses of 16 bits, a word's low byte first). EEC.GNT and FLA.FL_GNT follow the requests.
///
/// Threads: one at a time.

#include <cstdint>

#include <ixcap/driver/emulator/nvm.hpp>
#include <ixcap/driver/emulator/register_file.hpp>

namespace ixcap::emulator {

class NvmPort {
 public:
  NvmPort(RegisterFile& registers, Nvm& nvm) : registers_(registers), nvm_(nvm) {}

  /// EERD, EEWR, EEC or FLA was written; other registers are none of its business. False for those.
  bool after_write(const ixgbe::Register& reg, std::uint32_t value) noexcept;

  /// Device reset: the serial EEPROM is deselected.
  void reset() noexcept;

 private:
  void move_pins(std::uint32_t eec) noexcept;
  void clock_in(bool bit) noexcept;
  void take_byte(std::uint8_t byte) noexcept;
  void next_output_byte() noexcept;
  std::uint8_t read_byte(std::uint32_t address) const noexcept;
  void write_byte(std::uint32_t address, std::uint8_t byte) noexcept;

  RegisterFile& registers_;
  Nvm& nvm_;

  bool selected_ = false;
  bool clock_ = false;
  bool output_ = false;      ///< the DO pin
  std::uint32_t taken_ = 0;  ///< whole bytes since CS went low, counted up to the first of data
  unsigned bits_ = 0;        ///< of the byte that is coming in
  std::uint8_t incoming_ = 0;
  std::uint8_t outgoing_ = 0;
  unsigned outgoing_bits_ = 0;
  std::uint8_t instruction_ = 0;
  std::uint32_t address_ = 0;  ///< bytes
  bool write_enabled_ = false;
};

}  // namespace ixcap::emulator

#pragma once

/// The NVM of the software NIC: the words that drivers look at, with a checksum that holds (data sheet 6).
///
/// What a driver writes stays until the end of the process, through every reset, and is loaded as the card would.

#include <array>
#include <cstdint>

namespace ixcap::emulator {

class Nvm {
 public:
  static constexpr std::uint32_t words = 8192;  // EEC.SIZE 7: 2^(7+6) words

  explicit Nvm(const std::array<std::uint8_t, 6>& mac);

  /// Word at `address`; addresses past the end read as an erased NVM does.
  std::uint16_t read(std::uint32_t address) const noexcept { return address < words ? image_[address] : 0xFFFF; }

  /// Ignored past the end.
  void write(std::uint32_t address, std::uint16_t value) noexcept {
    if (address < words) image_[address] = value;
  }

  /// What the card loads into RAL[0] and RAH[0], from the section of LAN core 0.
  std::array<std::uint8_t, 6> mac_address() const noexcept;

 private:
  std::uint16_t checksum() const noexcept;

  std::array<std::uint16_t, words> image_;
};

}  // namespace ixcap::emulator

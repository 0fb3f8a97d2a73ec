#pragma once

/// The NVM of the software NIC: the words that drivers look at, with a checksum that holds (data sheet 6).

#include <array>
#include <cstdint>

namespace ixcap::emulator {

class Nvm {
 public:
  static constexpr std::uint32_t words = 8192;  // EEC.SIZE 7: 2^(7+6) words

  Nvm();

  /// Word at `address`; addresses past the end read as an erased NVM does.
  std::uint16_t read(std::uint32_t address) const noexcept { return address < words ? image_[address] : 0xFFFF; }

 private:
  std::array<std::uint16_t, words> image_;
};

}  // namespace ixcap::emulator

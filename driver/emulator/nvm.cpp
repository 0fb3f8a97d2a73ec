#include <numeric>

#include <ixcap/driver/emulator/nvm.hpp>

namespace ixcap::emulator {
namespace {

constexpr std::uint16_t none = 0xFFFF;

// Word addresses (data sheet 6.2 and 6.3; what lies between is not looked at by any driver).
enum : std::uint16_t {
  control_1 = 0x00,
  first_section = 0x03,  // PCIe analog, PHY, ... CSR auto-configuration: pointers that the checksum follows
  last_section = 0x0E,
  firmware = 0x0F,
  part_number = 0x15,  // two words
  option_rom = 0x17,
  product_version = 0x1B,
  thermal_sensor = 0x26,
  alternate_mac = 0x27,
  san_mac = 0x28,
  sfp_init_list = 0x2B,
  capabilities = 0x2C,
  etrack_id = 0x2D,  // two words
  checksum = 0x3F,
  firmware_block = 0x100,
  firmware_version_block = 0x120,
  sfp_list_block = 0x140,
  sfp_data_block = 0x160,
};

constexpr std::uint16_t checksum_total = 0xBABA;  // sum of words 0x00 to 0x3F and of the sections

}  // namespace

Nvm::Nvm() {
  image_.fill(none);
  for (std::uint16_t address = control_1; address <= checksum; ++address) image_[address] = 0;
  for (std::uint16_t pointer = first_section; pointer <= last_section; ++pointer) image_[pointer] = none;
  for (const std::uint16_t pointer : {option_rom, product_version, thermal_sensor, alternate_mac, san_mac}) {
    image_[pointer] = none;
  }

  image_[firmware] = firmware_block;
  image_[firmware_block + 4] = firmware_version_block;  // pass-through patch configuration
  image_[firmware_version_block + 7] = 6;               // drivers ask for more than 5

  image_[part_number] = 0xE664;
  image_[part_number + 1] = 0x3003;
  image_[etrack_id] = 0x0001;
  image_[etrack_id + 1] = 0x8000;
  image_[capabilities] = 0;

  // One entry for each kind of module that drivers tell apart; each with an empty list of init words.
  image_[sfp_init_list] = sfp_list_block;
  std::uint16_t entry = sfp_list_block + 1;
  for (std::uint16_t kind = 3; kind <= 6; ++kind) {
    image_[entry++] = kind;
    image_[entry++] = sfp_data_block;
  }
  image_[entry] = none;
  image_[sfp_data_block] = 0;

  const std::uint32_t sum = std::accumulate(image_.begin(), image_.begin() + checksum, std::uint32_t{0});
  image_[checksum] = static_cast<std::uint16_t>(checksum_total - sum);
}

}  // namespace ixcap::emulator

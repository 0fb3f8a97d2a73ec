#include <initializer_list>
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
  checksum_word = 0x3F,
  first_section_block = 0x40,  // four words each
  firmware_block = 0x100,
  firmware_version_block = 0x120,
  sfp_list_block = 0x140,
  sfp_data_block = 0x160,
  part_number_block = 0x180,
  option_rom_block = 0x200,
};

constexpr std::uint16_t core_0 = 0x09;          // pointer: the section that holds the MAC address
constexpr std::uint16_t section_words = 3;      // after the word that tells this length
constexpr std::uint16_t option_rom_low = 0x83;  // version, from the start of its block
constexpr std::uint16_t option_rom_high = 0x84;

constexpr std::uint16_t checksum_total = 0xBABA;  // sum of words 0x00 to 0x3F and of the sections
constexpr std::uint16_t part_number_is_text = 0xFAFA;

}  // namespace

Nvm::Nvm(const std::array<std::uint8_t, 6>& mac) {
  image_.fill(none);
  for (std::uint16_t address = control_1; address <= checksum_word; ++address) image_[address] = 0;
  for (const std::uint16_t pointer : {product_version, thermal_sensor, alternate_mac, san_mac}) image_[pointer] = none;

  // Sections that only the card itself reads: their words count for the checksum.
  for (std::uint16_t pointer = first_section; pointer <= last_section; ++pointer) {
    const auto block = static_cast<std::uint16_t>(first_section_block + (pointer - first_section) * 4);
    image_[pointer] = block;
    image_[block] = section_words;
    for (std::uint16_t i = 1; i <= section_words; ++i) image_[block + i] = 0;
  }
  std::uint16_t* const address = &image_[image_[core_0] + 1u];
  for (std::size_t i = 0; i < mac.size() / 2; ++i) {
    address[i] = static_cast<std::uint16_t>(mac[2 * i] | unsigned{mac[2 * i + 1]} << 8);
  }

  image_[firmware] = firmware_block;
  image_[firmware_block + 4] = firmware_version_block;  // pass-through patch configuration
  image_[firmware_version_block + 7] = 6;               // drivers ask for more than 5

  image_[part_number] = part_number_is_text;
  image_[part_number + 1] = part_number_block;
  std::uint16_t text = part_number_block;
  for (const unsigned word : {6u, 0x4531u, 0x3030u, 0x3637u, 0x2D30u, 0x3036u}) {  // length, then "E10067-006"
    image_[text++] = static_cast<std::uint16_t>(word);
  }
  image_[etrack_id] = 0x0001;
  image_[etrack_id + 1] = 0x8000;
  image_[option_rom] = option_rom_block;  // 1.949.0: eight bits, sixteen, eight
  image_[option_rom_block + option_rom_low] = 0x0103;
  image_[option_rom_block + option_rom_high] = 0xB500;
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

  image_[checksum_word] = checksum();
}

/// As drivers add it up (data sheet 6.3.2.21): words 0x00 to 0x3E, and every section that a pointer leads to.
std::uint16_t Nvm::checksum() const noexcept {
  std::uint32_t sum = std::accumulate(image_.begin(), image_.begin() + checksum_word, std::uint32_t{0});
  for (std::uint16_t pointer = first_section; pointer <= last_section; ++pointer) {
    const std::uint32_t block = image_[pointer];
    for (std::uint32_t i = 1; i <= read(block); ++i) sum += read(block + i);
  }
  return static_cast<std::uint16_t>(checksum_total - sum);
}

std::array<std::uint8_t, 6> Nvm::mac_address() const noexcept {
  std::array<std::uint8_t, 6> mac{};
  const std::uint32_t block = image_[core_0];
  for (std::uint32_t i = 0; i < mac.size(); ++i) {
    mac[i] = static_cast<std::uint8_t>(read(block + 1 + i / 2) >> (8 * (i % 2)));
  }
  return mac;
}

}  // namespace ixcap::emulator

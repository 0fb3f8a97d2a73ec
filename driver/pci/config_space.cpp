#include <ixcap/driver/pci/config_space.hpp>

namespace ixcap::pci {
namespace {

constexpr std::uint32_t config_status = 0x06;
constexpr unsigned status_has_capabilities = 1 << 4;
constexpr std::uint32_t first_capability = 0x34;
constexpr std::uint32_t header_bytes = 0x40;  // capabilities lie behind it

/// Four bytes each, so that there cannot be more.
constexpr unsigned most_capabilities = (conventional_config_bytes - header_bytes) / 4;

}  // namespace

std::uint32_t find_capability(std::span<const std::uint8_t> config, std::uint8_t id) noexcept {
  if (config.size() < header_bytes || (config[config_status] & status_has_capabilities) == 0) return 0;
  std::uint32_t place = config[first_capability] & ~3u;
  for (unsigned i = 0; i < most_capabilities; ++i) {
    if (place < header_bytes || place + 4 > config.size()) return 0;
    if (config[place] == id) return place;
    place = config[place + 1] & ~3u;
  }
  return 0;
}

}  // namespace ixcap::pci

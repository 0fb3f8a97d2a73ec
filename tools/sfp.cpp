#include "tools/sfp.hpp"

#include <fmt/format.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <vector>

#include <ixcap/driver/pci/file_descriptor.hpp>

namespace ixcap::tools {
namespace {

constexpr std::size_t eeprom_bytes = 256;

/// One ethtool command. Answers an errno value.
template <typename Command>
int ethtool(int socket, const std::string& network_interface, Command* command) {
  ifreq request{};
  network_interface.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_data = reinterpret_cast<char*>(command);
  return ::ioctl(socket, SIOCETHTOOL, &request) == 0 ? 0 : errno;
}

/// Text that is padded with blanks; what cannot be printed becomes a question mark.
std::string text_at(std::string_view eeprom, std::size_t at, std::size_t bytes) {
  std::string text(eeprom.substr(at, bytes));
  for (char& c : text) {
    if (c < ' ' || c > '~') c = c == '\0' ? ' ' : '?';
  }
  text.erase(text.find_last_not_of(' ') + 1);
  return text;
}

}  // namespace

std::string describe_module(std::string_view eeprom) {
  struct Layout {
    const char* kind;
    std::size_t vendor;
    std::size_t part;
  };
  const auto layout = [identifier = static_cast<unsigned char>(eeprom.front())]() -> Layout {
    switch (identifier) {
      case 0x03:
        return {"SFP+", 20, 40};
      case 0x0C:
        return {"QSFP", 148, 168};
      case 0x0D:
        return {"QSFP+", 148, 168};
      default:
        return {"module", 20, 40};
    }
  }();
  if (eeprom.size() < layout.part + 16) return layout.kind;
  return fmt::format("{} {} {}", layout.kind, text_at(eeprom, layout.vendor, 16), text_at(eeprom, layout.part, 16));
}

PluggedModule plugged_module(const std::string& network_interface) {
  const pci::FileDescriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return {errno, ""};
  ethtool_modinfo info{};
  info.cmd = ETHTOOL_GMODULEINFO;
  if (const int error = ethtool(socket.number(), network_interface, &info); error != 0) return {error, ""};
  // The bytes follow the command.
  std::vector<std::uint32_t> storage((sizeof(ethtool_eeprom) + eeprom_bytes) / sizeof(std::uint32_t));
  auto* command = reinterpret_cast<ethtool_eeprom*>(storage.data());
  command->cmd = ETHTOOL_GMODULEEEPROM;
  command->len = static_cast<std::uint32_t>(std::min<std::size_t>(info.eeprom_len, eeprom_bytes));
  if (command->len == 0) return {EIO, ""};
  if (const int error = ethtool(socket.number(), network_interface, command); error != 0) return {error, ""};
  return {0, describe_module({reinterpret_cast<const char*>(storage.data()) + sizeof(ethtool_eeprom), command->len})};
}

}  // namespace ixcap::tools

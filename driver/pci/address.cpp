#include <algorithm>
#include <filesystem>

#include <ixcap/driver/error.hpp>
#include <ixcap/driver/pci/address.hpp>

namespace ixcap::pci {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view short_pattern = "bb:dd.f";

bool is_hex(char c) noexcept {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

/// "03:00.0", in lower case: a device is below 20h, a function below 8.
bool is_short_form(std::string_view text) noexcept {
  return text.size() == short_pattern.size() && is_hex(text[0]) && is_hex(text[1]) && text[2] == ':' &&
         (text[3] == '0' || text[3] == '1') && is_hex(text[4]) && text[5] == '.' && text[6] >= '0' && text[6] <= '7';
}

}  // namespace

std::optional<std::string> canonical_address(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
  }
  if (is_short_form(lower)) return "0000:" + lower;
  // The kernel writes a domain with four digits; those that Intel's VMD makes have five.
  const std::size_t colon = lower.find(':');
  if (colon == std::string::npos || colon < 4 || colon > 8) return std::nullopt;
  if (!std::all_of(lower.begin(), lower.begin() + static_cast<std::ptrdiff_t>(colon), is_hex)) return std::nullopt;
  if (!is_short_form(std::string_view(lower).substr(colon + 1))) return std::nullopt;
  return lower;
}

std::optional<std::string> address_of_interface(std::string_view name, const std::string& sysfs) {
  if (name.empty() || name.find('/') != std::string_view::npos || name.front() == '.') return std::nullopt;
  std::error_code none;
  const fs::path device = fs::read_symlink(fs::path(sysfs) / "class/net" / name / "device", none);
  return none ? std::nullopt : canonical_address(device.filename().string());
}

std::string parse_address(std::string_view text, const std::string& sysfs) {
  if (std::optional<std::string> address = canonical_address(text)) return *address;
  if (const std::optional<std::string> address = address_of_interface(text, sysfs)) {
    throw Error("cannot take the card", std::string(text), "that is its network interface, not its address",
                "give the address: " + *address);
  }
  throw Error("cannot take the card", std::string(text), "that is no PCI address",
              "give one like 0000:03:00.0 or 03:00.0; 'ixcap devices' lists the cards");
}

bool same_slot(std::string_view address, std::string_view other) noexcept {
  const auto slot = [](std::string_view name) { return name.substr(0, name.rfind('.')); };
  return slot(address) == slot(other);
}

}  // namespace ixcap::pci

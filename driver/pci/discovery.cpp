#include <algorithm>
#include <filesystem>
#include <fstream>

#include <ixcap/driver/pci/address.hpp>
#include <ixcap/driver/pci/discovery.hpp>

namespace ixcap::pci {
namespace {

namespace fs = std::filesystem;

/// A file like /sys/bus/pci/devices/ADDRESS/vendor, which holds "0x8086\n". 0 if it cannot be read.
std::uint32_t read_hex(const fs::path& path) {
  std::ifstream file(path);
  std::uint32_t value = 0;
  file >> std::hex >> value;
  return file ? value : 0;
}

std::uint16_t read_id(const fs::path& path) {
  return static_cast<std::uint16_t>(read_hex(path));
}

template <typename Number>
Number read_number(const fs::path& path, Number otherwise) {
  std::ifstream file(path);
  Number value{};
  file >> value;
  return file ? value : otherwise;
}

std::string first_entry(const fs::path& folder) {
  std::error_code ignored;
  const fs::directory_iterator entries(folder, ignored);
  return ignored || entries == fs::directory_iterator() ? "" : entries->path().filename().string();
}

std::string name_behind(const fs::path& link) {
  std::error_code absent;
  return fs::read_symlink(link, absent).filename().string();
}

/// Files like current_link_speed, "5.0 GT/s PCIe", and current_link_width, "8"; or "Unknown".
PcieLink read_link(const fs::path& function, const std::string& which) {
  constexpr unsigned most_lanes = 32;
  constexpr double fastest = 1000;
  const unsigned lanes = read_number(function / (which + "_link_width"), 0u);
  const double gigatransfers = read_number(function / (which + "_link_speed"), 0.0);
  PcieLink link;
  if (lanes <= most_lanes) link.lanes = lanes;
  if (gigatransfers > 0 && gigatransfers < fastest) {
    link.megatransfers_per_second = static_cast<unsigned>(gigatransfers * 1000 + 0.5);
  }
  return link;
}

std::string read_override(const fs::path& path) {
  std::ifstream file(path);
  std::string name;
  file >> name;
  return name == "(null)" ? "" : name;
}

std::optional<unsigned> read_group(const fs::path& function) {
  const std::string name = name_behind(function / "iommu_group");
  if (name.empty() || name.size() > 9 || name.find_first_not_of("0123456789") != std::string::npos) return std::nullopt;
  return static_cast<unsigned>(std::stoul(name));
}

Function read_function(const fs::path& path) {
  return {.address = path.filename().string(),
          .vendor = read_id(path / "vendor"),
          .device = read_id(path / "device"),
          .kernel_driver = name_behind(path / "driver"),
          .network_interface = first_entry(path / "net"),
          .class_code = read_hex(path / "class"),
          .driver_override = read_override(path / "driver_override"),
          .iommu_group = read_group(path),
          .numa_node = read_number(path / "numa_node", -1),
          .link = read_link(path, "current"),
          .best_link = read_link(path, "max"),
          .virtual_functions = read_number(path / "sriov_numvfs", 0u)};
}

std::vector<Function> read_all(const fs::path& folder) {
  std::vector<Function> found;
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, ignored)) {
    if (canonical_address(entry.path().filename().string())) found.push_back(read_function(entry.path()));
  }
  std::sort(found.begin(), found.end(), [](const Function& a, const Function& b) { return a.address < b.address; });
  return found;
}

}  // namespace

unsigned PcieLink::megabits_per_second() const noexcept {
  // Up to 5 GT/s eight bits travel as ten, above that 128 as 130.
  const unsigned lane =
      megatransfers_per_second <= 5000 ? megatransfers_per_second / 10 * 8 : megatransfers_per_second / 130 * 128;
  return lanes * lane;
}

std::vector<Function> find_functions(std::uint16_t vendor, std::span<const std::uint16_t> devices,
                                     const std::string& sysfs) {
  std::vector<Function> found = read_all(fs::path(sysfs) / "bus/pci/devices");
  std::erase_if(found, [vendor, devices](const Function& function) {
    return function.vendor != vendor || std::find(devices.begin(), devices.end(), function.device) == devices.end();
  });
  return found;
}

std::optional<Function> find_function(const std::string& address, const std::string& sysfs) {
  const fs::path path = fs::path(sysfs) / "bus/pci/devices" / address;
  std::error_code absent;
  if (!canonical_address(address) || !fs::exists(path, absent)) return std::nullopt;
  return read_function(path);
}

std::vector<Function> group_members(unsigned group, const std::string& sysfs) {
  return read_all(fs::path(sysfs) / "kernel/iommu_groups" / std::to_string(group) / "devices");
}

std::vector<std::string> interfaces_over(const std::string& network_interface, const std::string& sysfs) {
  constexpr std::string_view prefix = "upper_";
  std::vector<std::string> found{network_interface};
  for (std::size_t i = 0; i < found.size(); ++i) {
    std::error_code ignored;
    for (const fs::directory_entry& entry : fs::directory_iterator(fs::path(sysfs) / "class/net" / found[i], ignored)) {
      const std::string name = entry.path().filename().string();
      if (!name.starts_with(prefix)) continue;
      const std::string upper = name.substr(prefix.size());
      if (std::find(found.begin(), found.end(), upper) == found.end()) found.push_back(upper);
    }
  }
  return found;
}

}  // namespace ixcap::pci

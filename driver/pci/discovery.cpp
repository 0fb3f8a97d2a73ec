#include <algorithm>
#include <filesystem>
#include <fstream>

#include <ixcap/driver/pci/discovery.hpp>

namespace ixcap::pci {
namespace {

namespace fs = std::filesystem;

/// A file like /sys/bus/pci/devices/ADDRESS/vendor, which holds "0x8086\n". 0 if it cannot be read.
std::uint16_t read_id(const fs::path& path) {
  std::ifstream file(path);
  unsigned long value = 0;
  file >> std::hex >> value;
  return file ? static_cast<std::uint16_t>(value) : std::uint16_t{0};
}

std::string first_entry(const fs::path& folder) {
  std::error_code ignored;
  const fs::directory_iterator entries(folder, ignored);
  return ignored || entries == fs::directory_iterator() ? "" : entries->path().filename().string();
}

}  // namespace

std::vector<Function> find_functions(std::uint16_t vendor, std::span<const std::uint16_t> devices,
                                     const std::string& sysfs) {
  std::vector<Function> found;
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(fs::path(sysfs) / "bus/pci/devices", ignored)) {
    const fs::path& path = entry.path();
    Function function{path.filename().string(), read_id(path / "vendor"), read_id(path / "device"), "", ""};
    if (function.vendor != vendor || std::find(devices.begin(), devices.end(), function.device) == devices.end()) {
      continue;
    }
    std::error_code unbound;
    function.kernel_driver = fs::read_symlink(path / "driver", unbound).filename().string();
    function.network_interface = first_entry(path / "net");
    found.push_back(std::move(function));
  }
  std::sort(found.begin(), found.end(), [](const Function& a, const Function& b) { return a.address < b.address; });
  return found;
}

}  // namespace ixcap::pci

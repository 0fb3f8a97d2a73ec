#include <fcntl.h>
#include <fmt/format.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <vector>

#include <ixcap/driver/pci/iommu.hpp>
#include <ixcap/driver/pci/vfio_group.hpp>

namespace ixcap::pci {
namespace {

namespace fs = std::filesystem;

constexpr const char* vfio_driver = "vfio-pci";

std::string name_behind(const fs::path& link) {
  std::error_code absent;
  return fs::read_symlink(link, absent).filename().string();
}

/// A file that holds "0x8086\n". 0 if it cannot be read.
std::uint16_t read_id(const fs::path& path) {
  std::ifstream file(path);
  unsigned long value = 0;
  file >> std::hex >> value;
  return file ? static_cast<std::uint16_t>(value) : std::uint16_t{0};
}

std::string first_word(const fs::path& path) {
  std::ifstream file(path);
  std::string word;
  file >> word;
  return word;
}

Error refused(const std::string& address, std::string reason, std::string mend) {
  return {"cannot open interface", address, std::move(reason), std::move(mend)};
}

fs::path function_folder(const std::string& address, const VfioPaths& paths) {
  fs::path function = fs::path(paths.sysfs) / "bus/pci/devices" / address;
  std::error_code unreadable;
  if (!fs::exists(function, unreadable)) {
    throw refused(address, "there is no PCI device at this address", "'ixcap devices' lists the cards");
  }
  return function;
}

}  // namespace

Identity VfioGroup::identify(const std::string& address, const VfioPaths& paths) {
  const fs::path function = function_folder(address, paths);
  const std::uint16_t vendor = read_id(function / "vendor");
  const std::uint16_t device = read_id(function / "device");
  return {address, vendor, device, fmt::format("PCI device {:04x}:{:04x}", vendor, device)};
}

std::string VfioGroup::others_in_use(const std::string& address, const VfioPaths& paths) {
  std::vector<std::string> others;
  std::error_code unreadable;
  const fs::path members = function_folder(address, paths) / "iommu_group/devices";
  for (const fs::directory_entry& entry : fs::directory_iterator(members, unreadable)) {
    const std::string name = entry.path().filename().string();
    const std::string driver = name_behind(entry.path() / "driver");
    const bool bridge = first_word(entry.path() / "class").starts_with("0x06");
    if (name == address || bridge || driver.empty() || driver.starts_with("vfio-")) continue;
    others.push_back(fmt::format("{} (driver {})", name, driver));
  }
  std::sort(others.begin(), others.end());
  return fmt::format("{}", fmt::join(others, ", "));
}

VfioGroup::VfioGroup(const std::string& address, const VfioPaths& paths) : address_(address) {
  const fs::path function = function_folder(address, paths);
  const fs::path folder = function / "iommu_group";
  number_ = name_behind(folder);
  if (number_.empty() || first_word(folder / "name") == "vfio-noiommu") {
    throw refused(address_, "no IOMMU keeps the card from the rest of the memory",
                  fmt::format("turn on VT-d or AMD-Vi (IOMMU) in the BIOS setup, start the kernel with intel_iommu=on "
                              "(Intel only; GRUB_CMDLINE_LINUX in /etc/default/grub, then update-grub), and see: "
                              "ixcap doctor {}",
                              address));
  }
  const std::string driver = name_behind(function / "driver");
  if (driver != vfio_driver) {
    throw refused(address_,
                  driver.empty() ? "no driver has the card" : "the kernel's driver " + driver + " has the card",
                  "take it: sudo ixcap bind " + address);
  }
  open_container(paths.dev + "/vfio/vfio");
  open_group(fmt::format("{}/vfio/{}", paths.dev, number_), paths);
  attach();
}

void VfioGroup::open_container(const std::string& path) {
  container_ = FileDescriptor(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!container_.valid()) {
    throw Error::from_errno("cannot open", path, errno,
                            errno == EACCES ? "sudo chmod 0666 " + path : std::string("sudo modprobe vfio-pci"));
  }
  const int version = ::ioctl(container_.number(), VFIO_GET_API_VERSION);
  if (version < 0) throw Error::from_errno("cannot use what is no VFIO,", path, errno, "sudo modprobe vfio-pci");
  if (version != VFIO_API_VERSION) {
    throw refused(address_, fmt::format("the kernel's VFIO has version {}, and {} is known", version, VFIO_API_VERSION),
                  "use a version of ixcap for this kernel");
  }
  if (::ioctl(container_.number(), VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) != 1) {
    throw refused(address_, "the kernel's VFIO knows no IOMMU of type 1, version 2", "sudo modprobe vfio_iommu_type1");
  }
}

void VfioGroup::open_group(const std::string& path, const VfioPaths& paths) {
  group_ = FileDescriptor(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!group_.valid()) {
    switch (errno) {
      case EACCES:
      case EPERM:
        throw refused(address_, "this user may not open " + path,
                      fmt::format("have the card given to you: sudo ixcap bind --user \"$USER\" {}", address_));
      case EBUSY:
        throw refused(
            address_, "another program has " + path + " open",
            fmt::format("end it (which one: sudo fuser -v {}); cards of one IOMMU group are for one program", path));
      default:
        throw Error::from_errno("cannot open", path, errno, "bind the card again: sudo ixcap bind " + address_);
    }
  }
  vfio_group_status status{sizeof status, 0};
  if (::ioctl(group_.number(), VFIO_GROUP_GET_STATUS, &status) != 0) {
    throw Error::from_errno("cannot use IOMMU group", number_, errno, "see what the kernel says: sudo dmesg");
  }
  if ((status.flags & VFIO_GROUP_FLAGS_VIABLE) == 0) {
    throw refused(
        address_,
        fmt::format("the kernel uses other devices of its IOMMU group {}: {}", number_, others_in_use(address_, paths)),
        fmt::format("take all of the group: sudo ixcap bind {}", address_));
  }
}

void VfioGroup::attach() {
  const int container = container_.number();
  if (::ioctl(group_.number(), VFIO_GROUP_SET_CONTAINER, &container) != 0) {
    throw Error::from_errno("cannot use IOMMU group", number_, errno, "see what the kernel says: sudo dmesg");
  }
  if (::ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) == 0) return;
  if (errno == EPERM) {
    throw refused(address_, "the IOMMU does not confine interrupts", mend_of_stray_interrupts("sudo "));
  }
  throw Error::from_errno("cannot have an I/O address space for", address_, errno,
                          "see what the kernel says: sudo dmesg");
}

FileDescriptor VfioGroup::open_device() const {
  FileDescriptor device(::ioctl(group_.number(), VFIO_GROUP_GET_DEVICE_FD, address_.c_str()));
  if (!device.valid()) {
    throw Error::from_errno("cannot open interface", address_, errno,
                            "bind the card again: sudo ixcap bind " + address_);
  }
  return device;
}

}  // namespace ixcap::pci

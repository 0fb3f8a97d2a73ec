#pragma once

/// The way to a card through the kernel's VFIO: its IOMMU group, opened in a container of its own.
///
///     /sys/bus/pci/devices/ADDRESS/iommu_group  ──►  /dev/vfio/GROUP  ──►  /dev/vfio/vfio (the container: one I/O
///                                                                          address space, IOMMU of type 1, version 2)
///
/// Every step that can fail says what is in the way and which command removes it: no such function, no IOMMU, another
/// driver, another process, no permission, others in the group. There is no way without an IOMMU.
///
/// Ownership: owns both files; a device opened through the group may outlive it.
/// Threads: any.
/// Errors: ixcap::Error from the constructor and open_device().

#include <string>

#include <ixcap/driver/error.hpp>
#include <ixcap/driver/pci/device.hpp>
#include <ixcap/driver/pci/file_descriptor.hpp>

namespace ixcap::pci {

/// Where sysfs and the device files are; elsewhere in tests.
struct VfioPaths {
  std::string sysfs = "/sys";
  std::string dev = "/dev";
};

class VfioGroup {
 public:
  /// Opens the group of the function at `address` ("0000:03:00.0").
  explicit VfioGroup(const std::string& address, const VfioPaths& paths = {});

  /// What sysfs tells of the function, without opening anything. Throws if there is none.
  static Identity identify(const std::string& address, const VfioPaths& paths = {});

  /// The other functions of its IOMMU group that drivers of the kernel have ("0000:03:00.1 (driver ixgbe), ..."): what
  /// keeps the group from being used. Bridges do not.
  static std::string others_in_use(const std::string& address, const VfioPaths& paths = {});

  int container() const noexcept { return container_.number(); }

  /// The function itself, as the file that linux/vfio.h calls a device.
  FileDescriptor open_device() const;

 private:
  void open_container(const std::string& path);
  void open_group(const std::string& path, const VfioPaths& paths);
  void attach();

  std::string address_;
  std::string number_;  ///< of the group
  FileDescriptor container_;
  FileDescriptor group_;
};

}  // namespace ixcap::pci

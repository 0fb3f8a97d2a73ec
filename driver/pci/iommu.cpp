#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include <ixcap/driver/pci/iommu.hpp>

namespace ixcap::pci {
namespace {

namespace fs = std::filesystem;

/// Below sysfs.
constexpr const char* allow_stray_interrupts = "/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts";

std::string read_text(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

bool has_parameter(const std::string& command_line, const std::string& parameter) {
  std::istringstream words(command_line);
  for (std::string word; words >> word;) {
    if (word == parameter || word.starts_with(parameter + ",")) return true;
  }
  return false;
}

/// The commands that change the kernel's command line on Debian; `expression` is sed's.
std::string edit_command_line(const std::string& sudo, const std::string& expression) {
  return fmt::format("{0}sed -i '{1}' /etc/default/grub && {0}update-grub && {0}reboot", sudo, expression);
}

struct Vendor {
  const char* switch_name;  ///< of the kernel
  const char* table;        ///< of ACPI, with which the firmware tells of its IOMMU
  const char* firmware_option;
};
constexpr Vendor intel{"intel_iommu", "DMAR", "VT-d"};
constexpr Vendor amd{"amd_iommu", "IVRS", "AMD-Vi, or IOMMU"};

/// Whose IOMMU the firmware tells of; where it tells of none, that of the processor's maker. (Virtual machines mix.)
const Vendor& vendor_of(const Roots& roots) {
  std::error_code absent;
  for (const Vendor* vendor : {&intel, &amd}) {
    if (fs::exists(roots.sysfs + "/firmware/acpi/tables/" + vendor->table, absent)) return *vendor;
  }
  return read_text(roots.procfs + "/cpuinfo").find("AuthenticAMD") != std::string::npos ? amd : intel;
}

}  // namespace

std::optional<Error> why_no_iommu(const Kernel& kernel, const Function& function, const std::string& sudo) {
  if (function.iommu_group) return std::nullopt;
  const Roots& roots = kernel.roots();
  const Vendor& vendor = vendor_of(roots);
  const std::string command_line = read_text(roots.procfs + "/cmdline");
  const auto refuse = [&](const std::string& reason, const std::string& mend) {
    return Error("no IOMMU confines the card", function.address, reason, mend);
  };
  for (const std::string& off : {std::string(vendor.switch_name) + "=off", std::string("iommu=off")}) {
    if (has_parameter(command_line, off)) {
      return refuse("the kernel was started with " + off, edit_command_line(sudo, "s/ *\\b" + off + "\\b//"));
    }
  }
  std::error_code absent;
  const std::string tables = roots.sysfs + "/firmware/acpi/tables";
  if (fs::exists(tables, absent) && !fs::exists(tables + "/" + vendor.table, absent)) {
    return refuse("the firmware offers none", std::string("turn on ") + vendor.firmware_option +
                                                  " in the BIOS setup; in a virtual machine, give it one");
  }
  const std::string on = std::string(vendor.switch_name) + "=on";
  if (&vendor == &intel && !has_parameter(command_line, on)) {
    return refuse("the kernel was started without " + on,
                  edit_command_line(sudo, "s/^GRUB_CMDLINE_LINUX=\"/&" + on + " /"));
  }
  return refuse("the kernel uses none for it", fmt::format("see why: {}dmesg | grep -iE 'dmar|iommu|amd-vi'", sudo));
}

StrayInterrupts stray_interrupts(const Roots& roots) {
  const std::string controllers = read_text(roots.procfs + "/interrupts");
  const auto has = [&controllers](const char* name) { return controllers.find(name) != std::string::npos; };
  if (has(" IR-")) return StrayInterrupts::none;
  if (!has(" IO-APIC") && !has(" PCI-MSI")) return StrayInterrupts::unknown;
  const bool allowed = read_text(roots.sysfs + allow_stray_interrupts).starts_with('Y');
  return allowed ? StrayInterrupts::trusted : StrayInterrupts::refused;
}

std::string mend_of_stray_interrupts(const std::string& sudo) {
  const std::string file = std::string("/sys") + allow_stray_interrupts;
  return fmt::format(
      "turn on interrupt remapping (with x2APIC) in the BIOS setup; on a machine without it, if the card is to be "
      "trusted: {}modprobe vfio_iommu_type1 && echo 1 {}",
      sudo, sudo.empty() ? "> " + file : "| sudo tee " + file);
}

}  // namespace ixcap::pci

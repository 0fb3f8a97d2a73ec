#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include <ixcap/driver/error.hpp>
#include <ixcap/driver/pci/file_descriptor.hpp>
#include <ixcap/driver/pci/kernel.hpp>
#include <ixcap/driver/pci/module_loader.hpp>

namespace ixcap::pci {
namespace {

namespace fs = std::filesystem;

std::string read_word(const fs::path& path) {
  std::ifstream file(path);
  std::string word;
  file >> word;
  return word;
}

/// Module names with - and _ are the same name.
std::string underscored(std::string name) {
  for (char& c : name) {
    if (c == '-') c = '_';
  }
  return name;
}

/// Whether a list like modules.dep has ".../NAME.ko", compressed or not, at the beginning of a line.
bool lists_module(const fs::path& list, const std::string& name) {
  std::ifstream file(list);
  std::string line;
  while (std::getline(file, line)) {
    const std::string path = line.substr(0, line.find(':'));
    const std::string file_name = path.substr(path.rfind('/') + 1);
    if (underscored(file_name.substr(0, file_name.find(".ko"))) == name) return true;
  }
  return false;
}

std::string mend_for(int error_number) {
  if (error_number == EACCES || error_number == EPERM) return "be root: put sudo before the command";
  return "see what the kernel says: dmesg | tail";
}

}  // namespace

void Kernel::write(const std::string& attribute, std::string_view text) {
  const std::string path = roots_.sysfs + "/" + attribute;
  const FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file.valid()) throw Error::from_errno("cannot open", path, errno, mend_for(errno));
  ssize_t written = 0;
  do {
    written = ::write(file.number(), text.data(), text.size());
  } while (written < 0 && errno == EINTR);
  if (written >= 0) return;
  const int error_number = errno;
  throw Error::from_errno(fmt::format("cannot write '{}' to", text.substr(0, text.find('\n'))), path, error_number,
                          mend_for(error_number));
}

void Kernel::load_module(const std::string& name) {
  pci::load_module(name);
}

std::vector<std::string> Kernel::addresses(const std::string& interface, bool lasting) const {
  return interface_addresses(interface, lasting);
}

bool Kernel::default_route(const std::string& interface) const {
  return holds_default_route(interface);
}

void Kernel::restore(const std::string& interface, const NetworkState& wanted) {
  restore_interface(interface, wanted);
}

bool Kernel::group_in_use(unsigned group) const {
  // A group is opened by one at a time.
  const FileDescriptor file(::open(group_file(group).c_str(), O_RDWR | O_CLOEXEC));
  return !file.valid() && errno == EBUSY;
}

void Kernel::hand_over(unsigned group, uid_t user) {
  const std::string path = group_file(group);
  const FileDescriptor file(::open(path.c_str(), O_PATH | O_CLOEXEC | O_NOFOLLOW));
  const std::string opened = fmt::format("/proc/self/fd/{}", file.number());
  if (file.valid() && ::chmod(opened.c_str(), S_IRUSR | S_IWUSR) == 0 &&
      ::chown(opened.c_str(), user, static_cast<gid_t>(-1)) == 0) {
    return;
  }
  const int error_number = errno;
  throw Error::from_errno("cannot hand over", path, error_number,
                          fmt::format("do it by hand: chown {} {}", user, path));
}

void Kernel::pause() {
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
}

std::optional<NetworkState> Kernel::network(const std::string& interface) const {
  constexpr unsigned flag_up = 1;
  const fs::path folder = fs::path(roots_.sysfs) / "class/net" / interface;
  std::error_code absent;
  if (interface.empty() || !fs::exists(folder, absent)) return std::nullopt;
  NetworkState state{.name = interface, .mtu = 0, .mac = read_word(folder / "address"), .up = false, .addresses = {}};
  std::ifstream(folder / "mtu") >> state.mtu;
  unsigned flags = 0;
  std::ifstream(folder / "flags") >> std::hex >> flags;
  state.up = (flags & flag_up) != 0;
  state.addresses = addresses(interface, true);
  return state;
}

std::string Kernel::group_file(unsigned group) const {
  return fmt::format("{}/vfio/{}", roots_.dev, group);
}

bool Kernel::has_module(const std::string& name) const {
  const std::string wanted = underscored(name);
  std::error_code absent;
  if (fs::exists(fs::path(roots_.sysfs) / "module" / wanted, absent)) return true;
  utsname running{};
  if (::uname(&running) != 0) return false;
  const fs::path folder = fs::path(roots_.modules) / running.release;
  return lists_module(folder / "modules.dep", wanted) || lists_module(folder / "modules.builtin", wanted);
}

}  // namespace ixcap::pci

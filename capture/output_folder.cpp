#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>

#include <ixcap/capture/output_folder.hpp>
#include <ixcap/driver/error.hpp>

namespace ixcap::capture {
namespace {

constexpr const char* cannot_open = "cannot open capture file";

}  // namespace

OutputFolder::OutputFolder(const std::string& path) : prefix_(path) {
  if (!prefix_.empty() && prefix_.back() != '/') prefix_ += '/';
  const std::string opened = prefix_.empty() ? "." : prefix_;
  int number = ::open(opened.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  // One that may be written to but not listed.
  if (number < 0 && errno == EACCES) number = ::open(opened.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (number < 0)
    throw Error::from_errno("cannot write to the folder of the capture file", opened, errno, mend_for_open(errno));
  descriptor_ = pci::FileDescriptor(number);
}

OutputFile OutputFolder::create_part(const std::string& name) const {
  const std::string part = name + part_suffix;
  const auto failure = [&](int error_number) {
    return Error::from_errno(cannot_open, path_of(name), error_number, mend_for_open(error_number));
  };
  struct stat status = {};
  if (name.empty() || (::fstatat(descriptor_.number(), name.c_str(), &status, 0) == 0 && S_ISDIR(status.st_mode)))
    throw failure(EISDIR);
  int number = -1;
  do {
    number = ::openat(descriptor_.number(), part.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
  } while (number < 0 && errno == EINTR);
  if (number < 0) throw failure(errno);
  // Where there are no locks, nobody is kept from anything.
  const bool taken = ::flock(number, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  if (!taken && ::ftruncate(number, 0) == 0) return {number, path_of(name), false};
  const int error_number = errno;
  ::close(number);
  if (!taken) throw failure(error_number);
  throw Error(cannot_open, path_of(part), "another capture is writing it", "end that, or give another name");
}

void OutputFolder::finish(const std::string& name, bool sync) const {
  const std::string part = name + part_suffix;
  if (::renameat(descriptor_.number(), part.c_str(), descriptor_.number(), name.c_str()) != 0) {
    throw Error::from_errno("cannot rename capture file", path_of(part), errno, "it is complete: rename it yourself");
  }
  if (sync) ::fsync(descriptor_.number());  // where a folder cannot be synchronised, its file has been
}

void OutputFolder::remove_part(const std::string& name) const noexcept {
  ::unlinkat(descriptor_.number(), (name + part_suffix).c_str(), 0);
}

void OutputFolder::remove(const std::string& name) const noexcept {
  ::unlinkat(descriptor_.number(), name.c_str(), 0);
}

std::optional<std::uint64_t> OutputFolder::free_bytes() const noexcept {
  struct statvfs status = {};
  if (::fstatvfs(descriptor_.number(), &status) != 0) return std::nullopt;
  return std::uint64_t{status.f_bavail} * status.f_frsize;
}

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash + 1);
}

std::string name_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

bool is_stream(const std::string& path) {
  if (path == "-" || path.starts_with("/dev/") || path.starts_with("/proc/")) {
    return !path.starts_with("/dev/shm/");
  }
  struct stat status = {};
  return ::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode);
}

std::string without_links(const std::string& path) {
  std::error_code absent;
  if (!std::filesystem::is_symlink(path, absent)) return path;
  const std::filesystem::path target = std::filesystem::canonical(path, absent);
  return absent ? path : target.string();
}

}  // namespace ixcap::capture

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include <ixcap/capture/output_file.hpp>
#include <ixcap/driver/error.hpp>

namespace ixcap::capture {
namespace {

constexpr const char* cannot_open = "cannot open capture file";

}  // namespace

std::string mend_for_open(int error_number) {
  switch (error_number) {
    case ENOENT:
      return "create its directory (mkdir -p)";
    case EISDIR:
      return "give the path of a file in it";
    case ENOSPC:
    case EDQUOT:
      return "free space there (df -h), or write to another disk";
    case EROFS:
    case EACCES:
    case EPERM:
      return "give a path that you may write to";
    default:
      return "give the path of another file";
  }
}

OutputFile open_output(const std::string& path) {
  if (path == "-") {
    OutputFile file = {STDOUT_FILENO, "standard output", true};
    if (::isatty(file.descriptor) != 0)
      throw Error(cannot_open, file.name, "it is a terminal",
                  "pipe it to a program that reads pcapng: -w - | tshark -r -");
    return file;
  }
  int descriptor = -1;
  do {
    descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  } while (descriptor < 0 && errno == EINTR);
  if (descriptor < 0) throw Error::from_errno(cannot_open, path, errno, mend_for_open(errno));
  return {descriptor, path, false};
}

}  // namespace ixcap::capture

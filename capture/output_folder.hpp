#pragma once

/// A folder that capture files are written to, held open: files in it can be created, renamed and deleted as long as
/// its permissions allow that, whoever this process has become meanwhile and whatever happens to the path to it.
///
/// A file is written under its name and ".part", then renamed, so that whatever bears the name is complete; a file of
/// that name that is there already stays what it is until then. A part that another process is writing is refused; one
/// that was left behind is written over.
///
/// Threads: one at a time. Errors: ixcap::Error.

#include <cstdint>
#include <optional>
#include <string>

#include <ixcap/capture/output_file.hpp>
#include <ixcap/driver/pci/file_descriptor.hpp>

namespace ixcap::capture {

class OutputFolder {
 public:
  static constexpr const char* part_suffix = ".part";

  /// Empty: the current folder.
  explicit OutputFolder(const std::string& path);

  /// Creates the part of `name`, a name without a folder.
  OutputFile create_part(const std::string& name) const;
  /// The part, which is written, gets its name. With `sync` that is on the disk, too.
  void finish(const std::string& name, bool sync) const;
  void remove_part(const std::string& name) const noexcept;
  void remove(const std::string& name) const noexcept;

  /// Bytes that this process may still write to the file system; none: it does not say.
  std::optional<std::uint64_t> free_bytes() const noexcept;

  /// `name` as a path.
  std::string path_of(const std::string& name) const { return prefix_ + name; }

 private:
  std::string prefix_;  // up to and with the last slash
  pci::FileDescriptor descriptor_;
};

/// The part of `path` up to and with its last slash.
std::string folder_of(const std::string& path);
/// The part of `path` after its last slash.
std::string name_of(const std::string& path);

/// Whether `path` is something that bytes are sent to rather than a file that is made: standard output ("-"), a pipe or
/// a device, and whatever lies in /dev or /proc.
bool is_stream(const std::string& path);

/// `path`, or where it points to if it is a symbolic link.
std::string without_links(const std::string& path);

}  // namespace ixcap::capture

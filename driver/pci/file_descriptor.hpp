#pragma once

/// A file descriptor that closes itself.
///
/// Threads: one at a time.

#include <unistd.h>

#include <utility>

namespace ixcap::pci {

class FileDescriptor {
 public:
  FileDescriptor() = default;
  /// Takes over `number`; -1 stands for none.
  explicit FileDescriptor(int number) noexcept : number_(number) {}
  ~FileDescriptor() { reset(); }
  FileDescriptor(FileDescriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    if (this != &other) {
      reset();
      number_ = std::exchange(other.number_, -1);
    }
    return *this;
  }

  bool valid() const noexcept { return number_ >= 0; }
  int number() const noexcept { return number_; }
  void reset() noexcept {
    if (number_ >= 0) ::close(number_);
    number_ = -1;
  }

 private:
  int number_ = -1;
};

}  // namespace ixcap::pci

#pragma once

/// Memory for native code: written first, then made executable, never both (W^X).
///
/// A program's code and its constants lie in one mapping, the constants behind the code on pages that are readable and
/// not executable: what a hostile program chooses does not become instructions. The mapping goes when its owner does.

#include <cstddef>
#include <cstdint>
#include <span>

#include <ixcap/driver/error.hpp>

namespace ixcap::filter::jit {

/// Code ends, and constants begin, at multiples of this many bytes.
inline constexpr std::size_t page_size = 4096;

class CodeMemory {
 public:
  /// Copies `image`: `code_size` bytes of code, a multiple of page_size, then constants. Throws Error if the kernel
  /// gives no memory or refuses to make it executable.
  CodeMemory(std::span<const std::uint8_t> image, std::size_t code_size);
  ~CodeMemory();
  CodeMemory(const CodeMemory&) = delete;
  CodeMemory& operator=(const CodeMemory&) = delete;

  const std::uint8_t* start() const noexcept { return start_; }

 private:
  std::uint8_t* start_ = nullptr;
  std::size_t size_;
};

}  // namespace ixcap::filter::jit

#pragma once

/// Copies a frame's bytes. At 15 million frames a second most of them are 60 bytes long, and a call of memcpy that
/// first finds out how long they are is a good part of what such a frame costs.

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace ixcap::capture {

/// Copies `count` bytes; the two ranges do not overlap. Touches no byte outside them.
inline void copy_frame(std::uint8_t* to, const std::uint8_t* from, std::size_t count) noexcept {
  if (count - 32 <= 32) {  // 32 to 64: two copies of 32 bytes, which meet or overlap
    std::memcpy(to, from, 32);
    std::memcpy(to + count - 32, from + count - 32, 32);
  } else if (count != 0) {  // an empty frame may come with a null pointer, which memcpy does not take
    std::memcpy(to, from, count);
  }
}

}  // namespace ixcap::capture

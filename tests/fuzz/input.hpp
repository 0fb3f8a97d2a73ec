#pragma once

/// What the fuzz targets share: numbers off the front of the input, and a check that stays in every build.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace ixcap::test {

inline void require(bool condition) {
  if (!condition) std::abort();
}

/// Takes numbers off the input's front; zeros when it is used up.
struct Input {
  const std::uint8_t* data;
  std::size_t size;

  template <typename Number>
  Number take() {
    Number number = 0;
    const std::size_t count = size < sizeof number ? size : sizeof number;
    if (count != 0) std::memcpy(&number, data, count);
    data += count;
    size -= count;
    return number;
  }
};

}  // namespace ixcap::test

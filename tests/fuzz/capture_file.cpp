// Any bytes are a capture file or an Error; every byte lent can be read, and lengths keep their order and bound.

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <string>

#include <ixcap/driver/emulator/traffic.hpp>

using ixcap::emulator::WireFrame;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const int file = ::memfd_create("capture", 0);
  static const std::string path = "/proc/self/fd/" + std::to_string(file);
  if (file < 0 || ::ftruncate(file, 0) != 0) std::abort();
  if (::pwrite(file, data, size, 0) != static_cast<ssize_t>(size)) std::abort();
  try {
    const auto traffic = ixcap::emulator::open_traffic({.source = path, .loop = 2});
    [[maybe_unused]] static volatile std::uint8_t sink = 0;
    while (const WireFrame* frame = traffic->next()) {
      if (frame->captured_length > frame->wire_length || frame->wire_length > WireFrame::longest) std::abort();
      for (std::uint32_t i = 0; i < frame->captured_length; ++i) sink = frame->bytes[i];
    }
    if (traffic->next() != nullptr) std::abort();
  } catch (const ixcap::Error& error) {
    if (error.reason().empty() || error.mend().empty()) std::abort();
  }
  return 0;
}

// Any bytes are a fault specification or an Error; what is accepted is within its bounds, and is read again as it is
// written.

#include <cstdlib>
#include <string_view>

#include <ixcap/driver/emulator/fault_spec.hpp>
#include <ixcap/driver/error.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const ixcap::emulator::FaultSpec spec = ixcap::emulator::parse_faults(text);
    if (spec.damaged_frames() > 1.001 || spec.damaged_frames() < 0) std::abort();
    if (ixcap::emulator::parse_faults(spec.to_string()) != spec) std::abort();
  } catch (const ixcap::Error& error) {
    if (error.reason().empty() || error.mend().empty()) std::abort();
  }
  return 0;
}

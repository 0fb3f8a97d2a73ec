// Any bytes are a traffic specification or an Error, and what is accepted is within its bounds.

#include <cstdlib>
#include <string_view>

#include <ixcap/driver/emulator/traffic.hpp>

using ixcap::emulator::Rate;
using ixcap::emulator::TrafficSpec;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const TrafficSpec spec = ixcap::emulator::parse_traffic(text);
    if (spec.source.empty()) std::abort();
    if (spec.sizes == TrafficSpec::Sizes::fixed &&
        (spec.fixed_size < TrafficSpec::smallest_size || spec.fixed_size > TrafficSpec::largest_size)) {
      std::abort();
    }
    const bool paced = spec.rate.unit != Rate::Unit::as_fast_as_received;
    if (paced != (spec.rate.spacing_ps(60) > 0)) std::abort();
  } catch (const ixcap::Error& error) {
    if (error.reason().empty() || error.mend().empty()) std::abort();
  }
  return 0;
}

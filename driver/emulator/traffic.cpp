#include <ixcap/driver/emulator/capture_file_traffic.hpp>
#include <ixcap/driver/emulator/mix_traffic.hpp>
#include <ixcap/driver/emulator/traffic.hpp>

namespace ixcap::emulator {

std::unique_ptr<Traffic> open_traffic(const TrafficSpec& spec) {
  if (spec.is_mix()) return std::make_unique<MixTraffic>(spec);
  return std::make_unique<CaptureFileTraffic>(spec);
}

}  // namespace ixcap::emulator

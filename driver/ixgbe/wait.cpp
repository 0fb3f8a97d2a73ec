#include <fmt/format.h>

#include <thread>

#include <ixcap/driver/error.hpp>
#include <ixcap/driver/ixgbe/wait.hpp>

namespace ixcap::ixgbe {

void wait_for(pci::Device& device, const Register& reg, std::uint32_t index, std::uint32_t mask, std::uint32_t wanted,
              Patience patience, const char* step) {
  std::uint32_t value = 0;
  for (unsigned attempt = 0; attempt < patience.tries; ++attempt) {
    value = device.read(reg.offset(index));
    if ((value & mask) == wanted) return;
    std::this_thread::sleep_for(patience.interval);
  }
  const std::string instance = reg.count > 1 ? fmt::format("[{}]", index) : "";
  const auto waited = std::chrono::duration_cast<std::chrono::milliseconds>(patience.tries * patience.interval);
  const std::string reason =
      value == 0xFFFFFFFF
          ? fmt::format("{}{} reads all ones: the device is gone", reg.name, instance)
          : fmt::format("{}{} (0x{:05x}) stayed 0x{:08x} for {} ms, waiting for bits 0x{:08x} to be 0x{:08x}", reg.name,
                        instance, reg.offset(index), value, waited.count(), mask, wanted);
  throw Error(step, device.identity().address, reason, "try again; if it stays so, power-cycle the machine");
}

}  // namespace ixcap::ixgbe

#include <fmt/format.h>

#include <thread>

#include <ixcap/driver/error.hpp>
#include <ixcap/driver/ixgbe/link.hpp>
#include <ixcap/driver/ixgbe/register_bits.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>
#include <ixcap/driver/ixgbe/wait.hpp>

namespace ixcap::ixgbe {

LinkState read_link_state(pci::Device& device) {
  return {device.read(AUTOC.offset()), device.read(ESDP.offset())};
}

void restore_link_state(pci::Device& device, const LinkState& found) {
  const LinkState now = read_link_state(device);
  constexpr std::uint32_t gone = 0xFFFFFFFF;
  if (found.autoc == gone || now.autoc == gone) return;
  if (((found.autoc ^ now.autoc) & ~AUTOC_AN_RESTART) != 0) {
    device.write(AUTOC.offset(), found.autoc | AUTOC_AN_RESTART);
  }
  if (((found.esdp ^ now.esdp) & ESDP_SDP3) != 0) device.write(ESDP.offset(), now.esdp ^ ESDP_SDP3);
}

void set_up_link(pci::Device& device) {
  clear_bits(device, ESDP, ESDP_SDP3);
  const std::uint32_t autoc = device.read(AUTOC.offset()) & ~AUTOC_LMS_MASK;
  device.write(AUTOC.offset(), autoc | AUTOC_LMS_10G_SERIAL | AUTOC_AN_RESTART);
}

Link read_link(pci::Device& device) {
  const std::uint32_t links = device.read(LINKS.offset());
  if ((links & LINKS_UP) == 0 || links == 0xFFFFFFFF) return {};
  switch (links & LINKS_SPEED_MASK) {
    case LINKS_SPEED_10G:
      return {true, 10'000'000'000};
    case LINKS_SPEED_1G:
      return {true, 1'000'000'000};
    case LINKS_SPEED_100M:
      return {true, 100'000'000};
    default:
      return {true, 0};
  }
}

Link wait_for_link(pci::Device& device, std::chrono::milliseconds patience) {
  constexpr std::chrono::milliseconds interval{10};
  for (auto waited = std::chrono::milliseconds{0};; waited += interval) {
    if (const Link link = read_link(device); link.up) return link;
    if (waited >= patience) break;
    std::this_thread::sleep_for(interval);
  }
  throw Error("no link on", device.identity().address,
              fmt::format("LINKS is 0x{:08x} after {} ms", device.read(LINKS.offset()), patience.count()),
              "check that the SFP+ module is seated, the cable is plugged at both ends and the other side is up");
}

}  // namespace ixcap::ixgbe

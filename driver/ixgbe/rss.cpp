#include <ixcap/driver/ixgbe/register_bits.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>
#include <ixcap/driver/ixgbe/rss.hpp>
#include <ixcap/driver/ixgbe/wait.hpp>

namespace ixcap::ixgbe {

void program_rss(pci::Device& device, std::uint32_t queues) {
  // Each queue counts in the statistics slot of its number.
  for (std::uint32_t i = 0; i < RQSMR.count; ++i) {
    std::uint32_t slots = 0;
    for (std::uint32_t queue = 4 * i; queue < 4 * i + 4 && queue < most_queues; ++queue)
      slots |= queue << queue % 4 * 8;
    device.write(RQSMR.offset(i), slots);
  }
  if (queues == 1) {
    device.write(MRQC.offset(), 0);
    clear_bits(device, RXCSUM, RXCSUM_PCSD);
    return;
  }
  for (std::uint32_t i = 0; i < RSSRK.count; ++i) device.write(RSSRK.offset(i), symmetric_key_word);
  for (std::uint32_t i = 0; i < RETA.count; ++i) {
    std::uint32_t entries = 0;
    for (std::uint32_t k = 0; k < 4; ++k) entries |= (4 * i + k) % queues << k * 8;
    device.write(RETA.offset(i), entries);
  }
  set_bits(device, RXCSUM, RXCSUM_PCSD);  // the hash goes where the IP identification went: both cannot be had
  device.write(MRQC.offset(),
               MRQC_MRQE_RSS | MRQC_TCP_IPV4 | MRQC_IPV4 | MRQC_IPV6 | MRQC_TCP_IPV6 | MRQC_UDP_IPV4 | MRQC_UDP_IPV6);
}

}  // namespace ixcap::ixgbe

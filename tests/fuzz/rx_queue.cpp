// Whatever a device writes into its descriptors, a receive queue lends only bytes that are there, and every descriptor
// goes back to the card sooner or later.
//
// Input: turns, each of one byte, how many descriptors are written before the next poll, and their status words: a
// byte that says what of the word is made plausible, then eight bytes.

#include <functional>
#include <string>

#include <ixcap/driver/ixgbe/rx_queue.hpp>

#include "tests/driver/raw_device.hpp"
#include "tests/fuzz/input.hpp"

namespace {

using namespace ixcap;
using test::Input;
using test::require;

constexpr std::uint32_t ring_size = ixgbe::fewest_descriptors;

ixgbe::ReceiveStatus take_status(Input& input) {
  const auto shape = input.take<std::uint8_t>();
  const std::uint64_t bits = input.take<std::uint64_t>();
  // Words drawn at random would hardly ever be done and of a possible length.
  const std::uint64_t length = bits >> ixgbe::ReceiveStatus::length_shift;
  switch (shape % 4) {
    case 0:
      return {bits};
    case 1:
      return {bits | ixgbe::ReceiveStatus::DD};
    case 2:
      return ixgbe::ReceiveStatus::of(static_cast<std::uint32_t>(length % (ixgbe::buffer_bytes + 2)), true);
    default:
      return ixgbe::ReceiveStatus::of(static_cast<std::uint32_t>(length % (ixgbe::buffer_bytes + 2)), false);
  }
}

/// Reads every byte. Those of a frame in its buffer are within the queue's pages; those of a joined frame are within a
/// heap allocation, which the sanitizer watches.
void read_frame(const Frame& frame, const pci::Pages& pages) {
  [[maybe_unused]] static volatile std::uint8_t sink = 0;
  require(frame.wire_length == frame.captured_length);
  require(frame.captured_length <= longest_frame + ixgbe::buffer_bytes);
  const std::uint8_t* const end = pages.data() + pages.size();
  if (std::less_equal<>()(pages.data(), frame.data) && std::less<>()(frame.data, end)) {
    require(frame.captured_length <= static_cast<std::size_t>(end - frame.data));
  }
  for (std::uint32_t i = 0; i < frame.captured_length; ++i) sink = frame.data[i];
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  test::RawDevice device;
  ixgbe::RxQueue queue(device, 0, ring_size);
  auto* const ring = reinterpret_cast<ixgbe::ReceiveDescriptor*>(queue.pages().data());
  Input input = {data, size};
  Frame lent[batch_size];
  std::uint32_t slot = 0;
  while (input.size > 0) {
    for (unsigned left = input.take<std::uint8_t>() % (2 * ring_size); left > 0 && input.size > 0; --left) {
      ring[slot].write_back(input.take<std::uint8_t>(), take_status(input));
      slot = (slot + 1) % ring_size;
    }
    const std::size_t count = queue.poll(lent);
    require(count <= batch_size);
    for (std::size_t i = 0; i < count; ++i) read_frame(lent[i], queue.pages());
    queue.release();
    require(device.tail < ring_size);
  }
  // The device completes everything: the queue comes to an end of it.
  for (std::uint32_t i = 0; i < ring_size; ++i) ring[i].write_back(0, ixgbe::ReceiveStatus::of(60, true));
  std::size_t received = 0;
  for (unsigned turn = 0; turn < 2 * ring_size; ++turn) {
    const std::size_t count = queue.poll(lent);
    for (std::size_t i = 0; i < count; ++i) read_frame(lent[i], queue.pages());
    queue.release();
    received += count;
  }
  require(received >= ring_size - 1);
  require(queue.poll(lent) == 0);
  return 0;
}

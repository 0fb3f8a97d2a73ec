// Whatever a device writes into its descriptors, a receive queue lends only bytes that are there, and every descriptor
// goes back to the card sooner or later; and it lends the same whichever vectors it works with.
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
  test::RawDevice devices[2];
  ixgbe::RxQueue scalar(devices[0], 0, ring_size, {.vectors = ixgbe::VectorLevel::scalar});
  ixgbe::RxQueue vectors(devices[1], 0, ring_size);
  Frame lent[batch_size];
  Frame lent_by_vectors[batch_size];
  const auto write_back = [&devices](std::uint32_t slot, std::uint64_t first_half, ixgbe::ReceiveStatus status) {
    for (test::RawDevice& device : devices) device.ring[slot].write_back(first_half, status);
  };
  const auto turn = [&] {
    const std::size_t count = scalar.poll(lent);
    require(count <= batch_size);
    require(vectors.poll(lent_by_vectors) == count);
    require(vectors.marked() == scalar.marked());
    for (std::size_t i = 0; i < count; ++i) {
      read_frame(lent[i], scalar.pages());
      read_frame(lent_by_vectors[i], vectors.pages());
      require(lent[i].captured_length == lent_by_vectors[i].captured_length);
    }
    scalar.release();
    vectors.release();
    require(devices[0].tail < ring_size);
    require(devices[0].tail == devices[1].tail);
    return count;
  };
  Input input = {data, size};
  std::uint32_t slot = 0;
  while (input.size > 0) {
    for (unsigned left = input.take<std::uint8_t>() % (2 * ring_size); left > 0 && input.size > 0; --left) {
      const auto first_half = input.take<std::uint8_t>();
      write_back(slot, first_half, take_status(input));
      slot = (slot + 1) % ring_size;
    }
    turn();
  }
  // The device completes everything: the queue comes to an end of it.
  for (std::uint32_t i = 0; i < ring_size; ++i) write_back(i, 0, ixgbe::ReceiveStatus::of(60, true));
  std::size_t received = 0;
  for (unsigned i = 0; i < 2 * ring_size; ++i) received += turn();
  require(received >= ring_size - 1);
  require(turn() == 0);
  return 0;
}

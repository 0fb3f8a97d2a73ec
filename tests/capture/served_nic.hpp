#pragma once

/// A software NIC for tests of sending: served to the injector as another process would serve it; it keeps what it has
/// sent.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include <ixcap/driver/emulator/nic.hpp>
#include <ixcap/driver/emulator/vfio_user_server.hpp>

#include "tests/driver/emulator/rings.hpp"
#include "tests/driver/list_traffic.hpp"
#include "tests/files.hpp"

namespace ixcap::test {

class ServedNic {
 public:
  ServedNic() : server_(nic_, folder_.file("nic.sock")) { nic_.connect(&wire_); }
  ~ServedNic() { nic_.connect(nullptr); }
  ServedNic(const ServedNic&) = delete;
  ServedNic& operator=(const ServedNic&) = delete;

  std::string interface() const { return "vfio-user:" + folder_.file("nic.sock"); }
  emulator::Nic& nic() { return nic_; }

  /// To be looked at when nothing is under way.
  const std::vector<Packet>& sent() const { return wire_.sent; }

 private:
  TemporaryFolder folder_;
  ListWire wire_;
  emulator::Nic nic_{nullptr, {}, emulator::Drive::threaded};
  emulator::VfioUserServer server_;
};

inline std::vector<ListedFrame> frames_of_all_lengths(std::size_t count) {
  std::vector<ListedFrame> frames;
  for (std::size_t i = 0; i < count; ++i) {
    frames.push_back(make_frame(60 + static_cast<std::uint32_t>(i * 7 % 9000), static_cast<std::uint8_t>(i)));
  }
  return frames;
}

inline void expect_sent(const std::vector<Packet>& sent, const std::vector<ListedFrame>& frames) {
  ASSERT_EQ(sent.size(), frames.size());
  for (std::size_t i = 0; i < frames.size(); ++i) ASSERT_EQ(sent[i], frames[i].bytes) << i;
}

}  // namespace ixcap::test

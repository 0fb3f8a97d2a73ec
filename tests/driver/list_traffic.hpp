#pragma once

/// Traffic from frames that a test made, for tests that know every frame.

#include <cstdint>
#include <utility>
#include <vector>

#include <ixcap/driver/emulator/traffic.hpp>

namespace ixcap::test {

struct ListedFrame {
  std::vector<std::uint8_t> bytes;
  std::uint32_t wire_length;
  std::uint8_t damage = 0;
};

/// A frame of `length` bytes to a unicast address, every byte derived from `tag`.
inline ListedFrame make_frame(std::uint32_t length, std::uint8_t tag = 0) {
  std::vector<std::uint8_t> bytes(length);
  for (std::uint32_t i = 0; i < length; ++i) bytes[i] = static_cast<std::uint8_t>(i * 7 + tag);
  if (!bytes.empty()) bytes[0] &= 0xFE;
  return {std::move(bytes), length};
}

class ListTraffic final : public emulator::Traffic {
 public:
  explicit ListTraffic(std::vector<ListedFrame> frames) : frames_(std::move(frames)) {}

  const emulator::WireFrame* next() noexcept override {
    if (position_ == frames_.size()) return nullptr;
    const ListedFrame& frame = frames_[position_++];
    zero_filled_ += frame.bytes.size() < frame.wire_length ? 1 : 0;
    current_ = {frame.bytes.data(), static_cast<std::uint32_t>(frame.bytes.size()), frame.wire_length, frame.damage};
    return &current_;
  }
  const std::optional<Error>& failure() const noexcept override { return failure_; }
  std::uint64_t zero_filled() const noexcept override { return zero_filled_; }

 private:
  std::vector<ListedFrame> frames_;
  std::size_t position_ = 0;
  std::uint64_t zero_filled_ = 0;
  emulator::WireFrame current_{};
  std::optional<Error> failure_;
};

}  // namespace ixcap::test

#include <cstring>

#include <ixcap/driver/emulator/frame_pool.hpp>

namespace ixcap::emulator {

bool FramePool::add(const WireFrame& frame) {
  const std::size_t lines = lines_for(frame.captured_length);
  if (lines > lines_.capacity() - lines_.size()) return false;
  const std::size_t first = lines_.size();
  lines_.resize(first + lines);
  std::uint8_t* const bytes = lines_[first].bytes;
  if (frame.captured_length > 0) std::memcpy(bytes, frame.bytes, frame.captured_length);
  frames_.push_back(frame);
  frames_.back().bytes = bytes;
  return true;
}

}  // namespace ixcap::emulator

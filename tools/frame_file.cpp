#include "tools/frame_file.hpp"

namespace ixcap::tools {

void FrameStore::add(const Frame& frame) {
  bytes_.insert(bytes_.end(), frame.data, frame.data + frame.captured_length);
  lengths_.push_back({frame.captured_length, frame.wire_length});
}

void FrameStore::clear() noexcept {
  bytes_.clear();
  lengths_.clear();
}

std::vector<Frame> FrameStore::frames() const {
  std::vector<Frame> lent;
  lent.reserve(lengths_.size());
  const std::uint8_t* data = bytes_.data();
  for (const Lengths& lengths : lengths_) {
    lent.push_back({data, lengths.captured, lengths.wire});
    data += lengths.captured;
  }
  return lent;
}

FrameFile::FrameFile(const std::string& path) : file_(emulator::TrafficSpec{.source = path}) {}

bool FrameFile::read(FrameStore& store, std::size_t most_frames, std::size_t most_bytes) {
  while (store.size() < most_frames && store.bytes() <= most_bytes) {
    const emulator::WireFrame* const frame = file_.next();
    if (frame == nullptr) {
      if (file_.failure()) throw Error(*file_.failure());
      return false;
    }
    store.add({frame->bytes, frame->captured_length, frame->wire_length});
  }
  return true;
}

}  // namespace ixcap::tools

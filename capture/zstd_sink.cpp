#include <ixcap/capture/zstd_sink.hpp>
#include <ixcap/driver/error.hpp>

#ifdef IXCAP_HAS_ZSTD

#include <zstd.h>

#include <cerrno>
#include <new>
#include <utility>

namespace ixcap::capture {
namespace {

constexpr std::size_t frame_header_bytes = 64;  // more than it can have
constexpr int level = 1;                        // the fastest of the ordinary ones: it has to keep up with a network

struct FreeContext {
  void operator()(ZSTD_CCtx* context) const noexcept { ZSTD_freeCCtx(context); }
};

class ZstdSink final : public FileSink {
 public:
  ZstdSink(int descriptor, std::size_t buffer_bytes)
      : descriptor_(descriptor), capacity_(buffer_bytes), context_(ZSTD_createCCtx()) {
    if (context_ == nullptr) throw std::bad_alloc();
    ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel, level);
    allocate();
  }

  int make_room(Buffer& buffer, std::uint64_t frames, std::size_t count) override {
    if (const int error_number = flush(buffer, frames); error_number != 0) return error_number;
    if (count > capacity_) {
      capacity_ = count;
      allocate();
    }
    buffer = {memory_.get(), capacity_, 0};
    return 0;
  }

  int flush(Buffer& buffer, std::uint64_t frames) override {
    if (buffer.used == 0) return 0;
    ZSTD_inBuffer in = {buffer.bytes, buffer.used, 0};
    ZSTD_outBuffer out = {compressed_.get(), compressed_capacity_, 0};
    const std::size_t left = ZSTD_compressStream2(context_.get(), &out, &in, ZSTD_e_flush);
    const bool compressed = ZSTD_isError(left) == 0 && left == 0;  // it has all the room that it can want
    const WriteResult result = compressed ? write_all(descriptor_, compressed_.get(), out.pos) : WriteResult{0, EIO};
    if (result.error_number != 0) {
      torn_ = result.written != 0 && !cut_back(descriptor_, result.written);
      if (!torn_) end_frame();
      return result.error_number;
    }
    bytes_written_ += out.pos;
    frames_written_ = frames;
    buffer.used = 0;
    return 0;
  }

  int close() noexcept override { return end_frame(); }

  std::string describe() const override { return "plain writes of what zstd has compressed"; }

 private:
  /// An empty last block (RFC 8878, 3.1.1.2): what has been flushed is then a whole frame.
  int end_frame() noexcept {
    if (bytes_written_ == 0 || std::exchange(ended_, true)) return 0;
    constexpr std::uint8_t last_block[] = {1, 0, 0};
    const auto [written, error_number] = write_all(descriptor_, last_block, sizeof last_block);
    if (error_number == 0) {
      bytes_written_ += sizeof last_block;
    } else if (written != 0) {
      torn_ = !cut_back(descriptor_, written);
    }
    return error_number;
  }

  void allocate() {
    memory_ = std::make_unique_for_overwrite<std::uint8_t[]>(capacity_);
    compressed_capacity_ = ZSTD_compressBound(capacity_) + frame_header_bytes;
    compressed_ = std::make_unique_for_overwrite<std::uint8_t[]>(compressed_capacity_);
  }

  int descriptor_;
  bool ended_ = false;
  std::size_t capacity_;
  std::size_t compressed_capacity_ = 0;
  std::unique_ptr<ZSTD_CCtx, FreeContext> context_;
  std::unique_ptr<std::uint8_t[]> memory_;
  std::unique_ptr<std::uint8_t[]> compressed_;
};

}  // namespace

std::unique_ptr<FileSink> make_zstd_sink(int descriptor, std::size_t buffer_bytes) {
  return std::make_unique<ZstdSink>(descriptor, buffer_bytes);
}

}  // namespace ixcap::capture

#else

namespace ixcap::capture {

std::unique_ptr<FileSink> make_zstd_sink(int /*descriptor*/, std::size_t /*buffer_bytes*/) {
  throw Error("cannot compress", "", "ixcap was built without libzstd",
              "build it again after: apt-get install libzstd-dev");
}

}  // namespace ixcap::capture

#endif

#include <ixcap/capture/direct_sink.hpp>

#ifdef IXCAP_HAS_LIBURING

#include <fcntl.h>
#include <fmt/format.h>
#include <liburing.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <new>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include <ixcap/capture/signal_shield.hpp>

namespace ixcap::capture {
namespace {

constexpr std::size_t page_bytes = 4096;  // what every disk and file system is content with as an alignment
constexpr std::size_t chunk_count = 4;
constexpr std::size_t room_for_last_block = 64 * 1024;  // a longer one makes its chunk grow
constexpr std::size_t look_bytes = 16 * 1024;           // after so many it is seen whether a write is done
constexpr std::size_t huge_page_bytes = std::size_t{2} << 20;

struct FreeMemory {
  void operator()(std::uint8_t* memory) const noexcept { std::free(memory); }
};

/// A buffer, and where the blocks in it begin: what is needed to end the file at a whole one.
struct Chunk {
  std::unique_ptr<std::uint8_t, FreeMemory> bytes;
  std::size_t capacity = 0;
  std::size_t length = 0;          // to be written
  std::uint64_t offset = 0;        // in the file
  std::size_t first_block = 0;     // the first that begins in here, behind the end of the one before
  std::uint64_t first_frames = 0;  // frames before it
  std::uint64_t block_before = 0;  // where in the file the one before began
  std::uint64_t frames_before = 0;
  std::size_t last_block = 0;  // the one that goes over the end
  std::uint64_t last_frames = 0;
  std::optional<int> result;  // of its write, when that is done

  /// Large ones lie on huge pages where there are some: a write is then few pieces of memory to the kernel and to the
  /// disk, which takes half of the processor time and makes the disk faster, too.
  void grow(std::size_t wanted, std::size_t used) {
    if (wanted <= capacity) return;
    const std::size_t unit = wanted < huge_page_bytes / 2 ? page_bytes : huge_page_bytes;
    const std::size_t size = (wanted + unit - 1) / unit * unit;
    auto* const memory = static_cast<std::uint8_t*>(std::aligned_alloc(unit, size));
    if (memory == nullptr) throw std::bad_alloc();
    if (unit == huge_page_bytes) ::madvise(memory, size, MADV_HUGEPAGE);
    if (used != 0) std::memcpy(memory, bytes.get(), used);
    bytes.reset(memory);
    capacity = size;
  }
};

bool set_direct(int descriptor, bool direct) noexcept {
  const int flags = ::fcntl(descriptor, F_GETFL);
  return flags >= 0 && ::fcntl(descriptor, F_SETFL, direct ? flags | O_DIRECT : flags & ~O_DIRECT) == 0;
}

/// pwrite(2) until everything is written or it fails.
WriteResult write_all_at(int descriptor, const std::uint8_t* bytes, std::size_t count, std::uint64_t offset) noexcept {
  const SignalShield shield;
  std::size_t written = 0;
  while (written < count) {
    const ssize_t result = ::pwrite(descriptor, bytes + written, count - written, static_cast<off_t>(offset + written));
    if (result > 0) {
      written += static_cast<std::size_t>(result);
    } else if (result == 0) {
      return {written, EIO};
    } else if (errno != EINTR) {
      return {written, errno};
    }
  }
  return {written, 0};
}

class DirectSink final : public FileSink {
 public:
  /// Takes over `ring`.
  DirectSink(int descriptor, std::size_t chunk_bytes, BlockCounter count_blocks, const io_uring& ring)
      : descriptor_(descriptor), chunk_bytes_(chunk_bytes), count_blocks_(count_blocks), ring_(ring) {
    for (Chunk& chunk : chunks_) free_.push_back(&chunk);
  }
  ~DirectSink() override { DirectSink::close(); }
  DirectSink(const DirectSink&) = delete;
  DirectSink& operator=(const DirectSink&) = delete;

  int make_room(Buffer& buffer, std::uint64_t frames, std::size_t count) override;
  int flush(Buffer& buffer, std::uint64_t frames) override;
  int close() noexcept override;
  std::string describe() const override {
    return fmt::format("io_uring past the page cache, {} KiB at a time", chunk_bytes_ / 1024);
  }

 private:
  Chunk* take_chunk();
  int pass_on(Buffer& buffer, std::uint64_t frames);
  int collect(bool wait);
  void submit_full();
  int take_result(bool wait) noexcept;
  int finish_plainly(Chunk& chunk, std::size_t written);
  void end_at(const Chunk& chunk, std::size_t written);

  const int descriptor_;
  const std::size_t chunk_bytes_;
  const BlockCounter count_blocks_;
  io_uring ring_;
  bool open_ = true;
  bool direct_ = true;  // false: it has turned out that this does not work here

  std::array<Chunk, chunk_count> chunks_;
  std::vector<Chunk*> free_;
  std::deque<Chunk*> full_;  // in the order of the file; the first are on their way
  unsigned in_flight_ = 0;   // writes that the kernel has and we have not seen done
  Chunk* current_ = nullptr;
  std::uint64_t plain_end_ = 0;  // up to here flush() has written
};

int DirectSink::make_room(Buffer& buffer, std::uint64_t frames, std::size_t count) {
  if (current_ == nullptr) {
    current_ = take_chunk();
    buffer = {current_->bytes.get(), chunk_bytes_, 0};
  }
  if (const int error_number = buffer.used < chunk_bytes_ ? collect(false) : pass_on(buffer, frames); error_number != 0)
    return error_number;
  buffer.capacity = std::min(chunk_bytes_, buffer.used + std::max(count, look_bytes));
  if (count <= chunk_bytes_ - buffer.used) return 0;
  // The block that comes goes over the end, and nothing comes after it.
  current_->last_block = buffer.used;
  current_->last_frames = frames;
  current_->grow(buffer.used + count, buffer.used);
  buffer = {current_->bytes.get(), buffer.used + count, buffer.used};
  return 0;
}

Chunk* DirectSink::take_chunk() {
  Chunk* const chunk = free_.back();
  free_.pop_back();
  chunk->grow(chunk_bytes_ + room_for_last_block, 0);
  return chunk;
}

/// The whole pages of the current chunk go to the disk, the rest becomes the beginning of the next.
int DirectSink::pass_on(Buffer& buffer, std::uint64_t frames) {
  Chunk& chunk = *current_;
  if (buffer.used == chunk_bytes_) {  // nothing goes over the end
    chunk.last_block = buffer.used;
    chunk.last_frames = frames;
  }
  chunk.length = buffer.used / page_bytes * page_bytes;
  chunk.result.reset();
  full_.push_back(&chunk);
  submit_full();
  if (const int error_number = collect(false); error_number != 0) return error_number;
  while (free_.empty()) {
    if (const int error_number = collect(true); error_number != 0) return error_number;
  }
  const std::size_t rest = buffer.used - chunk.length;
  current_ = take_chunk();
  std::memcpy(current_->bytes.get(), chunk.bytes.get() + chunk.length, rest);
  current_->offset = chunk.offset + chunk.length;
  current_->first_block = rest;
  current_->first_frames = frames;
  current_->block_before = chunk.offset + chunk.last_block;
  current_->frames_before = chunk.last_frames;
  buffer = {current_->bytes.get(), chunk_bytes_, rest};
  return 0;
}

/// Gives the kernel all that is full, as one chain: it begins a write when the one before is done, without us, and
/// when that one has failed or was short it does not begin it at all.
void DirectSink::submit_full() {
  if (in_flight_ != 0 || full_.empty() || full_.front()->result || !direct_) return;
  for (Chunk* const chunk : full_) {
    io_uring_sqe* const entry = io_uring_get_sqe(&ring_);
    io_uring_prep_write(entry, descriptor_, chunk->bytes.get(), static_cast<unsigned>(chunk->length), chunk->offset);
    // Not by this thread, not even as far as it could: a write that makes a file longer waits.
    io_uring_sqe_set_flags(entry, IOSQE_ASYNC | (chunk == full_.back() ? 0u : IOSQE_IO_LINK));
    io_uring_sqe_set_data(entry, chunk);
  }
  const SignalShield shield;
  int submitted = 0;
  do {
    submitted = io_uring_submit(&ring_);
  } while (submitted == -EINTR || submitted == -EAGAIN || submitted == -EBUSY);
  in_flight_ = static_cast<unsigned>(std::max(submitted, 0));
  if (in_flight_ < full_.size()) direct_ = false;
}

/// Takes the next result there is. 0, or an errno; EAGAIN: there is none, and we do not `wait`.
int DirectSink::take_result(bool wait) noexcept {
  io_uring_cqe* entry = nullptr;
  int result = 0;
  do {
    result = wait ? io_uring_wait_cqe(&ring_, &entry) : io_uring_peek_cqe(&ring_, &entry);
  } while (wait && result == -EINTR);
  if (result != 0) return -result;
  static_cast<Chunk*>(io_uring_cqe_get_data(entry))->result = entry->res;
  io_uring_cqe_seen(&ring_, entry);
  --in_flight_;
  return 0;
}

/// Takes note of the first write that is full if it is done, and gives the kernel more. `wait`: until it is.
int DirectSink::collect(bool wait) {
  if (full_.empty()) return 0;
  Chunk& chunk = *full_.front();
  while (!chunk.result && in_flight_ != 0) {
    if (const int error_number = take_result(wait); error_number != 0) return wait ? error_number : 0;
  }
  const int result = chunk.result.value_or(0);  // none: it was not given to the kernel
  if (result == -EINVAL) direct_ = false;
  const auto written = static_cast<std::size_t>(std::max(result, 0));
  if (written < chunk.length) {
    if (const int error_number = finish_plainly(chunk, written); error_number != 0) return error_number;
  }
  bytes_written_ = chunk.offset + chunk.last_block;
  frames_written_ = chunk.last_frames;
  full_.pop_front();
  free_.push_back(&chunk);
  submit_full();
  return 0;
}

/// What of a chunk has not been written: plainly, which succeeds or tells why not.
int DirectSink::finish_plainly(Chunk& chunk, std::size_t written) {
  set_direct(descriptor_, false);
  const WriteResult rest =
      write_all_at(descriptor_, chunk.bytes.get() + written, chunk.length - written, chunk.offset + written);
  if (rest.error_number != 0) {
    end_at(chunk, written + rest.written);
  } else if (direct_) {
    set_direct(descriptor_, true);
  }
  return rest.error_number;
}

/// The file holds `written` bytes of `chunk`: it is cut back to the last whole block.
void DirectSink::end_at(const Chunk& chunk, std::size_t written) {
  bytes_written_ = chunk.block_before;
  frames_written_ = chunk.frames_before;
  if (written >= chunk.first_block) {
    const std::uint64_t start = chunk.offset + chunk.first_block;
    const WholeBlocks whole =
        count_blocks_(chunk.bytes.get() + chunk.first_block, written - chunk.first_block, start == 0);
    bytes_written_ = start + whole.bytes;
    frames_written_ = chunk.first_frames + whole.frames;
  }
  torn_ = ::ftruncate(descriptor_, static_cast<off_t>(bytes_written_)) != 0;
}

int DirectSink::flush(Buffer& buffer, std::uint64_t frames) {
  while (!full_.empty()) {
    if (const int error_number = collect(true); error_number != 0) return error_number;
  }
  if (current_ == nullptr) return 0;
  const std::uint64_t end = current_->offset + buffer.used;
  const std::uint64_t start = std::max(current_->offset, plain_end_);
  if (start < end) {
    set_direct(descriptor_, false);
    const std::size_t skipped = start - current_->offset;
    const WriteResult rest = write_all_at(descriptor_, current_->bytes.get() + skipped, buffer.used - skipped, start);
    if (rest.error_number != 0) {
      end_at(*current_, skipped + rest.written);
      return rest.error_number;
    }
    if (direct_) set_direct(descriptor_, true);
    plain_end_ = end;
  }
  bytes_written_ = end;
  frames_written_ = frames;
  return 0;
}

int DirectSink::close() noexcept {
  if (!std::exchange(open_, false)) return 0;
  // The kernel reads from our memory until then.
  while (in_flight_ != 0 && take_result(true) == 0) {
  }
  io_uring_queue_exit(&ring_);
  return 0;
}

}  // namespace

std::unique_ptr<FileSink> make_direct_sink(int descriptor, std::size_t buffer_bytes, BlockCounter count_blocks,
                                           std::string& why_not) {
  struct stat status = {};
  if (::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
    why_not = "it is no regular file";
    return nullptr;
  }
  if (!set_direct(descriptor, true)) {
    why_not = "its file system has no O_DIRECT";
    return nullptr;
  }
  io_uring ring = {};
  if (const int result = io_uring_queue_init(4, &ring, 0); result != 0) {
    set_direct(descriptor, false);
    why_not = fmt::format("io_uring is refused here: {}", std::generic_category().message(-result));
    return nullptr;
  }
  const std::size_t chunk_bytes = std::max<std::size_t>(1, (buffer_bytes + page_bytes - 1) / page_bytes) * page_bytes;
  return std::make_unique<DirectSink>(descriptor, chunk_bytes, count_blocks, ring);
}

}  // namespace ixcap::capture

#else

namespace ixcap::capture {

std::unique_ptr<FileSink> make_direct_sink(int /*descriptor*/, std::size_t /*buffer_bytes*/,
                                           BlockCounter /*count_blocks*/, std::string& why_not) {
  why_not = "ixcap was built without liburing";
  return nullptr;
}

}  // namespace ixcap::capture

#endif

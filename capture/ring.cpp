#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <new>
#include <string>

#include <ixcap/capture/ring.hpp>
#include <ixcap/driver/error.hpp>

namespace ixcap::capture {
namespace {

constexpr std::size_t control_bytes = (1 + ring_reader_pages) * ring_page_bytes;
constexpr std::uint64_t batches_per_ring = 4;

static_assert(record_length(longest_frame) <= RingMemory::smallest_size_bytes / batches_per_ring,
              "the longest frame fits into any ring");

const char* mend_for(int error_number) {
  switch (error_number) {
    case EMFILE:
    case ENFILE:
      return "close files or raise ulimit -n";
    case EFBIG:
      return "raise the file size limit: ulimit -f unlimited";
    default:
      return "ask for a smaller ring or free memory";
  }
}

[[noreturn]] void refuse(std::size_t size_bytes, int error_number) {
  throw Error::from_errno("cannot create capture ring", fmt::format("{} KiB", size_bytes >> 10), error_number,
                          mend_for(error_number));
}

}  // namespace

RingMemory::RingMemory(const RingOptions& options) : size_bytes_(options.size_bytes) {
  if (!std::has_single_bit(size_bytes_) || size_bytes_ < smallest_size_bytes)
    throw Error("cannot create capture ring", fmt::format("{} bytes", size_bytes_), "the size is unsuitable",
                fmt::format("ask for a power of two of at least {} bytes", smallest_size_bytes));
  if (size_bytes_ >= std::size_t{1} << 46) refuse(size_bytes_, ENOMEM);  // both mappings would fill the address space
  if (::sysconf(_SC_PAGESIZE) != static_cast<long>(ring_page_bytes))
    throw Error("cannot create capture ring", "", "this machine's pages are not 4 KiB", "use an x86-64 machine");

  const int file_descriptor = ::memfd_create("ixcap-ring", MFD_CLOEXEC);
  if (file_descriptor < 0) refuse(size_bytes_, errno);
  try {
    map(file_descriptor, options.populate);
  } catch (...) {
    ::close(file_descriptor);
    throw;
  }
  ::close(file_descriptor);

  auto* header = new (base_) RingHeader{};
  header->version = ring_version;
  header->reader_pages = ring_reader_pages;
  header->size_bytes = size_bytes_;
  header->records_start = control_bytes;
  header->batch_limit = size_bytes_ / batches_per_ring;
  header->magic = ring_magic;
  for (std::size_t index = 0; index < ring_reader_pages; ++index) new (&reader_page(index)) ReaderPage{};
}

RingMemory::~RingMemory() {
  ::munmap(base_, control_bytes + 2 * size_bytes_);
}

void RingMemory::map(int file_descriptor, bool populate) {
  const auto file_bytes = static_cast<off_t>(control_bytes + size_bytes_);
  if (::ftruncate(file_descriptor, file_bytes) != 0) refuse(size_bytes_, errno);
  // posix_fallocate reports want of memory; MAP_POPULATE would not.
  if (populate)
    if (const int error = ::posix_fallocate(file_descriptor, 0, file_bytes); error != 0) refuse(size_bytes_, error);

  const std::size_t mapped_bytes = control_bytes + 2 * size_bytes_;
  void* reserved = ::mmap(nullptr, mapped_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reserved == MAP_FAILED) refuse(size_bytes_, errno);
  base_ = static_cast<std::uint8_t*>(reserved);

  const int flags = MAP_SHARED | MAP_FIXED | (populate ? MAP_POPULATE : 0);
  const auto map_part = [&](std::uint8_t* address, std::size_t bytes, std::size_t offset) {
    return ::mmap(address, bytes, PROT_READ | PROT_WRITE, flags, file_descriptor, static_cast<off_t>(offset)) !=
           MAP_FAILED;
  };
  if (!map_part(base_, control_bytes + size_bytes_, 0) ||
      !map_part(records() + size_bytes_, size_bytes_, control_bytes)) {
    const int error = errno;
    ::munmap(base_, mapped_bytes);
    refuse(size_bytes_, error);
  }
}

RingProducer::RingProducer(RingMemory& memory) noexcept
    : header_(memory.header()),
      reader_(memory.reader_page(0)),
      records_(memory.records()),
      size_bytes_(memory.size_bytes()),
      batch_limit_(memory.size_bytes() / batches_per_ring) {}

bool RingProducer::append_loss(std::uint64_t lost_frames, std::uint64_t timestamp_ns, std::uint16_t queue) noexcept {
  Record* record = reserve(0);
  if (record == nullptr) return false;
  record->wire_length = 0;
  record->queue = queue;
  record->flags = record_is_loss;
  record->timestamp_ns = timestamp_ns;
  record->lost_frames = lost_frames;
  return true;
}

void RingProducer::close() noexcept {
  publish();
  // release: whoever sees the end sees the last published position.
  header_.closed.store(1, std::memory_order_release);
}

std::uint32_t RingProducer::longest_captured_length() const noexcept {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(batch_limit_, UINT32_MAX & ~(record_alignment - 1)) -
                                    sizeof(Record));
}

bool RingProducer::make_room(std::uint64_t length) noexcept {
  publish();
  // acquire: the reader's reads of what it released come before our writes to it.
  const std::uint64_t cursor = reader_.cursor.load(std::memory_order_acquire);
  // One comparison for both ends: cursor_ <= cursor <= published_.
  if (cursor - cursor_ <= published_ - cursor_)
    cursor_ = cursor;
  else
    ++cursor_faults_;
  limit_ = std::min(cursor_ + size_bytes_, published_ + batch_limit_);
  return published_ + length <= limit_;
}

RingReader::RingReader(RingMemory& memory) noexcept
    : header_(memory.header()),
      page_(memory.reader_page(0)),
      records_(memory.records()),
      size_bytes_(memory.size_bytes()),
      position_(page_.cursor.load(std::memory_order_relaxed)),  // only this side writes it
      published_(position_) {}

bool RingReader::look_for_more() noexcept {
  if (state_ != RingState::open) return false;
  // acquire, and before `published`: if the ring is closed, the position below is the last one.
  const bool closed = header_.closed.load(std::memory_order_acquire) != 0;
  // acquire: the records before this position were written before it.
  const std::uint64_t published = header_.published.load(std::memory_order_acquire);
  if (published - position_ > size_bytes_ || (published | position_) % record_alignment != 0) {
    state_ = RingState::broken;
    return false;
  }
  published_ = published;
  if (published_ != position_) return true;
  if (closed) state_ = RingState::ended;
  return false;
}

}  // namespace ixcap::capture

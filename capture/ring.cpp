#include <emmintrin.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <new>
#include <string>

#include <ixcap/capture/ring.hpp>
#include <ixcap/driver/error.hpp>

namespace ixcap::capture {
namespace {

constexpr std::uint64_t batches_per_ring = 4;
constexpr std::uint64_t segments_per_ring = 16;
constexpr std::uint64_t longest_record = std::uint64_t{64} << 10;
constexpr int no_resizing = F_SEAL_SHRINK | F_SEAL_GROW;

static_assert(record_length(longest_frame) <= RingMemory::smallest_size_bytes / batches_per_ring,
              "the longest frame fits into any ring");
// Two marks in a row are more than a segment apart together, so these are in use at a time, and two on their way.
static_assert(2 * segments_per_ring + 4 <= ring_marks);

constexpr const char* cannot_create = "cannot create capture ring";
constexpr const char* cannot_join = "cannot join capture ring";
constexpr const char* cannot_attach = "cannot attach to capture ring";

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
  throw Error::from_errno(cannot_create, fmt::format("{} KiB", size_bytes >> 10), error_number, mend_for(error_number));
}

[[noreturn]] void refuse_foreign(const char* reason) {
  throw Error(cannot_attach, "", reason, "use the same version of ixcap on both sides");
}

pci::FileDescriptor make_eventfd() {
  pci::FileDescriptor file(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!file.valid()) throw Error::from_errno(cannot_join, "", errno, mend_for(errno));
  return file;
}

bool sealed_against_shrinking(int file_descriptor) noexcept {
  const int seals = ::fcntl(file_descriptor, F_GET_SEALS);
  return seals >= 0 && (seals & F_SEAL_SHRINK) != 0;
}

std::uint64_t size_of(int file_descriptor) noexcept {
  struct stat status = {};
  return ::fstat(file_descriptor, &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

pci::FileDescriptor make_ring_file(const RingOptions& options) {
  const std::size_t size = options.size_bytes;
  if (!std::has_single_bit(size) || size < RingMemory::smallest_size_bytes)
    throw Error(cannot_create, fmt::format("{} bytes", size), "the size is unsuitable",
                fmt::format("ask for a power of two of at least {} bytes", RingMemory::smallest_size_bytes));
  if (size >= std::size_t{1} << 46) refuse(size, ENOMEM);  // both mappings would fill the address space
  if (::sysconf(_SC_PAGESIZE) != static_cast<long>(ring_page_bytes))
    throw Error(cannot_create, "", "this machine's pages are not 4 KiB", "use an x86-64 machine");
  pci::FileDescriptor file(::memfd_create("ixcap-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file.valid()) refuse(size, errno);
  const auto bytes = static_cast<off_t>(ring_page_bytes + size);
  if (::ftruncate(file.number(), bytes) != 0) refuse(size, errno);
  // posix_fallocate reports want of memory; MAP_POPULATE would not.
  if (options.populate)
    if (const int error = ::posix_fallocate(file.number(), 0, bytes); error != 0) refuse(size, error);
  return file;
}

/// Copies a multiple of 16 bytes, both aligned, that somebody may be writing to: a race of which neither the compiler
/// nor ThreadSanitizer is to know, because what comes of it is thrown away unless it is found to be intact.
void copy_under_race(std::uint8_t* to, const std::uint8_t* from, std::uint64_t bytes) noexcept {
  for (std::uint64_t i = 0; i < bytes; i += 16)
    asm volatile("movdqa (%0), %%xmm0\n\tmovdqa %%xmm0, (%1)" : : "r"(from + i), "r"(to + i) : "xmm0", "memory");
}

/// Empties an eventfd or a socket that was written to. False: the other end is closed.
bool drain(int file_descriptor) noexcept {
  std::array<std::uint8_t, 512> bytes;
  while (true) {
    const ssize_t count = ::read(file_descriptor, bytes.data(), bytes.size());
    if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) return false;
    if (count < 0 && errno == EAGAIN) return true;
  }
}

}  // namespace

RingMapping::RingMapping(int file_descriptor, std::size_t size_bytes, bool writable, bool populate)
    : size_bytes_(size_bytes) {
  const std::size_t mapped_bytes = ring_page_bytes + 2 * size_bytes_;
  void* reserved = ::mmap(nullptr, mapped_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reserved == MAP_FAILED) refuse(size_bytes_, errno);
  base_ = static_cast<std::uint8_t*>(reserved);
  const int protection = PROT_READ | (writable ? PROT_WRITE : 0);
  const int flags = MAP_SHARED | MAP_FIXED | (populate ? MAP_POPULATE : 0);
  const auto map_part = [&](std::uint8_t* address, std::size_t bytes, std::size_t offset) {
    return ::mmap(address, bytes, protection, flags, file_descriptor, static_cast<off_t>(offset)) != MAP_FAILED;
  };
  if (!map_part(base_, ring_page_bytes + size_bytes_, 0) ||
      !map_part(records() + size_bytes_, size_bytes_, ring_page_bytes)) {
    const int error = errno;
    ::munmap(base_, mapped_bytes);
    refuse(size_bytes_, error);
  }
}

RingMapping::RingMapping(RingMapping&& other) noexcept
    : size_bytes_(other.size_bytes_), base_(std::exchange(other.base_, nullptr)) {}

RingMapping::~RingMapping() {
  if (base_ != nullptr) ::munmap(base_, ring_page_bytes + 2 * size_bytes_);
}

RingMapping RingMapping::attach(int file_descriptor) {
  const std::uint64_t file_bytes = size_of(file_descriptor);
  const std::uint64_t size = file_bytes - ring_page_bytes;
  if (file_bytes < ring_page_bytes || !std::has_single_bit(size) || size < RingMemory::smallest_size_bytes ||
      size >= std::uint64_t{1} << 46)
    refuse_foreign("it has an impossible size");
  if (!sealed_against_shrinking(file_descriptor)) refuse_foreign("its memory could go away");
  RingMapping mapping(file_descriptor, size, false, false);
  const RingHeader& header = mapping.header();
  if (header.magic != ring_magic) refuse_foreign("it is no capture ring");
  if (header.version != ring_version || header.header_bytes != sizeof(RingHeader))
    refuse_foreign("it is of another version");
  if (header.size_bytes != size || header.records_start != ring_page_bytes || header.batch_limit > size ||
      header.longest_record > std::min(header.batch_limit, longest_record))
    refuse_foreign("its header is impossible");
  return mapping;
}

ReaderPages::ReaderPages(int file_descriptor, unsigned count) : count_(count) {
  const std::size_t bytes = count * ring_page_bytes;
  if (size_of(file_descriptor) < bytes || !sealed_against_shrinking(file_descriptor))
    refuse_foreign("its reader's pages could go away");
  void* mapped = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file_descriptor, 0);
  if (mapped == MAP_FAILED) throw Error::from_errno(cannot_join, "", errno, mend_for(errno));
  base_ = static_cast<std::uint8_t*>(mapped);
}

ReaderPages::~ReaderPages() {
  if (base_ != nullptr) ::munmap(base_, count_ * ring_page_bytes);
}

pci::FileDescriptor ReaderPages::make_file(unsigned count) {
  pci::FileDescriptor file(::memfd_create("ixcap-reader", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file.valid() || ::ftruncate(file.number(), static_cast<off_t>(count * ring_page_bytes)) != 0 ||
      ::fcntl(file.number(), F_ADD_SEALS, no_resizing | F_SEAL_SEAL) != 0)
    throw Error::from_errno(cannot_join, "", errno, mend_for(errno));
  return file;
}

RingSeat::~RingSeat() {
  if (memory_ != nullptr) memory_->leave(index_);
}

ReaderPage& RingSeat::page() const noexcept {
  return *memory_->registry_.entries[index_].page;  // ours until leave(): nobody else writes the entry's page
}

RingMemory::RingMemory(const RingOptions& options)
    : file_(make_ring_file(options)),
      mapping_(file_.number(), options.size_bytes, true, options.populate),
      resources_(std::make_unique<Resources[]>(ring_readers)) {
  auto* header = new (&mapping_.header()) RingHeader{};
  header->version = ring_version;
  header->header_bytes = sizeof(RingHeader);
  header->size_bytes = options.size_bytes;
  header->records_start = ring_page_bytes;
  header->batch_limit = options.size_bytes / batches_per_ring;
  header->longest_record = std::min(header->batch_limit, longest_record);
  header->magic = ring_magic;
  // What is mapped stays writable; nothing else ever will be.
  if (::fcntl(file_.number(), F_ADD_SEALS, no_resizing | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) != 0)
    throw Error::from_errno(cannot_create, "", errno, "use Linux 5.1 or newer");
}

RingMemory::~RingMemory() = default;

RingSeat RingMemory::join(const ReaderOptions& options, ReaderPages pages, unsigned page_index, int wake) {
  pci::FileDescriptor own_wake(::fcntl(wake, F_DUPFD_CLOEXEC, 0));
  if (!own_wake.valid()) throw Error::from_errno(cannot_join, "", errno, mend_for(errno));
  struct stat status = {};
  const bool is_socket = ::fstat(wake, &status) == 0 && S_ISSOCK(status.st_mode);
  const std::scoped_lock lock(registry_.mutex);
  for (unsigned index = 0; index < ring_readers; ++index) {
    if (registry_.entries[index].stage != Registry::Stage::empty) continue;
    ReaderPage* page = &pages[page_index];
    resources_[index].pages = std::move(pages);
    resources_[index].wake = std::move(own_wake);
    resources_[index].is_socket = is_socket;
    registry_.join(index, options.policy, options.mask, page);
    return RingSeat(*this, index);
  }
  throw Error(cannot_join, "", fmt::format("it has {} readers", ring_readers), "end one of them");
}

void RingMemory::leave(unsigned index) noexcept {
  const std::scoped_lock lock(registry_.mutex);
  registry_.leave(index);
}

unsigned RingMemory::readers() const {
  const std::scoped_lock lock(registry_.mutex);
  return static_cast<unsigned>(std::ranges::count_if(registry_.entries, [](const Registry::Entry& entry) {
    return entry.stage == Registry::Stage::joining || entry.stage == Registry::Stage::active;
  }));
}

RingProducer::RingProducer(RingMemory& memory) noexcept
    : memory_(memory),
      sync_(memory.header().positions, memory.registry_,
            {memory.size_bytes(), memory.size_bytes() / batches_per_ring, memory.size_bytes() / segments_per_ring}),
      records_(memory.records()),
      size_bytes_(memory.size_bytes()),
      longest_record_(memory.header().longest_record) {}

bool RingProducer::append_stamped(const Frame& frame, std::uint64_t timestamp_ns, std::uint64_t match_set,
                                  std::uint16_t queue, std::uint16_t flags, std::uint64_t card_stamp_ns) noexcept {
  constexpr std::uint32_t stamp_bytes = sizeof card_stamp_ns;
  Record* record = reserve(frame.captured_length + stamp_bytes);
  if (record == nullptr) return false;
  record->captured_length = frame.captured_length;
  record->wire_length = frame.wire_length;
  record->queue = queue;
  record->flags = flags | record_has_stamp;
  record->timestamp_ns = timestamp_ns;
  record->match_set = match_set;
  std::memcpy(record->data(), frame.data, frame.captured_length);
  std::memcpy(reinterpret_cast<std::uint8_t*>(record) + record->length - stamp_bytes, &card_stamp_ns, stamp_bytes);
  return true;
}

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

RingCount RingProducer::count(std::uint64_t from, std::uint64_t to, std::uint64_t mask) const noexcept {
  RingCount count;
  while (from != to) {
    const auto* record = reinterpret_cast<const Record*>(records_ + (from & (size_bytes_ - 1)));
    if (record->is_loss()) [[unlikely]]
      count.losses += record->lost_frames;
    else
      count.frames += mask_lets_through(mask, record->match_set) ? 1 : 0;
    from += record->length;
  }
  return count;
}

void RingProducer::wake(unsigned index) const noexcept {
  const std::uint64_t one = 1;
  const RingMemory::Resources& reader = memory_.resources_[index];
  // Neither blocks: the eventfd is this process's own, and of a socket, what the other side does to its end stays
  // there. A reader that does not read what is there already needs no more.
  if (reader.is_socket)
    ::send(reader.wake.number(), &one, sizeof one, MSG_DONTWAIT | MSG_NOSIGNAL);
  else [[maybe_unused]]
    const ssize_t written = ::write(reader.wake.number(), &one, sizeof one);
}

struct RingReader::Joined {
  Joined(RingMemory& memory, const ReaderOptions& options) : wake(make_eventfd()) {
    const pci::FileDescriptor file = ReaderPages::make_file(1);
    seat.emplace(memory.join(options, ReaderPages(file.number(), 1), 0, wake.number()));
  }
  pci::FileDescriptor wake;
  std::optional<RingSeat> seat;
};

RingReader::RingReader(RingMemory& memory, const ReaderOptions& options)
    : RingReader(memory, options, Joined(memory, options)) {}

RingReader::RingReader(RingMemory& memory, const ReaderOptions& options, Joined joined)
    : RingReader({&memory.header(), memory.records(), memory.size_bytes(), &joined.seat->page()}, options,
                 joined.wake.number()) {
  own_wake_ = std::move(joined.wake);
  seat_ = std::move(joined.seat);
}

RingReader::RingReader(const RingView& view, const ReaderOptions& options, int wake)
    : sync_(view.header->positions, *view.page, view.size_bytes, options.policy),
      records_(view.records),
      size_bytes_(view.size_bytes),
      longest_record_(std::min(view.header->longest_record, longest_record)),
      mask_(options.mask),
      wake_(wake),
      break_(make_eventfd()) {
  if (options.policy == ReaderPolicy::lossy)
    buffer_.reset(static_cast<std::uint8_t*>(::operator new (buffer_bytes, std::align_val_t{64})));
}

RingReader::~RingReader() = default;

Record* RingReader::buffered_record(std::uint64_t length) noexcept {
  if (length > buffer_bytes - buffered_) return nullptr;
  return reinterpret_cast<Record*>(buffer_.get() + buffered_);
}

const Record* RingReader::next_copy() noexcept {
  while (true) {
    if ((to_report_.frames | to_report_.losses) != 0) return report_lost();
    if (!sync_.look()) return nullptr;
    const std::uint8_t* source = records_ + (sync_.position() & (size_bytes_ - 1));
    alignas(record_alignment) Record header;
    copy_under_race(reinterpret_cast<std::uint8_t*>(&header), source, sizeof header);
    bool intact = sync_.intact();
    Record* record = nullptr;
    if (intact) {
      if (header.length > longest_record_ || header.length > sync_.published() - sync_.position() ||
          !possible(header)) {
        sync_.fail();
        return nullptr;
      }
      if (wanted(header)) {
        record = buffered_record(header.length);
        if (record == nullptr) return nullptr;  // a batch: it goes on after release()
        copy_under_race(reinterpret_cast<std::uint8_t*>(record), source, header.length);
        intact = sync_.intact();
      }
    }
    if (!intact) [[unlikely]] {
      to_report_ = sync_.skip_lost();
      lost_ += to_report_.frames;
      continue;
    }
    const bool loss = header.is_loss();
    sync_.pass(header.length, {record != nullptr && !loss ? 1u : 0u, loss ? header.lost_frames : 0});
    if (record == nullptr) continue;
    last_time_ns_ = record->timestamp_ns;
    buffered_ += header.length;
    return record;
  }
}

/// A loss record for what this reader has lost, then one for the loss records that were among it.
const Record* RingReader::report_lost() noexcept {
  Record* record = buffered_record(sizeof(Record));
  if (record == nullptr) return nullptr;
  const bool here = to_report_.frames != 0;
  std::uint64_t& lost = here ? to_report_.frames : to_report_.losses;
  *record = {};
  record->length = sizeof(Record);
  record->flags = record_is_loss | (here ? record_lost_here : std::uint16_t{0});
  record->timestamp_ns = last_time_ns_;
  record->lost_frames = std::exchange(lost, 0);
  buffered_ += sizeof(Record);
  return record;
}

bool RingReader::wait(std::chrono::milliseconds longest) noexcept {
  RingReader* const self[] = {this};
  return wait_for_records(self, wake_, break_.number(), longest) == RingWake::ready;
}

void RingReader::breakloop() noexcept {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(break_.number(), &one, sizeof one);
}

RingWake wait_for_records(std::span<RingReader* const> readers, int wake, int interrupt,
                          std::chrono::milliseconds longest) noexcept {
  // Of several rings, one that has ended has nothing more to tell until all have.
  const auto open = [](const RingReader* reader) { return reader->state() == RingState::open; };
  const bool any_open = std::ranges::any_of(readers, open);
  std::size_t armed = 0;
  while (armed < readers.size() && ((any_open && readers[armed]->state() == RingState::ended) || readers[armed]->arm()))
    ++armed;
  const bool ready = armed < readers.size();
  std::array<pollfd, 2> files{{{wake, POLLIN, 0}, {interrupt, POLLIN, 0}}};
  const int timeout = ready ? 0 : static_cast<int>(std::clamp<long long>(longest.count(), -1, INT32_MAX));
  const int events = ::poll(files.data(), files.size(), timeout);
  for (std::size_t i = 0; i < armed; ++i) readers[i]->disarm();
  const bool hung_up = events > 0 && files[0].revents != 0 && !drain(wake);
  if (events > 0 && (files[1].revents & POLLIN) != 0) {
    drain(interrupt);
    return RingWake::interrupted;
  }
  if (ready) return RingWake::ready;
  if (hung_up) return RingWake::hung_up;
  if (events < 0) return RingWake::ready;  // a signal: whoever waits looks around
  return events == 0 ? RingWake::timed_out : RingWake::ready;
}

}  // namespace ixcap::capture

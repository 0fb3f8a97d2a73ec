#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <utility>

#include <ixcap/capture/merged_rings.hpp>
#include <ixcap/driver/error.hpp>

namespace ixcap::capture {
namespace {

constexpr std::uint64_t end_of_time = std::numeric_limits<std::uint64_t>::max();

pci::FileDescriptor make_eventfd() {
  pci::FileDescriptor file(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!file.valid()) throw Error::from_errno("cannot join the rings", "", errno, "close files or raise ulimit -n");
  return file;
}

}  // namespace

const Record* RecordMerge::next_merged() noexcept {
  Input* oldest = nullptr;
  std::uint64_t settled_ns = end_of_time;  // nothing older than this will come
  for (Input& input : inputs_) {
    if (input.front == nullptr) {
      // Before the look into the ring: what has come by then has been seen. acquire: RingProducer::set_quiet_until_ns.
      const std::uint64_t quiet_until_ns = input.quiet_until_ns->load(std::memory_order_acquire);
      input.front = input.reader->next();
      if (input.front == nullptr) {
        if (input.reader->state() != RingState::open) continue;
        // A lossy reader's batch may have ended: what follows cannot be seen before release().
        if (input.unreleased && input.reader->copies()) return nullptr;
        if (!settled_) settled_ns = std::min(settled_ns, quiet_until_ns);
        continue;
      }
    }
    if (oldest == nullptr || input.front->timestamp_ns < oldest->front->timestamp_ns) oldest = &input;
  }
  if (oldest == nullptr) return nullptr;
  const bool settled = oldest->front->timestamp_ns <= settled_ns;
  if (!settled && !waited_enough()) return nullptr;
  if (settled) waiting_since_.reset();  // otherwise those behind it need not wait for the same thing again
  oldest->unreleased = true;
  return std::exchange(oldest->front, nullptr);
}

bool RecordMerge::waited_enough() noexcept {
  const Clock::time_point now = Clock::now();
  if (!waiting_since_.has_value()) waiting_since_ = now;
  return now - *waiting_since_ >= patience;
}

bool RecordMerge::holds_back() const noexcept {
  return std::ranges::any_of(inputs_, [](const Input& input) { return input.front != nullptr; });
}

RingState RecordMerge::state() const noexcept {
  const auto broken = [](const Input& input) { return input.reader->state() == RingState::broken; };
  const auto open = [](const Input& input) { return input.reader->state() == RingState::open; };
  if (std::ranges::any_of(inputs_, broken)) return RingState::broken;
  return holds_back() || std::ranges::any_of(inputs_, open) ? RingState::open : RingState::ended;
}

MergedRings::Input::Input(RingMemory& memory, const ReaderOptions& options, int wake)
    : seat(memory.join(options, ReaderPages(ReaderPages::make_file(1).number(), 1), 0, wake)),
      reader({&memory.header(), memory.records(), memory.size_bytes(), &seat.page()}, options, wake) {}

MergedRings::MergedRings(std::span<RingMemory* const> rings, const ReaderOptions& options)
    : wake_(make_eventfd()), interrupt_(make_eventfd()) {
  for (RingMemory* memory : rings) {
    RingReader& reader = inputs_.emplace_back(std::make_unique<Input>(*memory, options, wake_.number()))->reader;
    readers_.push_back(&reader);
    merge_.add(reader, memory->header());
  }
}

std::uint64_t MergedRings::lost() const noexcept {
  std::uint64_t lost = 0;
  for (const RingReader* reader : readers_) lost += reader->lost();
  return lost;
}

bool MergedRings::wait(std::chrono::milliseconds longest) noexcept {
  return wait_for_merge(merge_, readers_, wake_.number(), interrupt_.number(), longest) == RingWake::ready;
}

void MergedRings::breakloop() noexcept {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(interrupt_.number(), &one, sizeof one);
}

RingWake wait_for_merge(const RecordMerge& merge, std::span<RingReader* const> readers, int wake, int interrupt,
                        std::chrono::milliseconds longest) noexcept {
  constexpr std::chrono::milliseconds moment{1};
  if (!merge.holds_back()) return wait_for_records(readers, wake, interrupt, longest);
  const auto short_time = longest.count() < 0 ? moment : std::min(longest, moment);
  const RingWake result = wait_for_records(readers, wake, interrupt, short_time);
  return result == RingWake::timed_out ? RingWake::ready : result;
}

}  // namespace ixcap::capture

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <ixcap/capture/attach.hpp>
#include <ixcap/capture/share_protocol.hpp>
#include <ixcap/driver/error.hpp>
#include <ixcap/driver/frame.hpp>
#include <ixcap/filter/expression.hpp>
#include <ixcap/filter/flow_key.hpp>
#include <ixcap/filter/vlan_aware.hpp>

namespace ixcap::capture {
namespace {

// Who listens there and does not answer is not waited for.
constexpr std::chrono::seconds patience{10};
constexpr const char* cannot_attach = "cannot attach to the capture at";

std::string mend_for_connect(int error_number) {
  switch (error_number) {
    case ENOENT:
    case ECONNREFUSED:
      return "start a capture there: ixcap capture --share NAME";
    case EACCES:
      return "ask the socket's owner for access to it (chown, chmod)";
    default:
      return "give the name that ixcap capture --share was given";
  }
}

struct Answer {
  ShareAnswer message = {};
  std::vector<pci::FileDescriptor> files;
};

Answer ask(const pci::FileDescriptor& socket, const std::string& path, const ReaderOptions& options) {
  const ShareRequest request = {
      share_magic, share_version, static_cast<std::uint32_t>(options.policy), options.mask, {}};
  if (::send(socket.number(), &request, sizeof request, MSG_NOSIGNAL) != sizeof request)
    throw Error::from_errno(cannot_attach, path, errno, "try again");
  Answer answer;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * (most_shared_rings + 1))> buffer{};
  iovec part = {&answer.message, sizeof answer.message};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = buffer.data();
  message.msg_controllen = buffer.size();
  ssize_t count = 0;
  do {  // with a time limit, being stopped and continued ends it, too: signal(7)
    count = ::recvmsg(socket.number(), &message, MSG_CMSG_CLOEXEC);
  } while (count < 0 && errno == EINTR);
  if (count < 0) throw Error::from_errno(cannot_attach, path, errno, "end what listens there without answering");
  for (cmsghdr* control = CMSG_FIRSTHDR(&message); control != nullptr; control = CMSG_NXTHDR(&message, control)) {
    if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS) continue;
    for (std::size_t at = CMSG_LEN(0); at + sizeof(int) <= control->cmsg_len; at += sizeof(int)) {
      int number = -1;
      std::memcpy(&number, reinterpret_cast<const char*>(control) + at, sizeof number);
      answer.files.emplace_back(number);
    }
  }
  if (count != sizeof answer.message || answer.message.magic != share_magic)
    throw Error(cannot_attach, path, "what answers there is no capture", "use the same version of ixcap on both sides");
  return answer;
}

/// The answer, if it admits us.
void check(const Answer& answer, const std::string& path) {
  switch (static_cast<ShareStatus>(answer.message.status)) {
    case ShareStatus::admitted:
      break;
    case ShareStatus::no_place:
      throw Error(cannot_attach, path, fmt::format("it has {} readers, or no memory for another", ring_readers),
                  "end one of them");
    default:
      throw Error(cannot_attach, path, "it speaks another version of the protocol",
                  "use the same version of ixcap on both sides");
  }
  const std::uint32_t rings = answer.message.rings;
  if (rings == 0 || rings > most_shared_rings || answer.files.size() != rings + 1)
    throw Error(cannot_attach, path, "its answer is impossible", "use the same version of ixcap on both sides");
}

template <std::size_t size>
std::string text_of(const char (&text)[size]) {
  return {text, ::strnlen(text, size)};
}

pcapng::InterfaceDescription description_of(const ShareAnswer& answer) {
  pcapng::InterfaceDescription description;
  description.name = text_of(answer.interface);
  description.description = text_of(answer.description);
  if (answer.speed_bits_per_second != 0) description.speed_bits_per_second = answer.speed_bits_per_second;
  description.filter = text_of(answer.filter);
  description.hardware = text_of(answer.hardware);
  description.snaplen = answer.snaplen;
  description.fcs_bytes = answer.fcs_bytes == fcs_bytes ? std::uint8_t{fcs_bytes} : std::uint8_t{0};
  if (std::ranges::any_of(answer.mac, [](std::uint8_t byte) { return byte != 0; })) {
    pcapng::MacAddress mac = {};
    std::ranges::copy(answer.mac, mac.begin());
    description.mac = mac;
  }
  return description;
}

filter::Set compiled(const AttachOptions& options) {
  if (options.expression.empty()) return {};
  const filter::Program programs[] = {options.vlan_aware ? filter::compile_vlan_aware(options.expression)
                                                         : filter::compile(options.expression)};
  return filter::Set(programs);
}

std::uint64_t mixed(std::uint64_t value) noexcept {
  value = (value ^ value >> 32) * 0x9e3779b97f4a7c15;
  return value ^ value >> 29;
}

/// One end of a flow. The ends of a flow are added, so that their order does not matter.
std::uint64_t hash_end(const filter::Address& address, std::uint16_t port) noexcept {
  std::uint64_t halves[2];
  std::memcpy(halves, address.bytes.data(), sizeof halves);
  return mixed(mixed(halves[0]) + halves[1] + port);
}

}  // namespace

std::uint64_t symmetric_flow_hash(const Frame& frame) noexcept {
  const filter::FrameKey key = filter::frame_key(frame);
  if (!key.has_source || !key.has_destination) return 0;
  const filter::Flow& flow = key.flow;
  const std::uint64_t ends = hash_end(flow.source, key.has_ports ? flow.source_port : std::uint16_t{0}) +
                             hash_end(flow.destination, key.has_ports ? flow.destination_port : std::uint16_t{0});
  return mixed(ends + (key.has_ports ? flow.protocol : 0));
}

struct Attachment::Ring {
  Ring(int file, ReaderPage& page, const ReaderOptions& options, int wake)
      : mapping(RingMapping::attach(file)),
        reader({&mapping.header(), mapping.records(), mapping.size_bytes(), &page}, options, wake) {}
  RingMapping mapping;
  RingReader reader;
};

Attachment::Attachment(const AttachOptions& options)
    : filter_(compiled(options)), part_(options.part), parts_(options.parts) {
  if (part_ >= parts_)
    throw Error("cannot read a part of the flows", fmt::format("{}/{}", part_, parts_), "there is no such part",
                "count parts from 0, as in 0/2 and 1/2");
  const std::string path = share_path(options.name);
  socket_ = connect_to_share(path, cannot_attach, mend_for_connect, patience);
  interrupt_ = pci::FileDescriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!interrupt_.valid()) throw Error::from_errno(cannot_attach, path, errno, "close files or raise ulimit -n");
  const Answer answer = ask(socket_, path, options.reader);
  check(answer, path);
  ::fcntl(socket_.number(), F_SETFL, O_NONBLOCK);
  description_ = description_of(answer.message);
  const unsigned count = answer.message.rings;
  pages_ = ReaderPages(answer.files[count].number(), count);
  for (unsigned ring = 0; ring < count; ++ring) {
    rings_.push_back(
        std::make_unique<Ring>(answer.files[ring].number(), pages_[ring], options.reader, socket_.number()));
    readers_.push_back(&rings_.back()->reader);
    merge_.add(*readers_.back(), rings_.back()->mapping.header());
  }
}

Attachment::~Attachment() = default;

const Record* Attachment::next() noexcept {
  do {
    while (batch_next_ < batch_end_) {
      const std::size_t i = batch_next_++;
      if (wanted_[i] != 0) return batch_[i];
    }
  } while (refill());
  return nullptr;
}

void Attachment::release() noexcept {
  // What has been read ahead keeps everything in place until it has been handed out.
  release_due_ = true;
  if (batch_next_ == batch_end_) give_back();
}

void Attachment::give_back() noexcept {
  merge_.release();
  release_due_ = false;
}

/// Reads ahead. False: there is nothing now.
bool Attachment::refill() noexcept {
  if (release_due_) give_back();
  batch_next_ = batch_end_ = 0;
  while (batch_end_ < batch_size && (batch_[batch_end_] = merge_.next()) != nullptr) ++batch_end_;
  if (batch_end_ != 0) {
    judge();
    return true;
  }
  // Rings whose producer is gone stay open for ever; that it is the end has been said by wait() then.
  if (const RingState state = merge_.state(); state != RingState::open) state_ = state;
  return false;
}

/// Which records of the batch this reader wants.
void Attachment::judge() noexcept {
  std::array<Frame, batch_size> frames;
  for (std::size_t i = 0; i < batch_end_; ++i)
    frames[i] = {batch_[i]->data(), batch_[i]->captured_length, batch_[i]->wire_length};
  filter_.match({frames.data(), batch_end_}, wanted_);
  for (std::size_t i = 0; i < batch_end_; ++i) {
    if (batch_[i]->is_loss()) {
      wanted_[i] = 1;
      continue;
    }
    ++received_;
    if (parts_ > 1 && wanted_[i] != 0 && symmetric_flow_hash(frames[i]) % parts_ != part_) wanted_[i] = 0;
  }
}

std::uint64_t Attachment::lost() const noexcept {
  std::uint64_t lost = 0;
  for (const RingReader* reader : readers_) lost += reader->lost();
  return lost;
}

bool Attachment::wait(std::chrono::milliseconds longest) noexcept {
  if (state_ != RingState::open) return true;
  const RingWake wake = wait_for_merge(merge_, readers_, socket_.number(), interrupt_.number(), longest);
  if (wake != RingWake::hung_up) return wake == RingWake::ready;
  // Its last records are there: only when all of them have been read is it the end.
  merge_.settle();
  if (batch_next_ == batch_end_ && !refill() && state_ == RingState::open) {
    hung_up_ = true;
    state_ = RingState::ended;
  }
  return true;
}

void Attachment::breakloop() noexcept {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(interrupt_.number(), &one, sizeof one);
}

}  // namespace ixcap::capture

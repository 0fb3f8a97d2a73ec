#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include <ixcap/driver/emulator/nic.hpp>
#include <ixcap/driver/error.hpp>
#include <ixcap/driver/frame.hpp>
#include <ixcap/driver/idle.hpp>
#include <ixcap/driver/ixgbe/models.hpp>
#include <ixcap/driver/ixgbe/register_bits.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>

namespace ixcap::emulator {
namespace {

using ixgbe::Register;
using WireClock = std::chrono::steady_clock;

// 02: locally administered. In the NVM, from where every reset loads it.
constexpr std::array<std::uint8_t, 6> mac_address(std::uint8_t number) {
  return {0x02, 0x00, 0x63, 0x78, 0x99, static_cast<std::uint8_t>(0x25 + number)};
}

/// A wire that falls further behind the clock than this stands still instead of catching up.
constexpr std::uint64_t most_catch_up_ps = 1'000'000'000;

std::uint64_t picoseconds_since(WireClock::time_point start) {
  const auto elapsed = std::chrono::duration_cast<std::chrono::nanoseconds>(WireClock::now() - start);
  return static_cast<std::uint64_t>(elapsed.count()) * 1000;
}

}  // namespace

Nic::Nic(std::unique_ptr<Traffic> traffic, Rate rate, Drive drive, std::uint8_t number)
    : identity_{"emulator", ixgbe::intel_vendor_id, ixgbe::id_82599_sfp, "software Intel 82599"},
      config_(mac_address(number)),
      interrupts_(registers_, config_, msix_table_,
                  drive == Drive::stepped ? static_cast<const Clock&>(stepped_clock_) : machine_clock_),
      control_(registers_, interrupts_, mac_address(number)),
      stamps_(registers_, drive == Drive::stepped ? static_cast<const Clock&>(stepped_clock_) : machine_clock_),
      receive_path_(registers_, dma_, &interrupts_, &stamps_),
      transmit_path_(registers_, dma_, &interrupts_, &stamps_),
      traffic_(std::move(traffic)),
      rate_(rate) {
  device_reset();
  if (traffic_ == nullptr) ended_.store(true, std::memory_order_release);
  fetch_in_play_ = traffic_ == nullptr || drive == Drive::stepped || !traffic_->may_wait();
  if (drive == Drive::threaded) {
    thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
  }
}

Nic::~Nic() {
  if (traffic_ != nullptr) traffic_->cancel();  // the wire's thread may be waiting for a frame
}

std::uint32_t Nic::read(std::uint32_t offset) noexcept {
  const ControlLock lock(*this);
  return read_register(offset);
}

std::uint32_t Nic::read_register(std::uint32_t offset) noexcept {
  if (removed_) return 0xFFFFFFFF;
  const auto [reg, index] = registers_.locate(offset);
  if (reg == nullptr) return 0;
  if (Interrupts::keeps(*reg)) return interrupts_.read(*reg, index);
  if (TimeStamps::keeps(*reg)) return stamps_.read(*reg);
  receive_path_.flush_statistics();
  transmit_path_.flush_statistics();
  return registers_.read(offset);
}

void Nic::write(std::uint32_t offset, std::uint32_t value) noexcept {
  const ControlLock lock(*this);
  write_register(offset, value);
}

void Nic::write_register(std::uint32_t offset, std::uint32_t value) noexcept {
  const auto [reg, index] = registers_.locate(offset);
  if (reg == nullptr || removed_) return;
  if (faults_ != nullptr) value = stuck(*reg, index, value);
  if (Interrupts::keeps(*reg)) {
    interrupts_.write(*reg, index, value);
    return;
  }
  if (TimeStamps::keeps(*reg)) return stamps_.write(*reg, value);
  registers_.write(offset, value);
  after_write(*reg, index, value);
}

/// What a write does beyond its own register.
void Nic::after_write(const Register& reg, std::uint32_t index, std::uint32_t value) noexcept {
  if (&reg != &ixgbe::RDT && &reg != &ixgbe::TDT) receive_path_.invalidate();
  // What a self-clearing bit starts is done before the write returns.
  if (reg.access == ixgbe::Access::SC) registers_.set(reg, value & ~reg.special, index);
  if (control_.after_write(reg, value)) return;
  if (&reg == &ixgbe::CTRL) {
    const std::uint32_t resets = value & (ixgbe::CTRL_RST | ixgbe::CTRL_LNK_RST);
    if (resets != 0 && fault_spec_.stuck_reset) {
      registers_.set(ixgbe::CTRL, value);  // and stays so
    } else if (resets != 0) {
      device_reset();
    }
    update_master_status();
  } else if (&reg == &ixgbe::EITR) {
    interrupts_.interval_written(index, value);
  } else if (&reg == &ixgbe::EITR_HIGH) {
    interrupts_.interval_written(index + ixgbe::EITR.count, value);
  } else if (&reg == &ixgbe::GPIE || &reg == &ixgbe::IVAR_MISC) {
    interrupts_.update();
  } else if (&reg == &ixgbe::FDIRCTRL) {
    receive_path_.flow_director().start();
  } else if (&reg == &ixgbe::FDIRCMD) {
    interrupts_.raise(receive_path_.flow_director().command(value));
  } else if (&reg == &ixgbe::RXDCTL) {
    receive_path_.flush_statistics();
    receive_path_.set_queue_enabled(index, (value & ixgbe::RXDCTL_ENABLE) != 0);
  } else if (&reg == &ixgbe::TXDCTL) {
    transmit_path_.set_queue_enabled(index, (value & ixgbe::TXDCTL_ENABLE) != 0);
  }
}

void Nic::device_reset() noexcept {
  registers_.reset();
  interrupts_.reset();
  receive_path_.reset();
  transmit_path_.reset();
  stamps_.reset();
  control_.reset();
  frames_before_reset_ = receive_path_.counts().frames;
  update_master_status();
}

/// STATUS tells whether the NIC may access memory: the bus master bit is on, and CTRL.GIO_DIS off.
void Nic::update_master_status() noexcept {
  const bool master = !removed_ && config_.bus_master() && (registers_.get(ixgbe::CTRL) & ixgbe::CTRL_GIO_DIS) == 0;
  registers_.set(ixgbe::STATUS, master ? ixgbe::STATUS_GIO : 0);
}

pci::Doorbell Nic::doorbell(std::uint32_t offset) {
  const auto [reg, index] = registers_.locate(offset);
  if (reg != &ixgbe::RDT && reg != &ixgbe::TDT) {
    throw Error(fmt::format("cannot give a doorbell at 0x{:05x} of", offset), identity_.address,
                "it is not a tail register", "ask for RDT of a receive queue or TDT of a transmit queue");
  }
  return pci::Doorbell(registers_.doorbell(*reg, index));
}

void Nic::enable_bus_master(bool enable) {
  const ControlLock lock(*this);
  config_.set_bus_master(enable);
  update_master_status();
}

std::uint64_t Nic::map_dma(const pci::Pages& pages) {
  const ControlLock lock(*this);
  return dma_.map(pages.data(), pages.size());
}

void Nic::unmap_dma(std::uint64_t io_address, const pci::Pages&) noexcept {
  const ControlLock lock(*this);
  dma_.unmap(io_address);
}

void Nic::enable_interrupts(std::span<const int> eventfds) {
  constexpr const char* action = "cannot enable the interrupts of";
  if (eventfds.size() > ConfigSpace::msix_vectors) {
    throw Error(action, identity_.address, fmt::format("it has {} and no more", ConfigSpace::msix_vectors),
                "use fewer queues");
  }
  std::array<pci::FileDescriptor, ConfigSpace::msix_vectors> counters;
  for (std::size_t i = 0; i < eventfds.size(); ++i) {
    if (eventfds[i] < 0) continue;
    counters[i] = pci::FileDescriptor(::fcntl(eventfds[i], F_DUPFD_CLOEXEC, 0));
    if (!counters[i].valid() || !ClientInterrupts::is_event_counter(counters[i])) {
      throw Error(action, identity_.address, fmt::format("descriptor {} is no event counter", eventfds[i]),
                  "give what eventfd(2) answers");
    }
  }
  const ControlLock lock(*this);
  interrupts_.set_sink(nullptr);
  ClientInterrupts& sink = event_counters_.emplace(*this);
  for (std::uint32_t i = 0; i < eventfds.size(); ++i) {
    sink.attach(pci::vfio_user::irq_msix, i, std::move(counters[i]));
  }
  interrupts_.set_sink(&sink);
  config_.set_msix_enabled(true);
  interrupts_.update();
}

void Nic::disable_interrupts() noexcept {
  const ControlLock lock(*this);
  if (!event_counters_.has_value()) return;
  config_.set_msix_enabled(false);
  interrupts_.set_sink(nullptr);
  event_counters_.reset();
}

void Nic::connect(Wire* wire) {
  const ControlLock lock(*this);
  wire_ = wire != nullptr ? wire : &open_end_;
}

void Nic::plug(SfpKind module) noexcept {
  const ControlLock lock(*this);
  control_.plug(module);
}

void Nic::set_carrier(bool carrier) noexcept {
  const ControlLock lock(*this);
  carrier_ = carrier;
  control_.set_carrier(carrier && !link_flapped_);
}

void Nic::set_clock_drift(std::int64_t parts_per_billion) noexcept {
  const ControlLock lock(*this);
  stamps_.time().set_drift(parts_per_billion);
}

std::uint64_t Nic::system_time() const noexcept {
  const ControlLock lock(*this);
  return stamps_.time().now();
}

std::vector<LatchedStamp> Nic::latched_stamps() const {
  const ControlLock lock(*this);
  return stamps_.latched();
}

void Nic::advance_time(std::uint64_t nanoseconds) noexcept {
  const ControlLock lock(*this);
  stepped_clock_.advance(nanoseconds);
  interrupts_.expire();
}

std::size_t Nic::step(std::size_t frames) {
  const ControlLock lock(*this);
  const bool open = wire_open();
  std::size_t received = open && !traffic_ended() ? play(frames, always) : 0;
  received += take_from_wire(frames - received, open);
  transmit();
  return received;
}

bool Nic::may_access_memory() const noexcept {
  return (registers_.get(ixgbe::STATUS) & ixgbe::STATUS_GIO) != 0;
}

bool Nic::looped_back() const noexcept {
  return (registers_.get(ixgbe::HLREG0) & ixgbe::HLREG0_LPBK) != 0;
}

/// Whether frames come over the wire now. Looks at the registers again.
bool Nic::wire_open() noexcept {
  if (faults_ != nullptr) let_faults_happen();
  receive_path_.refresh();
  const bool open = receive_path_.listening() && may_access_memory() && link_up() && !looped_back();
  // What faults have kept back comes now, because nobody listens any more.
  if (faults_ != nullptr && !open && may_access_memory()) receive_path_.write_back_late();
  return open;
}

/// Takes at most `frames` frames from the wire's other end; where nobody listens they are lost. Answers how many.
std::size_t Nic::take_from_wire(std::size_t frames, bool open) {
  if (open) receive_path_.drain_packet_buffer();
  std::size_t taken = 0;
  for (; taken < frames; ++taken) {
    const std::span<const std::uint8_t> frame = wire_->receive();
    if (frame.empty()) break;
    const auto length = static_cast<std::uint32_t>(std::min<std::size_t>(frame.size(), WireFrame::longest));
    const WireFrame whole{frame.data(), length, length};
    if (open && faults_ == nullptr) {
      receive_path_.receive(whole);
    } else if (open) {
      receive_with_faults(faults_->arriving(whole));
    } else {
      ++unheard_;
    }
  }
  if (open) receive_path_.write_back();
  return taken;
}

/// Sends what the driver has given to the transmit queues; answers how many packets. Without a link it is thrown away:
/// a driver that waits for its descriptors goes on.
std::size_t Nic::transmit() noexcept {
  if (!may_access_memory() || fault_spec_.transmit_hang) return 0;
  if (!looped_back()) return transmit_path_.run(link_up() ? wire_ : nullptr);
  if (receive_path_.listening()) receive_path_.drain_packet_buffer();
  const std::size_t packets = transmit_path_.run(&loopback_);
  receive_path_.write_back();
  return packets;
}

void Nic::Loopback::send(std::span<const std::uint8_t> frame) noexcept {
  const auto length = static_cast<std::uint32_t>(frame.size());
  if (receive_path_.listening()) receive_path_.receive({frame.data(), length, length});
}

/// Makes sure of a frame in on_wire_; false if the traffic is over.
bool Nic::fetch() noexcept {
  if (on_wire_ == nullptr && !exhausted_) {
    on_wire_ = traffic_->next();
    exhausted_ = on_wire_ == nullptr;
  }
  return on_wire_ != nullptr;
}

/// Lets at most `frames` frames, of those that arrive until `until_ps`, come over an open wire.
std::size_t Nic::play(std::size_t frames, std::uint64_t until_ps) {
  if (faults_ != nullptr) [[unlikely]]
    return play_with_faults(frames, until_ps);
  receive_path_.drain_packet_buffer();
  const bool timed = rate_.unit != Rate::Unit::as_fast_as_received;
  std::size_t received = 0;
  for (; received < frames; ++received) {
    if (!(fetch_in_play_ ? fetch() : on_wire_ != nullptr)) break;
    if (timed ? arrival_ps_ > until_ps : !receive_path_.has_room(*on_wire_)) break;
    if (timed) arrival_ps_ += rate_.spacing_ps(on_wire_->wire_length);
    receive_path_.receive(*std::exchange(on_wire_, nullptr));
  }
  end_play();
  return received;
}

void Nic::end_play() noexcept {
  receive_path_.write_back();
  zero_filled_ = traffic_->zero_filled();
  if (exhausted_ && receive_path_.counts().waiting == 0 && !receive_path_.write_back_is_late()) {
    ended_.store(true, std::memory_order_release);
  }
}

void Nic::run(const std::stop_token& stop) {
  const bool timed = rate_.unit != Rate::Unit::as_fast_as_received;
  WireClock::time_point start = WireClock::now();
  bool was_open = false;
  Idle idle;
  while (!stop.stop_requested()) {
    std::size_t moved = 0;  // frames received and packets sent
    if (!fetch_in_play_) fetch();
    {
      const std::scoped_lock lock(mutex_);
      std::uint64_t now_ps = timed ? picoseconds_since(start) : always;
      const bool open = wire_open();
      const bool stood_still = !was_open || now_ps > arrival_ps_ + most_catch_up_ps;
      if (timed && now_ps > arrival_ps_ && stood_still) {
        start += std::chrono::nanoseconds((now_ps - arrival_ps_) / 1000);
        now_ps = arrival_ps_;
      }
      was_open = open;
      if (open && !traffic_ended()) moved = play(batch_size, now_ps);
      moved += take_from_wire(batch_size - moved, open);
      moved += transmit();
      interrupts_.expire();
    }
    while (waiting_.load(std::memory_order_relaxed) != 0) std::this_thread::yield();
    if (moved != 0) {
      idle.reset();
    } else {
      idle.wait();
    }
  }
}

std::optional<Error> Nic::traffic_failure() const {
  const ControlLock lock(*this);
  return traffic_ == nullptr || !traffic_ended() ? std::nullopt : traffic_->failure();
}

WireCounts Nic::counts() const {
  const ControlLock lock(*this);
  WireCounts counts = receive_path_.counts();
  counts.zero_filled = zero_filled_;
  counts.unheard = unheard_;
  return counts;
}

TransmitCounts Nic::transmit_counts() const {
  const ControlLock lock(*this);
  return transmit_path_.counts();
}

std::vector<QueueCounts> Nic::receive_queue_counts() const {
  const ControlLock lock(*this);
  std::vector<QueueCounts> counts;
  for (std::uint32_t queue = 0; queue < ixgbe::RDT.count; ++queue) counts.push_back(receive_path_.queue_counts(queue));
  return counts;
}

std::vector<QueueCounts> Nic::transmit_queue_counts() const {
  const ControlLock lock(*this);
  std::vector<QueueCounts> counts;
  for (std::uint32_t queue = 0; queue < ixgbe::TDT.count; ++queue) counts.push_back(transmit_path_.queue_counts(queue));
  return counts;
}

}  // namespace ixcap::emulator

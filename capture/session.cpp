#include <algorithm>
#include <bit>
#include <utility>

#include <ixcap/capture/hardware_rules.hpp>
#include <ixcap/capture/session.hpp>

namespace ixcap::capture {
namespace {

constexpr std::chrono::milliseconds control_interval{20};
constexpr std::uint32_t longest_snaplen = 262144;  // tcpdump's default, and what its -s 0 means

SessionOptions completed(SessionOptions options) {
  if (options.count_only) options.ring_bytes = RingMemory::smallest_size_bytes;  // for its end alone
  if (options.snaplen == 0) options.snaplen = longest_snaplen;
  return options;
}

ixgbe::FlowTableSize flow_table(const SessionOptions& options) {
  return options.hardware_filter ? ixgbe::flow_table_for(options.hardware_flows) : ixgbe::FlowTableSize::none;
}

ixgbe::PortOptions port_options(const SessionOptions& options, pci::Device& device) {
  // A device without interrupts is polled adaptively all the same; only one that is to have nothing else needs them.
  const bool wanted = options.poll != PollMode::busy;
  const bool there = device.interrupt_vectors() != 0;
  return {.descriptors = options.descriptors,
          .queues = options.queues,
          .keep_fcs = options.keep_fcs,
          .bad_frames = options.bad_frames,
          .interrupts = wanted && (there || options.poll == PollMode::interrupt),
          .flow_table = flow_table(options)};
}

}  // namespace

Session::Session(SessionOptions options)
    : options_(completed(std::move(options))),
      filters_(options_.expression, options_.vlan_aware),
      interface_(options_.interface),
      cpus_(place_queues(interface_.device().identity().address, options_.queues, options_.cpus)),
      near_card_(std::in_place, cpus_),
      port_(interface_.device(), port_options(options_, interface_.device())),
      link_(port_.wait_for_link(options_.link_patience)),
      clock_(interface_.device(), options_.time_stamps),
      channels_(make_channels()),
      reader_(rings(), {}),
      watch_(interface_.device(), port_, events_) {
  near_card_.reset();
  if (options_.hardware_filter) filter_in_hardware();
}

/// From now on the card's rules follow the filters.
void Session::filter_in_hardware() {
  hardware_filter_.emplace(interface_.device(), port_.queue_count());
  if (options_.hardware_flows != 0) hardware_flows_.emplace(interface_.device(), flow_table(options_));
  filters_.watch([this](const filter::LiveSet::Filters& filters) {
    ixgbe::HardwareRules rules = hardware_rules(filters);
    const std::scoped_lock lock(mutex_);
    hardware_filter_->apply(rules);
    hardware_rules_ = std::move(rules);
    if (hardware_flows_) hardware_flows_->follow(excluded_flows(filters));
  });
}

std::vector<std::unique_ptr<Session::Channel>> Session::make_channels() {
  const std::uint32_t queues = port_.queue_count();
  const std::size_t share = std::bit_floor(options_.ring_bytes / queues);
  const std::size_t ring_bytes = queues == 1 ? options_.ring_bytes : std::max(share, RingMemory::smallest_size_bytes);
  const ReceiveLoopOptions of_loops{.snaplen = options_.snaplen,
                                    .link_bits_per_second = link_.bits_per_second,
                                    .card_clock = clock_.card(),
                                    .poll = options_.poll,
                                    .interrupts = port_.interrupts(),
                                    .one_of_several = queues > 1 && !options_.count_only};
  std::vector<std::unique_ptr<Channel>> channels;
  for (std::uint32_t i = 0; i < queues; ++i) {
    channels.push_back(
        std::make_unique<Channel>(port_.queue(i), filters_.reader(), ring_bytes, of_loops, options_.count_only));
  }
  return channels;
}

std::vector<RingMemory*> Session::rings() const {
  std::vector<RingMemory*> rings;
  for (const auto& channel : channels_) rings.push_back(&channel->memory);
  return rings;
}

std::unique_ptr<SessionReader> Session::add_reader(const ReaderOptions& options) {
  return std::make_unique<SessionReader>(rings(), options);
}

std::vector<FilterCount> Session::counts() const {
  std::vector<FilterCount> counts;
  for (Filters::Entry& entry : filters_.list()) {
    FilterCount& sum = counts.emplace_back(FilterCount{entry.bit, std::move(entry.expression)});
    for (const auto& channel : channels_) {
      const FilterCounters::Count count = channel->counters.count(sum.bit);
      sum.packets += count.packets;
      sum.bytes += count.bytes;
    }
  }
  return counts;
}

Session::~Session() {
  filters_.watch({});
  abandon();
  try {
    stop();
  } catch (const Error&) {
    // The port's destructor takes the card off the memory in any case.
  }
}

void Session::start() {
  const std::scoped_lock lock(mutex_);
  clock_.sample();  // the first was taken when the session was made
  port_.enable_queues();
  for (std::size_t i = 0; i < channels_.size(); ++i) {
    receive_threads_.emplace_back([this, i] {
      if (!cpus_.empty()) pin_this_thread(cpus_[i]);  // refused: it runs where it may
      channels_[i]->loop.run();
    });
  }
  receiving_ = true;
  port_.start_receiving();
  control_thread_ = std::jthread([this](const std::stop_token& stop) { control(stop); });
}

void Session::stop() {
  finish();
  control_thread_ = {};
  for (std::jthread& thread : receive_threads_) {
    if (thread.joinable()) thread.join();
  }
  const std::scoped_lock lock(mutex_);
  if (trouble_ || ticket_ != 0 || port_.gone()) settle_counts();
}

void Session::abandon() noexcept {
  for (const auto& channel : channels_) channel->loop.abandon();
}

void Session::finish_loops() noexcept {
  for (const auto& channel : channels_) channel->loop.finish();
}

void Session::finish() {
  const std::scoped_lock lock(mutex_);
  if (!std::exchange(receiving_, false)) return;
  if (!trouble_) trouble_ = watch_.look();  // if so, its consequences are counted when all is over
  try {
    port_.stop_receiving();
  } catch (...) {
    finish_loops();
    throw;
  }
  update_statistics();
  finish_loops();
}

/// Reads the card's statistics from time to time, looks after it, and ends the capture with its traffic.
void Session::control(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    bool ended = false;
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, stop, control_interval, [] { return false; });
      if (receiving_) look_after_port();
      ended = interface_.ended() || failure_;
    }
    if (!ended) continue;
    try {
      finish();
    } catch (const Error& error) {
      const std::scoped_lock lock(mutex_);
      fail(error);
    }
    if (const std::optional<Error> error = failure()) events_.add(SessionEvent::Kind::failed, error->what());
    return;
  }
}

void Session::update_statistics() {
  clock_.sample();
  port_.statistics().update();
  tell_losses();
}

/// To the readers, with the next frame of each queue.
void Session::tell_losses() noexcept {
  const ixgbe::Statistics& card = port_.statistics().total();
  for (std::size_t i = 0; i < channels_.size(); ++i) {
    // What no queue ever saw is told of in the first one's ring.
    channels_[i]->loop.set_dropped_by_card(card.queue[i].no_descriptor + (i == 0 ? card.missed + losses_.lost : 0));
  }
}

ixgbe::HardwareRules Session::dropped_by_hardware() const {
  const std::scoped_lock lock(mutex_);
  return hardware_rules_;
}

std::optional<Error> Session::failure() const {
  const std::scoped_lock lock(mutex_);
  // When the interface is lost, all else fails with it.
  std::optional<Error> lost = interface_.failure();
  return lost.has_value() ? lost : failure_;
}

SessionStatistics Session::statistics() const {
  const std::scoped_lock lock(mutex_);
  return read_statistics();
}

SessionStatistics Session::read_statistics() const {
  SessionStatistics statistics{.card = port_.statistics().total(), .received = {}};
  for (std::uint32_t i = 0; i < port_.queue_count(); ++i) {
    const ReceiveCounts& counts = statistics.queue.emplace_back(channels_[i]->loop.counts());
    statistics.received.polled += counts.polled;
    statistics.received.accepted += counts.accepted;
    statistics.received.bad += counts.bad;
    statistics.received.stamped += counts.stamped;
    statistics.received.impossible_stamps += counts.impossible_stamps;
    statistics.received.longest_wait_ticks =
        std::max(statistics.received.longest_wait_ticks, counts.longest_wait_ticks);
    statistics.malformed += port_.queue(i).malformed();
  }
  statistics.delivered = reader_.delivered();
  statistics.time_stamps = clock_.statistics(statistics.received);
  return statistics;
}

DropLedger Session::ledger() const {
  std::unique_lock lock(mutex_);
  const auto [card, received, queue, malformed, delivered, time_stamps] = read_statistics();
  const CardLosses losses = losses_;
  const bool running = receiving_;
  lock.unlock();
  const auto minus = [](std::uint64_t whole, std::uint64_t part) { return whole > part ? whole - part : 0; };
  DropLedger ledger;
  ledger.running = running;
  ledger.on_wire = card.total_packets + losses.forgotten + losses.forgotten_bad;
  ledger.not_admitted = minus(card.unfiltered_packets, card.good_packets);
  if (hardware_filter_) {  // no other filter is on that would not admit them
    ledger.filtered_by_card = *ledger.not_admitted + card.queue[hardware_filter_->drop_queue()].no_descriptor;
    ledger.not_admitted = 0;
  }
  ledger.missed = card.missed;
  for (std::size_t i = 0; i < queue.size(); ++i) {
    ledger.no_descriptor.emplace_back(card.queue[i].no_descriptor);
    ledger.received.push_back(queue[i].polled);
  }
  ledger.lost_in_card = losses.lost;
  ledger.malformed = malformed;
  ledger.filtered = minus(received.polled, received.accepted);  // a batch may have ended between the two
  ledger.delivered = delivered;
  (options_.count_only ? ledger.counted : ledger.left_unread) = minus(received.accepted, delivered);
  ledger.in_descriptors = minus(card.all_queues().packets, received.polled + malformed + losses.lost);
  // Bad frames that came all the same were not rejected. Of those that were lost later the card does not tell that they
  // were bad, so where bad frames are captured no more can have been rejected than the other entries leave.
  const std::uint64_t not_received = minus(card.bad_packets() + losses.forgotten_bad, received.bad);
  const std::uint64_t unaccounted = minus(*ledger.on_wire, ledger.accounted_for());
  ledger.rejected_by_mac = options_.bad_frames ? std::min(not_received, unaccounted) : not_received;
  return ledger;
}

}  // namespace ixcap::capture

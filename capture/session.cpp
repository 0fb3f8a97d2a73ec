#include <utility>

#include <ixcap/capture/session.hpp>
#include <ixcap/filter/expression.hpp>
#include <ixcap/filter/vlan_aware.hpp>

namespace ixcap::capture {
namespace {

constexpr std::chrono::milliseconds control_interval{20};
constexpr std::uint32_t longest_snaplen = 262144;  // tcpdump's default, and what its -s 0 means

SessionOptions completed(SessionOptions options) {
  if (options.snaplen == 0) options.snaplen = longest_snaplen;
  return options;
}

filter::Program compiled(const SessionOptions& options) {
  if (options.expression.empty()) return filter::Program::returning(1);
  return options.vlan_aware ? filter::compile_vlan_aware(options.expression) : filter::compile(options.expression);
}

}  // namespace

Session::Session(SessionOptions options)
    : options_(completed(std::move(options))),
      filters_({{compiled(options_)}}),
      interface_(options_.interface),
      port_(interface_.device(), {options_.descriptors}),
      link_(port_.wait_for_link(options_.link_patience)),
      memory_({.size_bytes = options_.ring_bytes, .populate = true}),
      producer_(memory_),
      reader_(memory_),
      loop_(port_.queue(), filters_.reader(), producer_, options_.snaplen, link_.bits_per_second) {}

Session::~Session() {
  abandon();
  try {
    stop();
  } catch (const Error&) {
    // The port's destructor takes the card off the memory in any case.
  }
}

void Session::start() {
  const std::scoped_lock lock(mutex_);
  receive_thread_ = std::jthread([this] { loop_.run(); });
  receiving_ = true;
  port_.start_receiving();
  control_thread_ = std::jthread([this](const std::stop_token& stop) { control(stop); });
}

void Session::stop() {
  finish();
  control_thread_ = {};
  if (receive_thread_.joinable()) receive_thread_.join();
}

void Session::finish() {
  const std::scoped_lock lock(mutex_);
  if (!std::exchange(receiving_, false)) return;
  try {
    port_.stop_receiving();
  } catch (...) {
    loop_.finish();
    throw;
  }
  update_statistics();
  loop_.finish();
}

/// Reads the card's statistics from time to time and ends the capture with its traffic.
void Session::control(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    bool ended = false;
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, stop, control_interval, [] { return false; });
      ended = interface_.ended();
      if (receiving_) update_statistics();
    }
    if (!ended) continue;
    try {
      finish();
    } catch (const Error& error) {
      const std::scoped_lock lock(mutex_);
      failure_ = error;
    }
    return;
  }
}

void Session::update_statistics() {
  port_.statistics().update();
  const ixgbe::Statistics& card = port_.statistics().total();
  loop_.set_dropped_by_card(card.missed + card.all_queues().no_descriptor);
}

std::optional<Error> Session::failure() const {
  const std::scoped_lock lock(mutex_);
  // When the interface is lost, all else fails with it.
  std::optional<Error> lost = interface_.failure();
  return lost.has_value() ? lost : failure_;
}

SessionStatistics Session::statistics() const {
  const std::scoped_lock lock(mutex_);
  return {port_.statistics().total(), loop_.counts(), port_.queue().malformed(), reader_.delivered()};
}

DropLedger Session::ledger() const {
  const auto [card, received, malformed, delivered] = statistics();
  const auto minus = [](std::uint64_t whole, std::uint64_t part) { return whole > part ? whole - part : 0; };
  DropLedger ledger;
  ledger.on_wire = card.total_packets;
  ledger.rejected_by_mac = card.crc_errors + card.illegal_symbols + card.error_bytes + card.length_errors +
                           card.undersize + card.fragments + card.oversize + card.jabber;
  ledger.not_admitted = minus(card.unfiltered_packets, card.good_packets);
  ledger.missed = card.missed;
  ledger.no_descriptor = {card.queue[port_.queue().index()].no_descriptor};
  ledger.malformed = malformed;
  ledger.filtered = minus(received.polled, received.accepted);  // a batch may have ended between the two
  ledger.delivered = delivered;
  ledger.left_unread = minus(received.accepted, delivered);
  ledger.in_descriptors = minus(card.all_queues().packets, received.polled + malformed);
  return ledger;
}

}  // namespace ixcap::capture

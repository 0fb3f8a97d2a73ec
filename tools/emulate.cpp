/// `ixcap emulate`: software 82599s for other people's drivers, at vfio-user sockets.

#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <ixcap/driver/emulator/cable.hpp>
#include <ixcap/driver/emulator/nic.hpp>
#include <ixcap/driver/emulator/tap_wire.hpp>
#include <ixcap/driver/emulator/traffic.hpp>
#include <ixcap/driver/emulator/vfio_user_server.hpp>
#include <ixcap/driver/error.hpp>

#include "tools/command.hpp"
#include "tools/emulate_control.hpp"
#include "tools/emulate_statistics.hpp"
#include "tools/signals.hpp"
#include "tools/wire_recorder.hpp"

namespace ixcap::tools {
namespace {

struct EmulateOptions {
  std::vector<std::string> sockets;
  std::string traffic;
  std::vector<std::string> taps;
  std::string faults;
  std::string control;
  std::vector<std::string> records;
  bool cable = false;
  bool quiet = false;
};

/// One NIC, its wire and its socket.
class EmulatedPort {
 public:
  /// `tap`: the TAP interface at the other end of the wire; empty: none. `recorder` may be null.
  EmulatedPort(const EmulateOptions& options, std::uint8_t number, const std::string& socket, const std::string& tap,
               WireRecorder* recorder)
      : tap_(tap.empty() ? nullptr : std::make_unique<emulator::TapWire>(tap)),
        recorder_(recorder),
        nic_(make_nic(options.traffic, number, recorder)),
        server_(*nic_, socket, log(options.quiet, socket)) {
    connect(tap_.get());
    if (!options.faults.empty()) nic_->set_faults(emulator::parse_faults(options.faults, nic_->faults()));
  }

  emulator::Nic& nic() noexcept { return *nic_; }

  /// What is at the other end of the wire; null: nobody.
  void connect(emulator::Wire* wire) { nic_->connect(recorder_ != nullptr ? recorder_->wire(wire) : wire); }

  /// Says once why the recording ended early, if it did; whether it did.
  bool report_recording() {
    const std::optional<Error> failure = recorder_ != nullptr ? recorder_->failure() : std::nullopt;
    if (failure.has_value() && !recording_reported_) fmt::print(stderr, "ixcap: {}\n", failure->what());
    recording_reported_ = failure.has_value();
    return recording_reported_;
  }

  void print_statistics() const {
    std::fputs(emulated_statistics(server_.path(), *nic_).c_str(), stderr);
    if (tap_ == nullptr) return;
    fmt::print(stderr, "{}: {} frames refused by the TAP interface, {} bytes of padding added to its own\n",
               server_.path(), tap_->lost(), tap_->padding());
  }

  /// The link is down while the TAP interface is, as with a host at a cable.
  void follow_tap() {
    if (tap_ == nullptr || tap_->up() == carrier_) return;
    carrier_ = !carrier_;
    nic_->set_carrier(carrier_);
  }

  /// Says once why the traffic ended early, if it did; whether it did.
  bool report_failure() {
    const std::optional<Error> failure = nic_->traffic_failure();
    if (failure.has_value() && !reported_) fmt::print(stderr, "ixcap: {}\n", failure->what());
    reported_ = failure.has_value();
    return reported_;
  }

 private:
  static std::unique_ptr<emulator::Nic> make_nic(const std::string& traffic, std::uint8_t number,
                                                 WireRecorder* recorder) {
    if (traffic.empty())
      return std::make_unique<emulator::Nic>(nullptr, emulator::Rate{}, emulator::Drive::threaded, number);
    const emulator::TrafficSpec spec = emulator::parse_traffic(traffic);
    std::unique_ptr<emulator::Traffic> source = emulator::open_traffic(spec);
    if (recorder != nullptr) source = recorder->traffic(std::move(source));
    auto nic = std::make_unique<emulator::Nic>(std::move(source), spec.rate, emulator::Drive::threaded, number);
    nic->set_faults(spec.faults);
    return nic;
  }
  static emulator::VfioUserServer::Log log(bool quiet, const std::string& socket) {
    if (quiet) return {};
    // A line that cannot be written is no reason to stop.
    return [socket](const std::string& sentence) {
      std::fputs(fmt::format("{}: {}\n", socket, sentence).c_str(), stderr);
    };
  }

  std::unique_ptr<emulator::TapWire> tap_;  ///< outlives the NIC
  WireRecorder* recorder_;
  std::unique_ptr<emulator::Nic> nic_;
  emulator::VfioUserServer server_;  ///< ends before the NIC does
  bool reported_ = false;
  bool recording_reported_ = false;
  bool carrier_ = true;  ///< as the TAP interface had it last
};

/// Serves until a signal comes. Answers the exit status.
int emulate(const EmulateOptions& options) {
  emulator::Cable cable;                                 // outlives the NICs
  std::vector<std::unique_ptr<WireRecorder>> recorders;  // so do these
  std::vector<std::unique_ptr<EmulatedPort>> ports;
  for (const std::string& socket : options.sockets) {
    const std::string tap = ports.size() < options.taps.size() ? options.taps[ports.size()] : "";
    WireRecorder* recorder = nullptr;
    if (ports.size() < options.records.size()) {
      recorder = recorders.emplace_back(std::make_unique<WireRecorder>(options.records[ports.size()], socket)).get();
    }
    ports.push_back(
        std::make_unique<EmulatedPort>(options, static_cast<std::uint8_t>(ports.size()), socket, tap, recorder));
    if (!options.quiet) fmt::print(stderr, "ixcap: a software 82599 is at vfio-user:{}\n", socket);
  }
  if (options.cable) {
    for (unsigned end = 0; end < 2; ++end) ports[end]->connect(&cable.end(end));
  }
  std::optional<ControlSocket> control;
  if (!options.control.empty()) {
    std::vector<emulator::Nic*> nics;
    for (const auto& port : ports) nics.push_back(&port->nic());
    control.emplace(std::move(nics), options.control);
  }
  bool failed = false;
  while (!finish_requested()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    for (const auto& port : ports) failed |= port->report_failure() | port->report_recording();
    for (const auto& port : ports) port->follow_tap();
    if (take_statistics_request()) {
      for (const auto& port : ports) port->print_statistics();
    }
  }
  if (!options.quiet) {
    for (const auto& port : ports) port->print_statistics();
  }
  for (const auto& port : ports) failed |= port->report_recording();
  control.reset();  // whose commands are for the ports
  ports.clear();
  for (const auto& recorder : recorders) {
    if (!recorder->failure().has_value()) recorder->close();
  }
  return failed ? 1 : 0;
}

}  // namespace

void add_emulate_command(CLI::App& application, int& status) {
  CLI::App* command = application.add_subcommand("emulate", "Serve a software 82599 to QEMU or to another ixcap");
  auto options = std::make_shared<EmulateOptions>();
  command
      ->add_option("--socket", options->sockets,
                   "Where to listen for a vfio-user client; given again, there is another NIC")
      ->allow_extra_args(false)
      ->required();
  command->add_option("--traffic", options->traffic, "What comes over the wire, as in emulator:TRAFFIC; none: nothing");
  CLI::Option* const tap = command
                               ->add_option("--tap", options->taps,
                                            "A TAP interface of this machine to make the wire's other end; given "
                                            "again, that of the next NIC")
                               ->allow_extra_args(false);
  command
      ->add_option("--record", options->records,
                   "A pcapng file for what the NIC sends and receives; given again, that of the next NIC")
      ->allow_extra_args(false);
  command->add_flag("--cable", options->cable, "Connect the two NICs with each other")->excludes(tap);
  command->add_option("--fault", options->faults,
                      "What goes wrong with the NICs, as crc-errors=0.01,link-flap=1s; see ixcap-emulate(1)");
  command->add_option("--control", options->control,
                      "Where to listen for lines that change faults, link and module, and ask for statistics");
  command->add_flag("-q", options->quiet, "Say nothing of clients, nor at the end");
  command->callback([options, &status] {
    if (options->taps.size() > options->sockets.size()) {
      throw Error("cannot emulate", "", "there are more TAP interfaces than NICs", "give a --socket for each --tap");
    }
    if (options->records.size() > options->sockets.size()) {
      throw Error("cannot emulate", "", "there are more files than NICs", "give a --socket for each --record");
    }
    if (options->cable && options->sockets.size() != 2) {
      throw Error("cannot emulate", "", "a cable has two ends", "give --socket twice with --cable");
    }
    watch_signals();
    status = emulate(*options);
  });
}

}  // namespace ixcap::tools

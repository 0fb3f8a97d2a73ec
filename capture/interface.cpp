#include <algorithm>
#include <cctype>

#include <ixcap/capture/interface.hpp>
#include <ixcap/driver/emulator/traffic.hpp>
#include <ixcap/driver/ixgbe/models.hpp>

namespace ixcap::capture {
namespace {

constexpr const char* forms = "give emulator, emulator:FILE, emulator:mix or vfio-user:SOCKET (see 'ixcap devices')";

/// "0000:03:00.0", or without the domain.
bool looks_like_pci_address(std::string_view name) {
  const auto hex_or_mark = [](char c) { return std::isxdigit(static_cast<unsigned char>(c)) || c == ':' || c == '.'; };
  return name.size() >= 7 && name[name.size() - 2] == '.' && name.find(':') != std::string_view::npos &&
         std::all_of(name.begin(), name.end(), hex_or_mark);
}

/// The 82599 that is served at a socket.
std::unique_ptr<pci::VfioUserDevice> connect(const std::string& socket) {
  auto device = std::make_unique<pci::VfioUserDevice>(socket);
  const auto is_it = [&id = device->identity()](const ixgbe::Model& model) { return model.device == id.device; };
  if (device->identity().vendor != ixgbe::intel_vendor_id ||
      std::none_of(ixgbe::models.begin(), ixgbe::models.end(), is_it)) {
    throw Error("cannot capture from", device->identity().address,
                "it is no 82599 but a " + device->identity().description,
                "serve one: ixcap emulate --socket " + socket);
  }
  return device;
}

}  // namespace

Interface::Interface(std::string_view name) : name_(name) {
  constexpr std::string_view emulator_name = "emulator";
  constexpr std::string_view vfio_user_prefix = "vfio-user:";
  if (name == emulator_name || name.starts_with("emulator:")) {
    const std::string_view traffic = name == emulator_name ? "mix" : name.substr(emulator_name.size() + 1);
    const emulator::TrafficSpec spec = emulator::parse_traffic(traffic);
    auto nic = std::make_unique<emulator::Nic>(emulator::open_traffic(spec), spec.rate, emulator::Drive::threaded);
    nic->set_faults(spec.faults);
    nic_ = nic.get();
    device_ = std::move(nic);
    return;
  }
  if (name.starts_with(vfio_user_prefix)) {
    auto device = connect(std::string(name.substr(vfio_user_prefix.size())));
    served_ = device.get();
    device_ = std::move(device);
    return;
  }
  if (looks_like_pci_address(name)) {
    throw Error("cannot open interface", name_, "this version of ixcap drives the software NIC only", forms);
  }
  throw Error("cannot open interface", name_, "there is no such interface", forms);
}

std::optional<Error> Interface::failure() const {
  if (served_ != nullptr && served_->gone()) {
    return Error("lost the interface", name_, "its server is gone", "start the server again, and capture anew");
  }
  if (nic_ == nullptr) return std::nullopt;
  if (nic_->removed()) {
    return Error("lost the interface", name_, "the card is not there any more", "put it back, and capture anew");
  }
  return nic_->traffic_failure();
}

}  // namespace ixcap::capture

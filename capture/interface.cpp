#include <net/if.h>

#include <algorithm>

#include <ixcap/capture/interface.hpp>
#include <ixcap/driver/emulator/traffic.hpp>
#include <ixcap/driver/ixgbe/models.hpp>
#include <ixcap/driver/pci/address.hpp>

namespace ixcap::capture {
namespace {

constexpr const char* forms =
    "give emulator, emulator:FILE, emulator:mix, vfio-user:SOCKET or a card's address (see 'ixcap devices')";

bool is_82599(const pci::Identity& id) {
  return id.vendor == ixgbe::intel_vendor_id &&
         std::any_of(ixgbe::models.begin(), ixgbe::models.end(),
                     [&id](const ixgbe::Model& model) { return model.device == id.device; });
}

/// The 82599 that is served at a socket.
std::unique_ptr<pci::VfioUserDevice> connect(const std::string& socket) {
  auto device = std::make_unique<pci::VfioUserDevice>(socket);
  if (!is_82599(device->identity())) {
    throw Error("cannot capture from", device->identity().address,
                "it is no 82599 but a " + device->identity().description,
                "serve one: ixcap emulate --socket " + socket);
  }
  return device;
}

void check_card(const std::string& address) {
  const pci::Identity id = pci::VfioGroup::identify(address);
  if (!is_82599(id)) {
    throw Error("cannot open interface", address, "it is no 82599 but a " + id.description,
                "'ixcap devices' lists the cards");
  }
}

/// The 82599 at this address. Any other device is left alone: to open one would reset it.
std::unique_ptr<pci::VfioDevice> open_card(const std::string& address) {
  check_card(address);
  return std::make_unique<pci::VfioDevice>(address);
}

constexpr std::string_view emulator_name = "emulator";
constexpr std::string_view vfio_user_prefix = "vfio-user:";

/// What comes over the wire of `emulator` or `emulator:TRAFFIC`; empty for other names.
std::optional<emulator::TrafficSpec> traffic_of(std::string_view name) {
  if (name == emulator_name) return emulator::parse_traffic("mix");
  const bool followed = name.starts_with(emulator_name) && name.substr(emulator_name.size()).starts_with(':');
  if (!followed) return std::nullopt;
  return emulator::parse_traffic(name.substr(emulator_name.size() + 1));
}

/// The error of a name that has none of the forms.
Error no_interface(const std::string& name) {
  const auto refuse = [&name](const char* reason, const std::string& mend) {
    return Error("cannot open interface", name, reason, mend);
  };
  if (name.starts_with("emulator?")) {
    return refuse("its traffic is missing", "give emulator:mix" + name.substr(emulator_name.size()));
  }
  if (::if_nametoindex(name.c_str()) == 0) return refuse("there is no such interface", forms);
  constexpr const char* of_kernel = "that is a network interface of the kernel";
  const std::optional<std::string> address = pci::address_of_interface(name);
  if (address && is_82599(pci::VfioGroup::identify(*address))) {
    return refuse(of_kernel, "give the card's address: " + *address);
  }
  return refuse(of_kernel, "give the address of an 82599 ('ixcap devices' lists them), or capture with tcpdump");
}

}  // namespace

void Interface::check(std::string_view name) {
  if (const std::optional<emulator::TrafficSpec> traffic = traffic_of(name)) {
    emulator::open_traffic(*traffic);
  } else if (const std::optional<std::string> address = pci::canonical_address(name)) {
    check_card(*address);
  } else if (!name.starts_with(vfio_user_prefix)) {
    throw no_interface(std::string(name));
  }
}

Interface::Interface(std::string_view name) : name_(name) {
  if (const std::optional<emulator::TrafficSpec> spec = traffic_of(name)) {
    auto nic = std::make_unique<emulator::Nic>(emulator::open_traffic(*spec), spec->rate, emulator::Drive::threaded);
    nic->set_faults(spec->faults);
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
  if (const std::optional<std::string> address = pci::canonical_address(name)) {
    auto device = open_card(*address);
    card_ = device.get();
    device_ = std::move(device);
    return;
  }
  throw no_interface(name_);
}

std::optional<Error> Interface::failure() const {
  if (served_ != nullptr && served_->gone()) {
    return Error("lost the interface", name_, "its server is gone", "start the server again, and capture anew");
  }
  if (nic_ != nullptr && nic_->removed()) {
    return Error("lost the interface", name_, "the card is not there any more", "put it back, and capture anew");
  }
  if (card_ != nullptr && card_->gone()) {
    return Error("lost the interface", name_, "the card no longer answers: it was pulled, or lost its power or its bus",
                 "see what the kernel says (sudo dmesg); when 'ixcap devices' shows it again, capture anew");
  }
  if (card_ != nullptr && card_->wanted_back()) {
    return Error("lost the interface", name_, "the kernel wants the card back",
                 "when it is with vfio-pci again (sudo ixcap bind " + card_->identity().address + "), capture anew");
  }
  return nic_ == nullptr ? std::nullopt : nic_->traffic_failure();
}

}  // namespace ixcap::capture

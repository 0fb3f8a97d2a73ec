#include <algorithm>
#include <cctype>

#include <ixcap/capture/interface.hpp>
#include <ixcap/driver/emulator/traffic.hpp>

namespace ixcap::capture {
namespace {

constexpr const char* forms = "give emulator, emulator:FILE or emulator:mix (see 'ixcap devices')";

/// "0000:03:00.0", or without the domain.
bool looks_like_pci_address(std::string_view name) {
  const auto hex_or_mark = [](char c) { return std::isxdigit(static_cast<unsigned char>(c)) || c == ':' || c == '.'; };
  return name.size() >= 7 && name[name.size() - 2] == '.' && name.find(':') != std::string_view::npos &&
         std::all_of(name.begin(), name.end(), hex_or_mark);
}

}  // namespace

Interface::Interface(std::string_view name) : name_(name) {
  constexpr std::string_view emulator_name = "emulator";
  constexpr std::string_view vfio_user_prefix = "vfio-user:";
  if (name == emulator_name || name.starts_with("emulator:")) {
    const std::string_view traffic = name == emulator_name ? "mix" : name.substr(emulator_name.size() + 1);
    const emulator::TrafficSpec spec = emulator::parse_traffic(traffic);
    auto nic = std::make_unique<emulator::Nic>(emulator::open_traffic(spec), spec.rate, emulator::Drive::threaded);
    nic_ = nic.get();
    device_ = std::move(nic);
    return;
  }
  if (looks_like_pci_address(name) || name.starts_with(vfio_user_prefix)) {
    throw Error("cannot open interface", name_, "this version of ixcap drives the software NIC only", forms);
  }
  throw Error("cannot open interface", name_, "there is no such interface", forms);
}

}  // namespace ixcap::capture

#pragma once

/// INTERFACE: the names that a capture can be opened by, and what is behind them (docs/ixcap-capture.1).
///
///     emulator             the software 82599 in this process, with the built-in traffic mix
///     emulator:TRAFFIC     the same with other traffic (driver/emulator/traffic.hpp)
///     0000:03:00.0         a card through VFIO; 03:00.0 is the same
///     vfio-user:SOCKET     a software 82599 in another process
///
/// Errors: ixcap::Error with the forms that are taken.

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <ixcap/driver/emulator/nic.hpp>
#include <ixcap/driver/error.hpp>
#include <ixcap/driver/pci/device.hpp>
#include <ixcap/driver/pci/vfio_device.hpp>
#include <ixcap/driver/pci/vfio_user_device.hpp>

namespace ixcap::capture {

class Interface {
 public:
  /// Opens what `name` names. Ownership: the device lives as long as the Interface.
  explicit Interface(std::string_view name);

  /// Throws what the constructor would if `name` names no interface, but opens none: a card is not even reset.
  static void check(std::string_view name);

  const std::string& name() const noexcept { return name_; }
  pci::Device& device() noexcept { return *device_; }

  /// Whether no further frame can come: a replayed file is over, the server of a device is gone, a card was pulled or
  /// is wanted back by the kernel.
  bool ended() const noexcept {
    return (nic_ != nullptr && (nic_->traffic_ended() || nic_->removed())) || (served_ != nullptr && served_->gone()) ||
           (card_ != nullptr && (card_->gone() || card_->wanted_back()));
  }

  /// Why it ended early, if it did.
  std::optional<Error> failure() const;

  /// What was really on the wire; only a software NIC knows.
  std::optional<emulator::WireCounts> wire_counts() const {
    return nic_ == nullptr ? std::nullopt : std::optional(nic_->counts());
  }

 private:
  std::string name_;
  std::unique_ptr<pci::Device> device_;
  const emulator::Nic* nic_ = nullptr;           ///< device_, if it is a software NIC in this process
  const pci::VfioUserDevice* served_ = nullptr;  ///< device_, if another process serves it
  const pci::VfioDevice* card_ = nullptr;        ///< device_, if it is a card
};

}  // namespace ixcap::capture

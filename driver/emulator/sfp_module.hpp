#pragma once

/// An SFP+ module, as far as its host can read it: the memory at the I2C addresses 0xA0 (what it is; SFF-8472,
/// table 3.1) and, of optics, 0xA2 (diagnostics). All of its checksums hold.

#include <array>
#include <cstdint>

namespace ixcap::emulator {

enum class SfpKind : std::uint8_t { none, passive_copper, short_range, long_range };

class SfpModule {
 public:
  explicit SfpModule(SfpKind kind);

  SfpKind kind() const noexcept { return kind_; }
  bool present() const noexcept { return kind_ != SfpKind::none; }
  bool optical() const noexcept { return kind_ == SfpKind::short_range || kind_ == SfpKind::long_range; }

  /// Whether anything answers at the I2C address (0xA0, 0xA2; bit 0 is not looked at).
  bool answers(std::uint8_t device) const noexcept;
  /// What is stored there. Only of an address that answers.
  std::uint8_t read(std::uint8_t device, std::uint8_t offset) const noexcept;

 private:
  void describe();
  void describe_diagnostics();

  SfpKind kind_;
  std::array<std::uint8_t, 256> identity_{};
  std::array<std::uint8_t, 256> diagnostics_{};
};

}  // namespace ixcap::emulator

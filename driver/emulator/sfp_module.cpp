#include <algorithm>
#include <numeric>
#include <string_view>

#include <ixcap/driver/emulator/sfp_module.hpp>

namespace ixcap::emulator {
namespace {

constexpr std::uint8_t identity_address = 0xA0;
constexpr std::uint8_t diagnostics_address = 0xA2;

using Memory = std::array<std::uint8_t, 256>;

/// Text fields are padded with spaces.
void put_text(Memory& memory, std::size_t offset, std::size_t length, std::string_view text) {
  for (std::size_t i = 0; i < length; ++i) {
    memory[offset + i] = static_cast<std::uint8_t>(i < text.size() ? text[i] : ' ');
  }
}

void put_16(Memory& memory, std::size_t offset, unsigned value) {
  memory[offset] = static_cast<std::uint8_t>(value >> 8);
  memory[offset + 1] = static_cast<std::uint8_t>(value);
}

/// The low byte of the sum of [first, last) at `last`.
void put_checksum(Memory& memory, std::size_t first, std::size_t last) {
  const auto begin = memory.begin();
  const auto at = [&](std::size_t place) { return begin + static_cast<Memory::difference_type>(place); };
  memory[last] = static_cast<std::uint8_t>(std::accumulate(at(first), at(last), 0u));
}

}  // namespace

SfpModule::SfpModule(SfpKind kind) : kind_(kind) {
  if (present()) describe();
  if (optical()) describe_diagnostics();
}

bool SfpModule::answers(std::uint8_t device) const noexcept {
  const auto address = static_cast<std::uint8_t>(device & 0xFE);
  return (present() && address == identity_address) || (optical() && address == diagnostics_address);
}

std::uint8_t SfpModule::read(std::uint8_t device, std::uint8_t offset) const noexcept {
  return (device & 0xFE) == diagnostics_address ? diagnostics_[offset] : identity_[offset];
}

void SfpModule::describe() {
  identity_[0] = 0x03;  // SFP or SFP+
  identity_[1] = 0x04;  // identified by its serial ID
  identity_[12] = 103;  // 10.3 Gb/s
  put_text(identity_, 20, 16, "ixcap");
  put_text(identity_, 56, 4, "1");
  put_text(identity_, 68, 16, "1");
  put_text(identity_, 84, 8, "260101");
  if (kind_ == SfpKind::passive_copper) {
    identity_[2] = 0x21;   // copper pigtail
    identity_[8] = 0x04;   // passive cable
    identity_[18] = 1;     // metres
    identity_[60] = 0x01;  // SFF-8431, appendix E
    put_text(identity_, 40, 16, "DAC-1M");
  } else {
    const bool near = kind_ == SfpKind::short_range;
    identity_[2] = 0x07;  // LC
    identity_[3] = near ? 0x10 : 0x20;
    identity_[6] = near ? 0x01 : 0x02;  // 1000BASE-SX or -LX, too
    identity_[37] = 0x00;               // vendor OUI: drivers take copper of anybody, but optics of Intel
    identity_[38] = 0x1B;
    identity_[39] = 0x21;
    identity_[11] = 0x06;  // 64B/66B
    if (near) {
      identity_[16] = 8;   // 10 m each, 50 um fibre
      identity_[17] = 3;   // 62.5 um fibre
      identity_[19] = 30;  // OM3
    } else {
      identity_[14] = 10;   // km
      identity_[15] = 100;  // 100 m each
    }
    put_16(identity_, 60, near ? 850 : 1310);  // wavelength, nm
    put_16(identity_, 64, 0x001A);             // TX_DISABLE, TX_FAULT, RX_LOS
    identity_[92] = 0x68;                      // diagnostics, calibrated, average power
    identity_[93] = 0x80;                      // alarm and warning flags
    identity_[94] = 0x05;                      // SFF-8472 revision 11.0
    put_text(identity_, 40, 16, near ? "SFP-10G-SR" : "SFP-10G-LR");
  }
  put_checksum(identity_, 0, 63);
  put_checksum(identity_, 64, 95);
}

/// SFF-8472, tables 3.15 to 3.17: thresholds (high and low alarm, high and low warning), then what is measured now.
void SfpModule::describe_diagnostics() {
  struct Quantity {
    unsigned high_alarm, low_alarm, high_warning, low_warning, now;
  };
  constexpr std::array<Quantity, 5> quantities{{
      {75u << 8, 0xFB00, 70u << 8, 0, 35u << 8},  // temperature, 1/256 degree
      {36'000, 30'000, 35'000, 31'000, 33'000},   // supply, 100 uV
      {5'000, 1'000, 4'500, 1'500, 3'000},        // laser bias, 2 uA
      {15'848, 1'122, 12'589, 1'413, 5'623},      // power sent, 0.1 uW
      {15'848, 501, 12'589, 631, 5'012},          // power received, 0.1 uW
  }};
  for (std::size_t i = 0; i < quantities.size(); ++i) {
    const Quantity& quantity = quantities[i];
    put_16(diagnostics_, 8 * i, quantity.high_alarm);
    put_16(diagnostics_, 8 * i + 2, quantity.low_alarm);
    put_16(diagnostics_, 8 * i + 4, quantity.high_warning);
    put_16(diagnostics_, 8 * i + 6, quantity.low_warning);
    put_16(diagnostics_, 96 + 2 * i, quantity.now);
  }
  put_checksum(diagnostics_, 0, 95);
}

}  // namespace ixcap::emulator

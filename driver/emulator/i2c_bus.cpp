#include <ixcap/driver/emulator/i2c_bus.hpp>

namespace ixcap::emulator {
namespace {

constexpr unsigned data_bits = 8;
constexpr unsigned clocks_of_byte = 9;  // the last acknowledges

}  // namespace

void I2cBus::reset() noexcept {
  clock_ = data_ = true;
  pulling_ = false;
  phase_ = Phase::idle;
  bit_ = 0;
}

void I2cBus::drive(bool clock, bool data) noexcept {
  const bool was_high = clock_;
  const bool data_was = data_;
  data_ = data;
  if (was_high && clock) {
    if (data_was && !data) {  // START
      phase_ = Phase::address;
      bit_ = 0;
      pulling_ = false;
    } else if (!data_was && data) {  // STOP
      phase_ = Phase::idle;
      pulling_ = false;
    }
    return;
  }
  clock_ = clock;
  if (!was_high && clock) clock_rose();
  if (was_high && !clock) clock_fell();
}

void I2cBus::clock_rose() noexcept {
  if (phase_ == Phase::idle) return;
  if (bit_ < data_bits) shift_ = static_cast<std::uint8_t>(shift_ << 1 | (data() ? 1 : 0));
  if (bit_ == data_bits) acknowledged_ = !data();
  ++bit_;
}

void I2cBus::clock_fell() noexcept {
  if (phase_ == Phase::idle) return;
  if (bit_ == data_bits) {
    end_of_byte();
    return;
  }
  if (bit_ == clocks_of_byte) {
    bit_ = 0;
    pulling_ = false;
    if (phase_ == Phase::read && !acknowledged_) phase_ = Phase::idle;
  }
  if (phase_ == Phase::read) pulling_ = (module_.read(device_, offset_) >> (data_bits - 1 - bit_) & 1) == 0;
}

/// Eight bits are through: the module acknowledges what it takes, or listens whether the driver does.
void I2cBus::end_of_byte() noexcept {
  pulling_ = false;
  switch (phase_) {
    case Phase::address:
      if (!module_.answers(shift_)) {
        phase_ = Phase::idle;
        return;
      }
      device_ = shift_;
      phase_ = (shift_ & 1) != 0 ? Phase::read : Phase::offset;
      break;
    case Phase::offset:
      offset_ = shift_;
      phase_ = Phase::write;
      break;
    case Phase::read:
      ++offset_;
      return;
    case Phase::write:
    case Phase::idle:
      break;
  }
  pulling_ = true;
}

}  // namespace ixcap::emulator

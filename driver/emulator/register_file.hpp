#pragma once

/// The registers as memory with the access modes of the register table (ixgbe/registers.inc).
///
/// read() and write() are what the bus does; get() and set() are the NIC's own, without side effects. Addresses that
/// the table does not know read as 0 and ignore writes: an undefined register never reads all ones, which drivers take
/// for a removed card.
///
/// Threads: one at a time, except for the words that doorbell() lends, which one other thread may store to.

#include <array>
#include <cstdint>
#include <memory>

#include <ixcap/driver/ixgbe/registers.hpp>

namespace ixcap::emulator {

class RegisterFile {
 public:
  RegisterFile();

  /// Bus access at `offset` in BAR0. Misaligned or outside: reads 0, ignores the write.
  std::uint32_t read(std::uint32_t offset) noexcept;
  void write(std::uint32_t offset, std::uint32_t value) noexcept;

  std::uint32_t get(const ixgbe::Register& reg, std::uint32_t index = 0) const noexcept {
    return *word(reg.offset(index));
  }
  void set(const ixgbe::Register& reg, std::uint32_t value, std::uint32_t index = 0) noexcept {
    *word(reg.offset(index)) = value;
  }

  /// The register behind `offset`, aliases resolved, and which of its instances it is; nullptr for an address without.
  struct Location {
    const ixgbe::Register* reg;
    std::uint32_t index;
  };
  Location locate(std::uint32_t offset) const noexcept;

  /// The word of a tail register, for a driver to store to.
  std::uint32_t* doorbell(const ixgbe::Register& reg, std::uint32_t index) noexcept { return word(reg.offset(index)); }
  /// What was last stored there. Acquire order: descriptors written before the store are visible.
  std::uint32_t load_doorbell(const ixgbe::Register& reg, std::uint32_t index) const noexcept {
    return __atomic_load_n(word(reg.offset(index)), __ATOMIC_ACQUIRE);
  }

  /// Every register to its reset value.
  void reset() noexcept;

 private:
  static constexpr std::uint32_t word_count = ixgbe::register_space_bytes / 4;

  std::uint32_t* word(std::uint32_t offset) const noexcept { return &storage_->words[offset / 4]; }

  struct alignas(64) Storage {
    std::array<std::uint32_t, word_count> words;
  };
  std::unique_ptr<Storage> storage_;
  std::unique_ptr<std::array<Location, word_count>> locations_;
};

}  // namespace ixcap::emulator

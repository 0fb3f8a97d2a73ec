#pragma once

/// A tail register as memory: telling the device about new descriptors is one plain store.
///
/// On a card the word is in the mapped BAR; of the in-process software NIC it is a word that the NIC polls; over
/// vfio-user it is on a shared page. The hot path is the same instruction for all three.
///
/// Ownership: the word belongs to the pci::Device that gave the doorbell and lives as long as it does.
/// Threads: one thread rings a doorbell at a time.

#include <atomic>
#include <cstdint>

namespace ixcap::pci {

class Doorbell {
 public:
  explicit Doorbell(std::uint32_t* word) noexcept : word_(word) {}

  /// Stores `value`. Release order: the descriptors written before it are visible to whoever sees the new value.
  /// (On x86 that is a plain mov, to write-back memory and to an uncached BAR alike.)
  void ring(std::uint32_t value) noexcept {
    std::atomic_ref<std::uint32_t>(*word_).store(value, std::memory_order_release);
  }

 private:
  std::uint32_t* word_;
};

}  // namespace ixcap::pci

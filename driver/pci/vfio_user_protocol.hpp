#pragma once

/// vfio-user: a PCI function served over a UNIX stream socket. What both sides write on the wire.
///
///     client ──command──► server      Header, then the structure of its command, then data
///            ◄──reply────             Header with the same id and command, then structure and data; or the error alone
///
/// The client is a virtual machine monitor (QEMU's vfio-user-pci) or VfioUserDevice; the server answers in the order of
/// arrival. Files (memory, event counters) travel beside the first byte of a message as SCM_RIGHTS. Numbers are in host
/// byte order, which this project takes for little-endian; nothing is padded. Sizes and offsets are bytes.
///
/// Source of all numbers: the vfio-user specification, version 0.0, and the header linux/vfio.h that it borrows from.
/// The region of shared doorbells is an extension of this project's own.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace ixcap::pci::vfio_user {

enum class Command : std::uint16_t {
  version = 1,
  dma_map = 2,
  dma_unmap = 3,
  device_get_info = 4,
  device_get_region_info = 5,
  device_get_region_io_fds = 6,
  device_get_irq_info = 7,
  device_set_irqs = 8,
  region_read = 9,
  region_write = 10,
  dma_read = 11,
  dma_write = 12,
  device_reset = 13,
  region_write_multi = 15,
  device_feature = 16,
};

struct Header {
  std::uint16_t id;       ///< chosen by who commands; the reply repeats it
  std::uint16_t command;  ///< a Command
  std::uint32_t size;     ///< of the whole message
  std::uint32_t flags;
  std::uint32_t error;  ///< errno value, in replies with flag_error
};
static_assert(sizeof(Header) == 16 && offsetof(Header, flags) == 8);

inline constexpr std::uint32_t type_mask = 0xf;
inline constexpr std::uint32_t type_command = 0;
inline constexpr std::uint32_t type_reply = 1;
inline constexpr std::uint32_t flag_no_reply = 1 << 4;
inline constexpr std::uint32_t flag_error = 1 << 5;

/// Limits of this implementation, as VERSION tells them to the other side. QEMU takes at most 16 files a message.
inline constexpr std::size_t most_files = 16;
inline constexpr std::uint32_t most_data_bytes = 1 << 20;
inline constexpr std::uint32_t most_message_bytes = most_data_bytes + 64;  ///< header and structure besides

/// Followed by a JSON object with a terminating NUL, or by nothing.
struct Version {
  std::uint16_t major;
  std::uint16_t minor;
};
static_assert(sizeof(Version) == 4);

/// Memory at [address, address + size) of the client's I/O address space; in the file that comes with it, if one does.
struct DmaMap {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint64_t offset;  ///< in the file
  std::uint64_t address;
  std::uint64_t size;
};
static_assert(sizeof(DmaMap) == 32 && offsetof(DmaMap, address) == 16);
inline constexpr std::uint32_t dma_map_read = 1 << 0;
inline constexpr std::uint32_t dma_map_write = 1 << 1;

struct DmaUnmap {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint64_t address;
  std::uint64_t size;
};
static_assert(sizeof(DmaUnmap) == 24 && offsetof(DmaUnmap, address) == 8);
inline constexpr std::uint32_t dma_unmap_dirty_pages = 1 << 0;
inline constexpr std::uint32_t dma_unmap_all = 1 << 1;

struct DeviceInfo {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint32_t regions;
  std::uint32_t irqs;
};
static_assert(sizeof(DeviceInfo) == 16);
inline constexpr std::uint32_t device_reset_supported = 1 << 0;
inline constexpr std::uint32_t device_is_pci = 1 << 1;

struct RegionInfo {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint32_t index;
  std::uint32_t capabilities;  ///< offset of the first in this structure
  std::uint64_t size;
  std::uint64_t offset;  ///< where the region starts in the file that comes with it
};
static_assert(sizeof(RegionInfo) == 32 && offsetof(RegionInfo, size) == 16);
inline constexpr std::uint32_t region_readable = 1 << 0;
inline constexpr std::uint32_t region_writable = 1 << 1;
inline constexpr std::uint32_t region_mappable = 1 << 2;

/// Regions: BARs 0 to 5, then these. A client is told of nine; who knows of the tenth asks for it (DoorbellPage).
inline constexpr std::uint32_t bar_count = 6;
inline constexpr std::uint32_t config_region = 7;
inline constexpr std::uint32_t region_count = 9;
inline constexpr std::uint32_t doorbell_region = 9;
inline constexpr std::uint32_t config_bytes = 4096;

struct IrqInfo {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint32_t index;
  std::uint32_t count;
};
static_assert(sizeof(IrqInfo) == 16);
inline constexpr std::uint32_t irq_eventfd = 1 << 0;
inline constexpr std::uint32_t irq_maskable = 1 << 1;
inline constexpr std::uint32_t irq_automasked = 1 << 2;

/// Indices of kinds of interrupts: INTx, MSI and MSI-X are interrupts of the function, the others notices to the
/// client.
inline constexpr std::uint32_t irq_intx = 0;
inline constexpr std::uint32_t irq_msi = 1;
inline constexpr std::uint32_t irq_msix = 2;
inline constexpr std::uint32_t irq_error = 3;
inline constexpr std::uint32_t irq_request = 4;
inline constexpr std::uint32_t irq_count = 5;

/// Followed by `count` bytes with irq_data_bool; by `count` files beside it, or none, with irq_data_eventfd.
struct SetIrqs {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint32_t index;
  std::uint32_t start;
  std::uint32_t count;
};
static_assert(sizeof(SetIrqs) == 20);
inline constexpr std::uint32_t irq_data_none = 1 << 0;
inline constexpr std::uint32_t irq_data_bool = 1 << 1;
inline constexpr std::uint32_t irq_data_eventfd = 1 << 2;
inline constexpr std::uint32_t irq_data_mask = 7;
inline constexpr std::uint32_t irq_action_mask = 1 << 3;
inline constexpr std::uint32_t irq_action_unmask = 1 << 4;
inline constexpr std::uint32_t irq_action_trigger = 1 << 5;
inline constexpr std::uint32_t irq_actions_mask = 7 << 3;

/// REGION_READ, REGION_WRITE; data follows in the reply of the one and the command of the other.
struct RegionAccess {
  std::uint64_t offset;
  std::uint32_t region;
  std::uint32_t count;
};
static_assert(sizeof(RegionAccess) == 16);

/// REGION_WRITE_MULTI: a 64-bit number of these, then as many.
struct SmallWrite {
  std::uint64_t offset;
  std::uint32_t region;
  std::uint32_t count;  ///< 1 to 8
  std::uint8_t data[8];
};
static_assert(sizeof(SmallWrite) == 24);

/// Doorbells over vfio-user: a page of memory that the server polls, so that ringing is a store and no message. Region
/// doorbell_region of a server of this project; its file comes with the answer to DEVICE_GET_REGION_INFO.
///
///     the client                                   the server
///     fills the next slot, then raises `count`     takes its offset, once
///     stores to `value`                            sees that it differs from what it last saw, writes BAR0
///
/// A message that writes the same register counts as seen, so a client stores its value here first.
struct DoorbellPage {
  struct alignas(64) Slot {
    std::uint32_t offset;  ///< of the register in BAR0
    std::uint32_t value;
  };
  static constexpr std::uint32_t slot_count = 63;

  alignas(64) std::uint32_t count;  ///< slots in use
  Slot slots[slot_count];
};
static_assert(sizeof(DoorbellPage) == 4096);

/// A structure off the front of `bytes`; false if it is not all there.
template <typename Structure>
bool read_structure(std::span<const std::uint8_t> bytes, Structure& structure) noexcept {
  if (bytes.size() < sizeof structure) return false;
  std::memcpy(&structure, bytes.data(), sizeof structure);
  return true;
}

/// The bytes of a structure.
template <typename Structure>
std::span<const std::uint8_t> bytes_of(const Structure& structure) noexcept {
  return {reinterpret_cast<const std::uint8_t*>(&structure), sizeof structure};
}

}  // namespace ixcap::pci::vfio_user

#pragma once

/// vfio-user messages as a client would send them, and files of the kinds that go with them.

#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include <ixcap/driver/pci/file_descriptor.hpp>
#include <ixcap/driver/pci/vfio_user_protocol.hpp>

namespace ixcap::test {

namespace wire = pci::vfio_user;

using Bytes = std::vector<std::uint8_t>;

template <typename Structure>
Bytes& append(Bytes& bytes, const Structure& structure) {
  const auto more = wire::bytes_of(structure);
  const std::size_t old_size = bytes.size();
  bytes.resize(old_size + more.size());
  std::memcpy(bytes.data() + old_size, more.data(), more.size());
  return bytes;
}

template <typename... Structures>
Bytes payload_of(const Structures&... structures) {
  Bytes bytes;
  (append(bytes, structures), ...);
  return bytes;
}

inline Bytes version_payload(std::uint16_t major, std::string_view json) {
  Bytes bytes = payload_of(wire::Version{major, 0});
  bytes.resize(bytes.size() + json.size() + 1);  // the last byte ends the text
  std::memcpy(bytes.data() + sizeof(wire::Version), json.data(), json.size());
  return bytes;
}

/// As long as QEMU's.
inline constexpr std::string_view client_capabilities =
    R"({"capabilities":{"max_msg_fds":16,"max_data_xfer_size":1048576,"max_dma_maps":65535,"pgsizes":4096,"write_multiple":true}})";

/// A whole message.
inline Bytes message(wire::Command command, const Bytes& payload, std::uint16_t id = 1, std::uint32_t flags = 0) {
  const auto size = static_cast<std::uint32_t>(sizeof(wire::Header) + payload.size());
  Bytes bytes = payload_of(wire::Header{id, static_cast<std::uint16_t>(command), size, flags, 0});
  bytes.insert(bytes.end(), payload.begin(), payload.end());
  return bytes;
}

inline pci::FileDescriptor event_counter() {
  return pci::FileDescriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

/// What an event counter has counted since the last look.
inline std::uint64_t take_events(int counter) {
  std::uint64_t events = 0;
  return ::read(counter, &events, sizeof events) == sizeof events ? events : 0;
}

/// Memory as a client has it; every page of 4 KiB begins with its number.
inline pci::FileDescriptor memory_file(std::uint64_t pages, unsigned seals = F_SEAL_SHRINK) {
  pci::FileDescriptor file(::memfd_create("client", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (::ftruncate(file.number(), static_cast<off_t>(pages * 4096)) != 0) return {};
  for (std::uint64_t page = 0; page < pages && page < 64; ++page) {
    if (::pwrite(file.number(), &page, sizeof page, static_cast<off_t>(page * 4096)) != sizeof page) return {};
  }
  if (seals != 0) ::fcntl(file.number(), F_ADD_SEALS, seals);
  return file;
}

}  // namespace ixcap::test

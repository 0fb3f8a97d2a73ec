#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <new>
#include <string_view>

#include <ixcap/driver/pci/config_space.hpp>
#include <ixcap/driver/pci/vfio_user_device.hpp>

namespace ixcap::pci {
namespace {

using namespace vfio_user;
using Status = VfioUserSocket::Status;

constexpr const char* connecting = "cannot connect to the device at";

// Room for the server's answer, which may not be longer than the question.
constexpr std::string_view capabilities =
    R"({"capabilities":{"max_msg_fds":1,"max_data_xfer_size":1048576,"max_dma_maps":65535,"pgsizes":4096}})";

constexpr std::uint64_t io_address_gap = std::uint64_t{2} << 20;  // keeps addresses aligned to huge pages, too

constexpr std::uint32_t msix_control = 2;  // in the MSI-X capability
constexpr std::uint16_t msix_enable = 1 << 15;
constexpr std::uint32_t most_vectors = 2048;  // MSI-X has no more

constexpr std::uint32_t all_ones = 0xffffffff;

/// Release order: whoever sees the word sees what was written before it.
void store(std::uint32_t& word, std::uint32_t value) noexcept {
  std::atomic_ref<std::uint32_t>(word).store(value, std::memory_order_release);
}

}  // namespace

VfioUserDevice::VfioUserDevice(const std::string& path)
    : identity_{"vfio-user:" + path, 0, 0, ""}, path_(path), socket_(connect_vfio_user(path), -1, answer_timeout_ms) {
  negotiate();
  const auto info = ask_for(Command::device_get_info, DeviceInfo{sizeof(DeviceInfo), 0, 0, 0}, connecting);
  if ((info.flags & device_is_pci) == 0) {
    throw Error(connecting, path_, "it is no PCI device", "give the socket of an 82599, as ixcap emulate serves it");
  }
  identity_.vendor = read_config(config_vendor);
  identity_.device = read_config(config_device);
  identity_.description = fmt::format("vfio-user device {:04x}:{:04x}", identity_.vendor, identity_.device);
  set_command_bits(command_memory, true);
  map_doorbells();
  find_interrupts();
}

VfioUserDevice::~VfioUserDevice() {
  if (doorbells_ != nullptr) ::munmap(doorbells_, sizeof(DoorbellPage));
}

/// Sends a command and waits for its answer, which is then in answer_. 0, an errno value of the server's, or no_answer.
int VfioUserDevice::ask(Command command, Bytes head, Bytes tail, std::span<const int> files) noexcept {
  const std::scoped_lock lock(mutex_);
  if (gone()) return no_answer;
  try {
    const auto size = static_cast<std::uint32_t>(sizeof(Header) + head.size() + tail.size());
    const Header header{next_id_++, static_cast<std::uint16_t>(command), size, type_command, 0};
    std::vector<std::uint8_t> start(sizeof header + head.size());
    std::memcpy(start.data(), &header, sizeof header);
    if (!head.empty()) std::memcpy(start.data() + sizeof header, head.data(), head.size());
    if (socket_.send(start, tail, files) == Status::done && socket_.receive(answer_) == Status::done) {
      const Header& answer = answer_.header;
      if (answer.id == header.id && answer.command == header.command && (answer.flags & type_mask) == type_reply) {
        if ((answer.flags & flag_error) == 0) return 0;
        return answer.error == 0 || answer.error > 4095 ? EIO : static_cast<int>(answer.error);
      }
    }
  } catch (const std::bad_alloc&) {
    // As if the server were gone: what it answers can no longer be told apart.
  }
  gone_.store(true, std::memory_order_relaxed);
  return no_answer;
}

/// The structure that answers a request of the same kind.
template <typename Structure>
Structure VfioUserDevice::ask_for(Command command, const Structure& request, const char* action) {
  if (const int error = ask(command, bytes_of(request)); error != 0) throw refused(action, error);
  Structure answer = {};
  if (!read_structure(answer_.payload, answer)) throw refused(action, EPROTO);
  return answer;
}

Error VfioUserDevice::refused(const char* action, int error) const {
  constexpr const char* mend = "see what the server says, and start it again";
  if (error == no_answer) return {action, path_, "the server is gone or does not answer", mend};
  return Error::from_errno(action, path_, error, mend);
}

void VfioUserDevice::negotiate() {
  const Version version{0, 0};
  const std::string json = std::string(capabilities) + '\0';
  const Bytes tail(reinterpret_cast<const std::uint8_t*>(json.data()), json.size());
  if (const int error = ask(Command::version, bytes_of(version), tail); error != 0) throw refused(connecting, error);
  Version answer = {};
  if (!read_structure(answer_.payload, answer) || answer.major != 0) {
    throw Error(connecting, path_, "it speaks another version of vfio-user", "give the socket of ixcap emulate");
  }
}

void VfioUserDevice::map_doorbells() {
  const RegionInfo request{sizeof(RegionInfo), 0, doorbell_region, 0, 0, 0};
  const int error = ask(Command::device_get_region_info, bytes_of(request));
  if (error == no_answer) throw refused(connecting, error);
  RegionInfo info = {};
  if (error != 0 || answer_.files.size() != 1 || !read_structure(answer_.payload, info) ||
      info.size != sizeof(DoorbellPage) || info.offset != 0) {
    throw Error(connecting, path_, "the server lends no doorbells", "serve the device with ixcap emulate");
  }
  void* const memory = ::mmap(nullptr, sizeof(DoorbellPage), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                              answer_.files.front().number(), 0);
  if (memory == MAP_FAILED) throw Error::from_errno("cannot map the doorbells of", path_, errno, "free some memory");
  doorbells_ = static_cast<DoorbellPage*>(memory);
}

int VfioUserDevice::read_bytes(std::uint32_t region, std::uint64_t offset, std::span<std::uint8_t> bytes) noexcept {
  const std::scoped_lock lock(mutex_);
  const RegionAccess access{offset, region, static_cast<std::uint32_t>(bytes.size())};
  if (const int error = ask(Command::region_read, bytes_of(access)); error != 0) return error;
  if (answer_.payload.size() != sizeof access + bytes.size()) return EPROTO;
  std::memcpy(bytes.data(), answer_.payload.data() + sizeof access, bytes.size());
  return 0;
}

int VfioUserDevice::write_bytes(std::uint32_t region, std::uint64_t offset, Bytes bytes) noexcept {
  const RegionAccess access{offset, region, static_cast<std::uint32_t>(bytes.size())};
  return ask(Command::region_write, bytes_of(access), bytes);
}

std::uint16_t VfioUserDevice::read_config(std::uint32_t offset) {
  std::array<std::uint8_t, 2> bytes{};
  if (const int error = read_bytes(config_region, offset, bytes); error != 0) throw refused(connecting, error);
  return static_cast<std::uint16_t>(bytes[0] | bytes[1] << 8);
}

void VfioUserDevice::set_command_bits(std::uint16_t bits, bool on) {
  const std::scoped_lock lock(mutex_);
  const std::uint16_t command = read_config(config_command);
  const auto changed = static_cast<std::uint16_t>(on ? command | bits : command & ~bits);
  if (const int error = write_bytes(config_region, config_command, bytes_of(changed)); error != 0) {
    throw refused("cannot configure the device at", error);
  }
}

std::uint32_t VfioUserDevice::read(std::uint32_t offset) noexcept {
  std::array<std::uint8_t, 4> bytes{};
  if (read_bytes(0, offset, bytes) != 0) return all_ones;
  std::uint32_t value = 0;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

void VfioUserDevice::write(std::uint32_t offset, std::uint32_t value) noexcept {
  const std::scoped_lock lock(mutex_);
  // The word is the register: an older value there would look like a new one to the server.
  if (DoorbellPage::Slot* const slot = slot_of(offset); slot != nullptr) store(slot->value, value);
  write_bytes(0, offset, bytes_of(value));
}

DoorbellPage::Slot* VfioUserDevice::slot_of(std::uint32_t offset) noexcept {
  for (std::uint32_t i = 0; i < doorbell_count_; ++i) {
    if (doorbells_->slots[i].offset == offset) return &doorbells_->slots[i];
  }
  return nullptr;
}

/// The server does not know which registers are tails, so neither does this.
Doorbell VfioUserDevice::doorbell(std::uint32_t offset) {
  constexpr const char* action = "cannot give a doorbell of";
  const std::scoped_lock lock(mutex_);
  const std::uint32_t value = read(offset);
  if (gone()) throw refused(action, no_answer);
  DoorbellPage::Slot* slot = slot_of(offset);
  if (slot == nullptr) {
    if (doorbell_count_ == DoorbellPage::slot_count) {
      throw Error(action, identity_.address, fmt::format("it lends {} and no more", DoorbellPage::slot_count),
                  "use fewer queues");
    }
    slot = &doorbells_->slots[doorbell_count_++];
    slot->offset = offset;
    slot->value = value;
    store(doorbells_->count, doorbell_count_);
  }
  // Both sides now begin with what the register holds, after a reset, too.
  write(offset, value);
  return Doorbell(&slot->value);
}

void VfioUserDevice::enable_bus_master(bool enable) {
  if (!enable && gone()) return;  // a server that is gone has let go of the memory
  try {
    set_command_bits(command_bus_master, enable);
  } catch (const Error&) {
    if (enable || !gone()) throw;
  }
}

std::uint64_t VfioUserDevice::map_dma(const Pages& pages) {
  const std::scoped_lock lock(mutex_);
  const std::uint64_t address = next_io_address_;
  const DmaMap request{sizeof(DmaMap), dma_map_read | dma_map_write, 0, address, pages.size()};
  const int file = pages.memfd();
  if (const int error = ask(Command::dma_map, bytes_of(request), {}, std::span(&file, 1)); error != 0) {
    throw refused("cannot share DMA memory with the device at", error);
  }
  next_io_address_ += (pages.size() / io_address_gap + 2) * io_address_gap;
  return address;
}

void VfioUserDevice::unmap_dma(std::uint64_t io_address, const Pages& pages) noexcept {
  ask(Command::dma_unmap, bytes_of(DmaUnmap{sizeof(DmaUnmap), 0, io_address, pages.size()}));
}

/// A function without MSI-X is none that interrupts; all else of it works.
void VfioUserDevice::find_interrupts() {
  std::array<std::uint8_t, conventional_config_bytes> config{};
  if (read_bytes(config_region, 0, config) != 0) return;
  msix_capability_ = find_capability(config, capability_msix);
  if (msix_capability_ == 0) return;
  if (ask(Command::device_get_irq_info, bytes_of(IrqInfo{sizeof(IrqInfo), 0, irq_msix, 0})) != 0) return;
  IrqInfo info = {};
  if (!read_structure(answer_.payload, info) || (info.flags & irq_eventfd) == 0) return;
  interrupt_vectors_ = std::min(info.count, most_vectors);
}

void VfioUserDevice::enable_interrupts(std::span<const int> eventfds) {
  constexpr const char* action = "cannot enable the interrupts of";
  if (eventfds.size() > interrupt_vectors_) {
    throw Error(action, identity_.address, fmt::format("it has {} and no more", interrupt_vectors_),
                "use fewer queues");
  }
  const std::scoped_lock lock(mutex_);
  disable_interrupts();
  int error = attach_interrupts(eventfds);
  if (error == 0) error = set_msix_enable(true);
  if (error == 0) return;
  disable_interrupts();
  throw refused(action, error);
}

/// A message for each run of vectors that have a counter: the protocol has no place for vectors without one.
int VfioUserDevice::attach_interrupts(std::span<const int> eventfds) noexcept {
  std::size_t start = 0;
  while (start < eventfds.size()) {
    std::size_t end = start;
    while (end < eventfds.size() && eventfds[end] >= 0 && end - start < most_files) ++end;
    if (end == start) {
      ++start;
      continue;
    }
    const SetIrqs request{sizeof(SetIrqs), irq_data_eventfd | irq_action_trigger, irq_msix,
                          static_cast<std::uint32_t>(start), static_cast<std::uint32_t>(end - start)};
    const auto files = eventfds.subspan(start, end - start);
    if (const int error = ask(Command::device_set_irqs, bytes_of(request), {}, files); error != 0) return error;
    start = end;
  }
  return 0;
}

void VfioUserDevice::disable_interrupts() noexcept {
  if (interrupt_vectors_ == 0 || gone()) return;
  const std::scoped_lock lock(mutex_);
  set_msix_enable(false);
  ask(Command::device_set_irqs, bytes_of(SetIrqs{sizeof(SetIrqs), irq_data_none | irq_action_trigger, irq_msix, 0, 0}));
}

int VfioUserDevice::set_msix_enable(bool on) noexcept {
  const std::scoped_lock lock(mutex_);
  std::array<std::uint8_t, 2> bytes{};
  if (const int error = read_bytes(config_region, msix_capability_ + msix_control, bytes); error != 0) return error;
  const auto control = static_cast<std::uint16_t>(bytes[0] | bytes[1] << 8);
  const auto changed = static_cast<std::uint16_t>(on ? control | msix_enable : control & ~msix_enable);
  return write_bytes(config_region, msix_capability_ + msix_control, bytes_of(changed));
}

}  // namespace ixcap::pci

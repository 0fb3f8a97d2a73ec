#include <fmt/format.h>
#include <linux/vfio.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <ixcap/driver/error.hpp>
#include <ixcap/driver/pci/config_space.hpp>
#include <ixcap/driver/pci/vfio_device.hpp>

namespace ixcap::pci {
namespace {

constexpr const char* opening = "cannot open interface";
constexpr const char* ask_kernel = "see what the kernel says: sudo dmesg";
constexpr std::uint32_t all_ones = 0xffffffff;
constexpr std::uint32_t most_vectors = 2048;                   // MSI-X has no more
constexpr std::uint64_t largest_bar = std::uint64_t{1} << 30;  // far above any card that is driven here

vfio_region_info region(int device, std::uint32_t index, const std::string& address) {
  vfio_region_info info = {};
  info.argsz = sizeof info;
  info.index = index;
  if (::ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info) != 0) {
    throw Error::from_errno(opening, address, errno, ask_kernel);
  }
  return info;
}

}  // namespace

VfioDevice::VfioDevice(const std::string& address, const VfioPaths& paths)
    : identity_{address, 0, 0, ""},
      group_(address, paths),
      device_(group_.open_device()),
      memory_(group_.container(), address) {
  check_kind();
  // The kernel has reset the function as it was opened, where it could: this is for what it found busy then. A card
  // that cannot be reset so is reset by its driver.
  ::ioctl(device_.number(), VFIO_DEVICE_RESET);
  set_command_bits(command_bus_master, false);
  set_command_bits(command_memory | command_intx_disable, true);
  find_interrupts();
  listen_to_requests();
  map_registers();
}

VfioDevice::~VfioDevice() {
  if (registers_ != nullptr) ::munmap(registers_, register_bytes_);
}

void VfioDevice::check_kind() {
  vfio_device_info info = {};
  info.argsz = sizeof info;
  if (::ioctl(device_.number(), VFIO_DEVICE_GET_INFO, &info) != 0) {
    throw Error::from_errno(opening, identity_.address, errno, ask_kernel);
  }
  if ((info.flags & VFIO_DEVICE_FLAGS_PCI) == 0 || info.num_regions <= VFIO_PCI_CONFIG_REGION_INDEX) {
    throw Error(opening, identity_.address, "the kernel shows it as no PCI device", "bind it to vfio-pci");
  }
  const vfio_region_info config = region(device_.number(), VFIO_PCI_CONFIG_REGION_INDEX, identity_.address);
  if (config.size < conventional_config_bytes) {
    throw Error(opening, identity_.address, "the kernel shows no configuration space", ask_kernel);
  }
  config_offset_ = config.offset;
  if (!read_config(config_vendor, identity_.vendor) || !read_config(config_device, identity_.device)) {
    throw Error(opening, identity_.address, "its configuration space cannot be read", ask_kernel);
  }
  // Registers of a card that is out of its slot can be mapped all the same, and touching them would be a bus error.
  if (!answers()) {
    throw Error(opening, identity_.address, "the card does not answer: it was pulled, or lost its power or its bus",
                "see what the kernel says (sudo dmesg); when it answers again, bind it again: sudo ixcap bind " +
                    identity_.address);
  }
  identity_.description = fmt::format("PCI device {:04x}:{:04x}", identity_.vendor, identity_.device);
}

void VfioDevice::map_registers() {
  const vfio_region_info bar = region(device_.number(), VFIO_PCI_BAR0_REGION_INDEX, identity_.address);
  if ((bar.flags & VFIO_REGION_INFO_FLAG_MMAP) == 0 || bar.size == 0 || bar.size > largest_bar ||
      bar.size % Pages::ordinary_page_bytes != 0) {
    throw Error(opening, identity_.address, fmt::format("its registers (BAR0, {} bytes) cannot be mapped", bar.size),
                ask_kernel);
  }
  void* const memory =
      ::mmap(nullptr, bar.size, PROT_READ | PROT_WRITE, MAP_SHARED, device_.number(), static_cast<off_t>(bar.offset));
  if (memory == MAP_FAILED)
    throw Error::from_errno("cannot map the registers of", identity_.address, errno, ask_kernel);
  registers_ = static_cast<std::uint32_t*>(memory);
  register_bytes_ = static_cast<std::uint32_t>(bar.size);
}

std::uint32_t VfioDevice::read(std::uint32_t offset) noexcept {
  if (!holds(offset)) return all_ones;
  // Volatile: every access happens, once. Acquire: what the device wrote before it answered is visible.
  const std::uint32_t value = __atomic_load_n(word(offset), __ATOMIC_ACQUIRE);
  if (value == all_ones) notice_absence();
  return value;
}

void VfioDevice::write(std::uint32_t offset, std::uint32_t value) noexcept {
  if (!holds(offset)) return;
  // Release: what this process wrote to DMA memory before is visible to the device.
  __atomic_store_n(word(offset), value, __ATOMIC_RELEASE);
}

/// Which registers are tails only their driver knows.
Doorbell VfioDevice::doorbell(std::uint32_t offset) {
  if (!holds(offset)) {
    throw Error("cannot give a doorbell of", identity_.address,
                fmt::format("0x{:05x} is not a register of {} bytes of them", offset, register_bytes_),
                "use fewer queues");
  }
  return Doorbell(registers_ + offset / 4);
}

template <typename Number>
bool VfioDevice::read_config(std::uint32_t offset, Number& value) const noexcept {
  const auto place = static_cast<off_t>(config_offset_ + offset);
  return ::pread(device_.number(), &value, sizeof value, place) == ssize_t{sizeof value};
}

void VfioDevice::set_command_bits(std::uint16_t bits, bool on) {
  std::uint16_t command = 0;
  const auto place = static_cast<off_t>(config_offset_ + config_command);
  errno = EIO;  // what less than the whole means
  bool done = read_config(config_command, command);
  command = static_cast<std::uint16_t>(on ? command | bits : command & ~bits);
  done = done && ::pwrite(device_.number(), &command, sizeof command, place) == ssize_t{sizeof command};
  if (!done) throw Error::from_errno("cannot configure", identity_.address, errno, ask_kernel);
}

void VfioDevice::enable_bus_master(bool enable) {
  const std::scoped_lock lock(mutex_);
  if (gone() && !enable) return;  // what is gone has let go of the memory
  set_command_bits(command_bus_master, enable);
}

std::uint64_t VfioDevice::map_dma(const Pages& pages) {
  const std::scoped_lock lock(mutex_);
  return memory_.map(pages);
}

void VfioDevice::unmap_dma(std::uint64_t io_address, const Pages& pages) noexcept {
  const std::scoped_lock lock(mutex_);
  memory_.unmap(io_address, pages);
}

/// Some registers may hold all ones. Class and revision in configuration space do not (the vendor, which the kernel
/// answers by itself, would tell nothing).
bool VfioDevice::answers() const noexcept {
  std::uint32_t class_and_revision = 0;
  return read_config(config_class, class_and_revision) && class_and_revision != all_ones;
}

void VfioDevice::notice_absence() noexcept {
  if (!answers()) gone_.store(true, std::memory_order_relaxed);  // says all there is to say
}

/// Nobody reads the counter, so it stays what it is once the kernel has asked.
bool VfioDevice::wanted_back() const noexcept {
  pollfd counter{requests_.number(), POLLIN, 0};
  return ::poll(&counter, 1, 0) == 1 && (counter.revents & POLLIN) != 0;
}

std::uint32_t VfioDevice::irq_count(std::uint32_t index) const {
  vfio_irq_info info = {};
  info.argsz = sizeof info;
  info.index = index;
  if (::ioctl(device_.number(), VFIO_DEVICE_GET_IRQ_INFO, &info) != 0) return 0;
  return (info.flags & VFIO_IRQ_INFO_EVENTFD) != 0 ? info.count : 0;
}

void VfioDevice::find_interrupts() {
  interrupt_vectors_ = std::min(irq_count(VFIO_PCI_MSIX_IRQ_INDEX), most_vectors);
}

/// A kernel that makes no such requests takes the card without asking.
void VfioDevice::listen_to_requests() {
  if (irq_count(VFIO_PCI_REQ_IRQ_INDEX) == 0) return;
  FileDescriptor counter(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  const int number = counter.number();
  if (counter.valid() && set_irqs(VFIO_PCI_REQ_IRQ_INDEX, std::span(&number, 1)) == 0) requests_ = std::move(counter);
}

/// Event counters for the first interrupts of a kind; without any, all of them are off. 0 or an errno value.
int VfioDevice::set_irqs(std::uint32_t index, std::span<const int> eventfds) const noexcept {
  std::array<std::uint8_t, sizeof(vfio_irq_set) + most_vectors * sizeof(int)> request;
  const std::size_t count = std::min<std::size_t>(eventfds.size(), most_vectors);
  const std::uint32_t data = count == 0 ? VFIO_IRQ_SET_DATA_NONE : VFIO_IRQ_SET_DATA_EVENTFD;
  vfio_irq_set head = {};
  head.argsz = static_cast<std::uint32_t>(sizeof head + count * sizeof(int));
  head.flags = data | VFIO_IRQ_SET_ACTION_TRIGGER;
  head.index = index;
  head.count = static_cast<std::uint32_t>(count);
  std::memcpy(request.data(), &head, sizeof head);
  if (count != 0) std::memcpy(request.data() + sizeof head, eventfds.data(), count * sizeof(int));
  return ::ioctl(device_.number(), VFIO_DEVICE_SET_IRQS, request.data()) == 0 ? 0 : errno;
}

void VfioDevice::enable_interrupts(std::span<const int> eventfds) {
  constexpr const char* action = "cannot enable the interrupts of";
  if (eventfds.size() > interrupt_vectors_) {
    throw Error(action, identity_.address, fmt::format("it has {} and no more", interrupt_vectors_),
                "use fewer queues");
  }
  const std::scoped_lock lock(mutex_);
  // The kernel sets up as many vectors as it is first asked for, and does not add to them.
  set_irqs(VFIO_PCI_MSIX_IRQ_INDEX, {});
  if (const int error = set_irqs(VFIO_PCI_MSIX_IRQ_INDEX, eventfds); error != 0) {
    throw Error::from_errno(action, identity_.address, error,
                            error == ENOSPC ? std::string("this processor has no vectors left: use fewer queues")
                                            : std::string(ask_kernel));
  }
}

void VfioDevice::disable_interrupts() noexcept {
  const std::scoped_lock lock(mutex_);
  set_irqs(VFIO_PCI_MSIX_IRQ_INDEX, {});
}

}  // namespace ixcap::pci

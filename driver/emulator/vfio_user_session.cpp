#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <string_view>

#include <ixcap/driver/emulator/vfio_user_session.hpp>

namespace ixcap::emulator {
namespace {

using namespace pci::vfio_user;

constexpr Refusal done = {};
constexpr Refusal too_short = {EINVAL, "the message is too short for its command"};
constexpr Refusal wrong_length = {EINVAL, "the message's length does not fit what it says"};
constexpr Refusal no_region = {EINVAL, "the access is not within a region"};
constexpr Refusal no_irq = {EINVAL, "there are no such interrupts"};
constexpr Refusal not_supported = {ENOTSUP, "the command is not supported"};

constexpr std::string_view capabilities =
    R"({"capabilities":{"max_msg_fds":16,"max_data_xfer_size":1048576,"write_multiple":true}})";

// Configuration space: PCI Local Bus Specification 3.0, sections 6.2.2 and 6.2.3.
constexpr std::uint32_t config_command = 4;
constexpr unsigned command_intx_disable = 1 << 10;
constexpr unsigned status_interrupt = 1 << 3;

/// The largest naturally aligned access at `offset` of at most `left` bytes.
constexpr unsigned access_size(std::uint64_t offset, std::size_t left) noexcept {
  unsigned size = 8;
  while (size > left || offset % size != 0) size /= 2;
  return size;
}

}  // namespace

VfioUserSession::VfioUserSession(PciFunction& function)
    : function_(function), interrupts_(function), memory_(function), doorbells_(function) {
  function_.set_interrupt_sink(&interrupts_);
}

VfioUserSession::~VfioUserSession() {
  function_.set_interrupt_sink(nullptr);
  function_.reset_function();
  memory_.clear();
}

VfioUserSession::Next VfioUserSession::handle(pci::VfioUserMessage& message) {
  Header header = message.header;
  reply_file_ = -1;
  refusal_ = done;
  if ((header.flags & type_mask) != type_command) {
    refusal_ = {EPROTO, "it is a reply, and nothing was asked"};
    return Next::hang_up;
  }
  reply_.resize(sizeof header);
  try {
    refusal_ = dispatch(message);
  } catch (const std::bad_alloc&) {
    refusal_ = {ENOMEM, "there is no memory left"};
  }
  message.files.clear();  // what nobody took
  if ((header.flags & flag_no_reply) != 0) return Next::no_reply;
  header.flags = type_reply;
  header.error = 0;
  if (refusal_.error != 0) {
    reply_.resize(sizeof header);
    reply_file_ = -1;
    header.flags |= flag_error;
    header.error = static_cast<std::uint32_t>(refusal_.error);
  }
  header.size = static_cast<std::uint32_t>(reply_.size());
  std::memcpy(reply_.data(), &header, sizeof header);
  return Next::reply;
}

Refusal VfioUserSession::dispatch(pci::VfioUserMessage& message) {
  const Bytes payload = message.payload;
  const auto command = static_cast<Command>(message.header.command);
  if (negotiated_ == (command == Command::version)) {
    return {EINVAL, negotiated_ ? "the version is agreed upon already" : "the version is to be agreed upon first"};
  }
  switch (command) {
    case Command::version:
      return negotiate(payload);
    case Command::dma_map:
      return map_dma(payload, message.files);
    case Command::dma_unmap:
      return unmap_dma(payload);
    case Command::device_get_info:
      return tell_device(payload);
    case Command::device_get_region_info:
      return tell_region(payload);
    case Command::device_get_irq_info:
      return tell_irq(payload);
    case Command::device_set_irqs:
      return set_irqs(payload, message.files);
    case Command::region_read:
      return read_region(payload);
    case Command::region_write:
      return write_region(payload);
    case Command::region_write_multi:
      return write_many(payload);
    case Command::device_reset:
      return reset(payload);
    case Command::device_get_region_io_fds:
    case Command::dma_read:
    case Command::dma_write:
    case Command::device_feature:
      break;
  }
  return not_supported;
}

/// The client's own limits need no look: it is sent one file at most, no commands, and no more data than it asks for.
Refusal VfioUserSession::negotiate(Bytes payload) {
  Version version = {};
  if (!read_structure(payload, version)) return too_short;
  const Bytes json = payload.subspan(sizeof version);
  if (!json.empty() && json.back() != 0) return {EINVAL, "the client's capabilities do not end"};
  if (version.major != 0) return {EINVAL, "the client speaks another version of the protocol"};
  version.minor = 0;
  answer(version);
  // QEMU takes no reply that is longer than what it sent; without capabilities the protocol's defaults hold.
  if (json.size() > capabilities.size()) {
    reply_.insert(reply_.end(), capabilities.begin(), capabilities.end());
    reply_.push_back(0);
  }
  negotiated_ = true;
  return done;
}

Refusal VfioUserSession::map_dma(Bytes payload, std::vector<pci::FileDescriptor>& files) {
  DmaMap request = {};
  if (!read_structure(payload, request) || request.argsz < sizeof request) return too_short;
  if (payload.size() != sizeof request) return wrong_length;
  if (files.size() > 1) return {EINVAL, "a range is in one file"};
  if ((request.flags & (dma_map_read | dma_map_write)) == 0) return {EINVAL, "the range is good for nothing"};
  const pci::FileDescriptor none;
  return memory_.map({.address = request.address,
                      .size = request.size,
                      .offset = request.offset,
                      .readable = (request.flags & dma_map_read) != 0,
                      .writable = (request.flags & dma_map_write) != 0},
                     files.empty() ? none : files.front());
}

/// A range that is not mapped is unmapped with success: behind an IOMMU, QEMU first unmaps the whole address space in
/// powers of two, of which 2^64 has become 0.
Refusal VfioUserSession::unmap_dma(Bytes payload) {
  DmaUnmap request = {};
  if (!read_structure(payload, request) || request.argsz < sizeof request) return too_short;
  if ((request.flags & dma_unmap_dirty_pages) != 0) return not_supported;
  const bool all = (request.flags & dma_unmap_all) != 0;
  if (all && (request.address != 0 || request.size != 0)) return {EINVAL, "all ranges have no address"};
  if (all || (request.address == 0 && request.size == 0)) {
    memory_.clear();
  } else {
    if ((request.address | request.size) % ClientMemory::page_bytes != 0) {
      return {EINVAL, "the range is not of whole pages"};
    }
    memory_.unmap(request.address, request.size);
  }
  answer(request);
  return done;
}

Refusal VfioUserSession::tell_device(Bytes payload) {
  DeviceInfo info = {};
  if (!read_structure(payload, info) || info.argsz < sizeof info) return too_short;
  answer(DeviceInfo{sizeof info, device_reset_supported | device_is_pci, region_count, irq_count});
  return done;
}

Refusal VfioUserSession::tell_region(Bytes payload) {
  RegionInfo info = {};
  if (!read_structure(payload, info) || info.argsz < sizeof info) return too_short;
  if (info.index > doorbell_region) return no_region;
  RegionInfo result = {
      .argsz = sizeof info, .flags = 0, .index = info.index, .capabilities = 0, .size = 0, .offset = 0};
  if (info.index < bar_count) {
    result.size = function_.bar_size(info.index);
  } else if (info.index == config_region) {
    result.size = config_bytes;
  } else if (info.index == doorbell_region) {
    reply_file_ = doorbells_.file();
    if (reply_file_ < 0) return {ENOMEM, "there is no memory for doorbells"};
    result.size = sizeof(DoorbellPage);
    result.flags = region_mappable;
  }
  if (result.size != 0) result.flags |= region_readable | region_writable;
  answer(result);
  return done;
}

Refusal VfioUserSession::tell_irq(Bytes payload) {
  IrqInfo info = {};
  if (!read_structure(payload, info) || info.argsz < sizeof info) return too_short;
  if (info.index >= irq_count) return no_irq;
  info.argsz = sizeof info;
  info.flags = irq_eventfd;
  if (info.index == irq_intx) info.flags |= irq_maskable | irq_automasked;
  info.count = interrupts_.vectors(info.index);
  answer(info);
  return done;
}

Refusal VfioUserSession::set_irqs(Bytes payload, std::vector<pci::FileDescriptor>& files) {
  SetIrqs request = {};
  if (!read_structure(payload, request) || request.argsz < sizeof request) return too_short;
  const std::uint32_t vectors = interrupts_.vectors(request.index);
  if (request.index >= irq_count || request.start > vectors || request.count > vectors - request.start) return no_irq;
  const std::uint32_t data = request.flags & irq_data_mask;
  const std::uint32_t action = request.flags & irq_actions_mask;
  const auto is_one_of = [](std::uint32_t value, std::uint32_t a, std::uint32_t b, std::uint32_t c) {
    return value == a || value == b || value == c;
  };
  if ((request.flags & ~(irq_data_mask | irq_actions_mask)) != 0 ||
      !is_one_of(data, irq_data_none, irq_data_bool, irq_data_eventfd) ||
      !is_one_of(action, irq_action_mask, irq_action_unmask, irq_action_trigger)) {
    return {EINVAL, "it takes one kind of data and one action"};
  }
  const Bytes bools = payload.subspan(sizeof request);
  if (bools.size() != (data == irq_data_bool ? request.count : 0)) return wrong_length;
  if (data != irq_data_eventfd && !files.empty()) return {EINVAL, "there are files with it"};
  if (action != irq_action_trigger && request.index != irq_intx) {
    return {ENOTSUP, "only the interrupt pin can be masked; of messages the client forgets those it does not want"};
  }
  if (data == irq_data_eventfd) {
    // QEMU then has the interrupt end by a message.
    if (action != irq_action_trigger) return {ENOTSUP, "masking by event counters is not supported"};
    return attach_irqs(request, files);
  }
  if (data == irq_data_none && action == irq_action_trigger && request.count == 0) {
    interrupts_.detach_all(request.index);
    return done;
  }
  for (std::uint32_t i = 0; i < request.count; ++i) {
    if (data == irq_data_none || bools[i] != 0) act_on_irq(request, request.start + i);
  }
  return done;
}

/// With a file for each vector, or with none at all, which detaches them.
Refusal VfioUserSession::attach_irqs(const SetIrqs& request, std::vector<pci::FileDescriptor>& files) {
  if (!files.empty() && files.size() != request.count) return {EINVAL, "there is not one file for each interrupt"};
  if (!std::all_of(files.begin(), files.end(), ClientInterrupts::is_event_counter)) {
    return {EINVAL, "a file is no event counter (eventfd)"};
  }
  for (std::uint32_t i = 0; i < request.count; ++i) {
    interrupts_.attach(request.index, request.start + i, files.empty() ? pci::FileDescriptor() : std::move(files[i]));
  }
  // A pin that is asserted already is heard by who begins to listen.
  if (request.index == irq_intx && !files.empty()) interrupts_.unmask_intx(intx_asserted());
  return done;
}

void VfioUserSession::act_on_irq(const SetIrqs& request, std::uint32_t vector) {
  switch (request.flags & irq_actions_mask) {
    case irq_action_mask:
      interrupts_.mask_intx();
      break;
    case irq_action_unmask:
      interrupts_.unmask_intx(intx_asserted());
      break;
    default:
      interrupts_.trigger(request.index, vector);
      break;
  }
}

bool VfioUserSession::intx_asserted() noexcept {
  std::uint8_t bytes[4] = {};  // the command register, then the status register
  function_.read_config(config_command, bytes);
  const unsigned command = bytes[0] | static_cast<unsigned>(bytes[1]) << 8;
  return (bytes[2] & status_interrupt) != 0 && (command & command_intx_disable) == 0;
}

Refusal VfioUserSession::read_region(Bytes payload) {
  RegionAccess access = {};
  if (!read_structure(payload, access)) return too_short;
  if (payload.size() != sizeof access) return wrong_length;
  if (access.count > most_data_bytes) return {EINVAL, "it is more data than was agreed upon"};
  if (!within_region(access.region, access.offset, access.count)) return no_region;
  answer(access);
  const std::size_t start = reply_.size();
  reply_.resize(start + access.count);
  read_bytes(access.region, access.offset, std::span(reply_).subspan(start));
  return done;
}

Refusal VfioUserSession::write_region(Bytes payload) {
  RegionAccess access = {};
  if (!read_structure(payload, access)) return too_short;
  const Bytes data = payload.subspan(sizeof access);
  if (data.size() != access.count) return wrong_length;
  if (access.count > most_data_bytes) return {EINVAL, "it is more data than was agreed upon"};
  if (!within_region(access.region, access.offset, access.count)) return no_region;
  write_bytes(access.region, access.offset, data);
  answer(access);
  return done;
}

/// All of the writes or, if one is not in order, none.
Refusal VfioUserSession::write_many(Bytes payload) {
  std::uint64_t count = 0;
  if (!read_structure(payload, count)) return too_short;
  const Bytes writes = payload.subspan(sizeof count);
  if (writes.size() % sizeof(SmallWrite) != 0 || writes.size() / sizeof(SmallWrite) != count) return wrong_length;
  SmallWrite write = {};
  for (std::uint64_t i = 0; i < count; ++i) {
    read_structure(writes.subspan(i * sizeof write), write);
    if (write.count == 0 || write.count > sizeof write.data) return {EINVAL, "a write is not of 1 to 8 bytes"};
    if (!within_region(write.region, write.offset, write.count)) return no_region;
  }
  for (std::uint64_t i = 0; i < count; ++i) {
    read_structure(writes.subspan(i * sizeof write), write);
    write_bytes(write.region, write.offset, Bytes(write.data).first(write.count));
  }
  answer(count);
  return done;
}

Refusal VfioUserSession::reset(Bytes payload) {
  if (!payload.empty()) return wrong_length;
  function_.reset_function();
  return done;
}

bool VfioUserSession::within_region(std::uint32_t region, std::uint64_t offset, std::uint64_t count) const noexcept {
  std::uint64_t size = 0;
  if (region < bar_count) size = function_.bar_size(region);
  if (region == config_region) size = config_bytes;
  return size != 0 && offset <= size && count <= size - offset;
}

void VfioUserSession::read_bytes(std::uint32_t region, std::uint64_t offset, std::span<std::uint8_t> bytes) noexcept {
  if (region == config_region) {
    if (!bytes.empty()) function_.read_config(static_cast<std::uint32_t>(offset), bytes);
    return;
  }
  while (!bytes.empty()) {
    const unsigned size = access_size(offset, bytes.size());
    const std::uint64_t value = function_.read_bar(region, offset, size);
    std::memcpy(bytes.data(), &value, size);
    bytes = bytes.subspan(size);
    offset += size;
  }
}

void VfioUserSession::write_bytes(std::uint32_t region, std::uint64_t offset, Bytes bytes) noexcept {
  if (region == config_region) {
    if (!bytes.empty()) function_.write_config(static_cast<std::uint32_t>(offset), bytes);
    return;
  }
  while (!bytes.empty()) {
    const unsigned size = access_size(offset, bytes.size());
    std::uint64_t value = 0;
    std::memcpy(&value, bytes.data(), size);
    function_.write_bar(region, offset, size, value);
    if (region == 0) doorbells_.written(offset, value);
    bytes = bytes.subspan(size);
    offset += size;
  }
}

}  // namespace ixcap::emulator

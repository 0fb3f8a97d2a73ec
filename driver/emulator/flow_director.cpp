#include <algorithm>
#include <bit>
#include <cstring>

#include <ixcap/driver/emulator/checksum.hpp>
#include <ixcap/driver/emulator/flow_director.hpp>
#include <ixcap/driver/emulator/sticking_counter.hpp>
#include <ixcap/driver/ixgbe/descriptors.hpp>
#include <ixcap/driver/ixgbe/register_bits.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>

namespace ixcap::emulator {

using ixgbe::flow_hash;
using ixgbe::ReceiveDescriptor;
using L3 = ParsedFrame::L3;
using L4 = ParsedFrame::L4;

namespace {

constexpr std::uint32_t packet_buffer = 512 * 1024;  // with what Flow Director takes of it
constexpr std::uint32_t kept_back = 2;               // filters of every table that software cannot have
constexpr std::uint32_t tag_that_counts = 0xEFFF;    // all but the CFI bit
constexpr std::uint32_t kind_l4 = 3;
constexpr std::uint32_t kind_udp = 1;
constexpr std::uint32_t kind_ipv6 = 4;

/// Registers hold addresses, and the flexible bytes, as they lie in the frame.
constexpr std::uint32_t network(std::uint32_t value) {
  return __builtin_bswap32(value);
}
constexpr std::uint32_t network_16(std::uint32_t value) {
  return (value & 0xFF) << 8 | (value >> 8 & 0xFF);
}

/// Masks of ports are mirrored: bit 15 of each half is for bit 0 of the port.
constexpr std::uint32_t port_mask(std::uint32_t reg) {
  std::uint32_t source = 0;
  std::uint32_t destination = 0;
  for (unsigned bit = 0; bit < 16; ++bit) {
    source |= (reg >> bit & 1) << (15 - bit);
    destination |= (reg >> (16 + bit) & 1) << (15 - bit);
  }
  return ~(source << 16 | destination);
}

/// FDIRIP6M has a bit for each byte, the first lowest.
std::array<std::uint32_t, 4> address_mask(std::uint32_t ignored_bytes) {
  std::array<std::uint32_t, 4> mask{};
  for (unsigned byte = 0; byte < 16; ++byte) {
    if ((ignored_bytes >> byte & 1) == 0) mask[byte / 4] |= 0xFFu << (8 * (3 - byte % 4));
  }
  return mask;
}

std::uint32_t kind_of(const ParsedFrame& parsed) {
  const std::uint32_t version = parsed.l3 == L3::ipv6 ? kind_ipv6 : 0;
  switch (parsed.l4) {
    case L4::udp:
      return version | kind_udp;
    case L4::tcp:
      return version | 2;
    case L4::sctp:
      return version | 3;
    default:
      return version;
  }
}

}  // namespace

void FlowDirector::reset() noexcept {
  buckets_.clear();
  filters_.clear();
  matched_ = missed_ = 0;
  refresh();
}

void FlowDirector::start() {
  refresh();
  const std::uint32_t size = control_ & ixgbe::FDIRCTRL_PBALLOC_MASK;
  const std::uint32_t buckets = size == 0 ? 0 : (perfect_ ? 1024u : 4096u) << size;
  buckets_.assign(buckets, none);
  filters_.assign(buckets == 0 ? 0 : buckets - kept_back, {});
  clear();
  registers_.set(ixgbe::FDIRCTRL, control_ | ixgbe::FDIRCTRL_INIT_DONE);
}

void FlowDirector::clear() noexcept {
  std::ranges::fill(buckets_, none);
  free_head_ = none;
  free_count_ = static_cast<std::uint32_t>(filters_.size());
  for (std::uint32_t i = free_count_; i-- > 0;) {
    filters_[i].next = free_head_;
    free_head_ = i;
  }
  collisions_ = 0;
  show_free();
}

void FlowDirector::show_free() noexcept {
  registers_.set(ixgbe::FDIRFREE, free_count_ | collisions_ << ixgbe::FDIRFREE_COLL_SHIFT);
}

std::uint32_t FlowDirector::packet_buffer_bytes() const noexcept {
  const std::uint32_t size = control_ & ixgbe::FDIRCTRL_PBALLOC_MASK;
  return on() ? packet_buffer - (32u * 1024 << size) : packet_buffer;
}

void FlowDirector::refresh() noexcept {
  control_ = registers_.get(ixgbe::FDIRCTRL);
  perfect_ = (control_ & ixgbe::FDIRCTRL_PERFECT_MATCH) != 0;
  bucket_key_ = registers_.get(ixgbe::FDIRHKEY);
  signature_key_ = registers_.get(ixgbe::FDIRSKEY);
  const std::uint32_t ignored = registers_.get(ixgbe::FDIRM);
  std::uint32_t flow = 0xFF000000 | (kind_l4 | kind_ipv6) << ixgbe::flow_kind_shift | tag_that_counts;
  if ((ignored & ixgbe::FDIRM_VLANID) != 0) flow &= ~0xFFFu;
  if ((ignored & ixgbe::FDIRM_VLANP) != 0) flow &= ~0xE000u;
  if ((ignored & ixgbe::FDIRM_POOL) != 0) flow &= ~0xFF000000u;
  if ((ignored & ixgbe::FDIRM_L4P) != 0) flow &= ~(kind_l4 << ixgbe::flow_kind_shift);
  mask_.flow = flow;
  mask_.flexible = (ignored & ixgbe::FDIRM_FLEX) != 0 ? 0 : 0xFFFF;
  mask_.source = {~network(registers_.get(ixgbe::FDIRSIP4M))};
  mask_.destination = {~network(registers_.get(ixgbe::FDIRDIP4M))};
  mask_.ports = port_mask(registers_.get(ixgbe::FDIRTCPM));
  udp_port_mask_ = port_mask(registers_.get(ixgbe::FDIRUDPM));
  const std::uint32_t ignored_bytes = registers_.get(ixgbe::FDIRIP6M);
  source_mask_6_ = address_mask(ignored_bytes & 0xFFFF);
  destination_mask_6_ = address_mask((ignored & ixgbe::FDIRM_DIPV6) != 0 ? 0xFFFF : ignored_bytes >> 16);
}

FlowKey FlowDirector::masked(FlowKey key) const noexcept {
  const std::uint32_t kind = key.flow >> ixgbe::flow_kind_shift & (kind_l4 | kind_ipv6);
  const auto apply = [](std::array<std::uint32_t, 4>& words, const std::array<std::uint32_t, 4>& mask) {
    for (std::size_t i = 0; i < words.size(); ++i) words[i] &= mask[i];
  };
  apply(key.source, (kind & kind_ipv6) != 0 ? source_mask_6_ : mask_.source);
  apply(key.destination, (kind & kind_ipv6) != 0 ? destination_mask_6_ : mask_.destination);
  // The 82599 has no mask for the ports of SCTP.
  const std::uint32_t l4 = kind & kind_l4;
  key.ports &= l4 == kind_udp ? udp_port_mask_ : l4 == 3 ? 0xFFFFFFFF : mask_.ports;
  key.flow &= mask_.flow;
  key.flexible &= mask_.flexible;
  return key;
}

FlowKey FlowDirector::key_of(const WireFrame& frame, const ParsedFrame& parsed) const noexcept {
  constexpr std::uint32_t ipv4_source = 12;
  constexpr std::uint32_t ipv6_source = 8;
  FlowKey key;
  key.flow = kind_of(parsed) << ixgbe::flow_kind_shift | (parsed.tagged ? parsed.vlan : 0u);
  const bool ipv6 = parsed.l3 == L3::ipv6;
  const std::uint32_t words = ipv6 ? 4 : 1;
  const std::uint8_t* const addresses = frame.bytes + parsed.l3_offset + (ipv6 ? ipv6_source : ipv4_source);
  for (std::uint32_t i = 0; i < words; ++i) {
    key.source[i] = load_big_32(addresses + 4 * i);
    key.destination[i] = load_big_32(addresses + 4 * (words + i));
  }
  if ((key.flow >> ixgbe::flow_kind_shift & kind_l4) != 0) key.ports = load_big_32(frame.bytes + parsed.l4_offset);
  const std::uint32_t flexible = (control_ >> ixgbe::FDIRCTRL_FLEX_SHIFT & ixgbe::FDIRCTRL_FLEX_MASK) * 2;
  if (flexible + 2 <= frame.captured_length) key.flexible = load_big_16(frame.bytes + flexible);
  return key;
}

FlowKey FlowDirector::key_in_registers(std::uint32_t command) const noexcept {
  FlowKey key;
  const std::uint32_t kind = command >> ixgbe::FDIRCMD_FLOW_TYPE_SHIFT & (kind_l4 | kind_ipv6);
  const std::uint32_t pool = command >> ixgbe::FDIRCMD_VT_POOL_SHIFT & ixgbe::FDIRCMD_VT_POOL_MASK;
  const std::uint32_t vlan = registers_.get(ixgbe::FDIRVLAN);
  const std::uint32_t port = registers_.get(ixgbe::FDIRPORT);
  key.flow = pool << 24 | kind << ixgbe::flow_kind_shift | (vlan & 0xFFFF);
  key.source[0] = network(registers_.get(ixgbe::FDIRIPSA));
  key.destination[0] = network(registers_.get(ixgbe::FDIRIPDA));
  key.ports = std::rotl(port, 16);
  key.flexible = network_16(vlan >> 16);
  return key;
}

template <typename Wanted>
FlowDirector::Place FlowDirector::find(std::uint32_t hash, Wanted wanted) const noexcept {
  Place place;
  for (std::uint32_t i = buckets_[hash & (buckets_.size() - 1)]; i != none; i = filters_[i].next) {
    if (wanted(filters_[i])) {
      place.filter = i;
      break;
    }
    place.before = i;
    ++place.depth;
  }
  return place;
}

std::uint32_t FlowDirector::command(std::uint32_t value) noexcept {
  // Writing 1 to CLEARHT, and 0 afterwards, is how drivers empty the table before they start anew.
  if ((value & ixgbe::FDIRCMD_CLEARHT) != 0) clear();
  if (!on()) return 0;
  switch (value & ixgbe::FDIRCMD_CMD_MASK) {
    case ixgbe::FDIRCMD_CMD_ADD_FLOW:
      return add(value);
    case ixgbe::FDIRCMD_CMD_REMOVE_FLOW:
      remove();
      return 0;
    case ixgbe::FDIRCMD_CMD_QUERY:
      query(value);
      return 0;
    default:
      return 0;
  }
}

namespace {

/// Counts one more in a field of a statistics register, up to its maximum.
void count_in_field(RegisterFile& registers, const ixgbe::Register& reg, unsigned shift, std::uint32_t mask) {
  const std::uint32_t value = registers.get(reg);
  if ((value >> shift & mask) != mask) registers.set(reg, value + (1u << shift));
}

}  // namespace

std::uint32_t FlowDirector::add(std::uint32_t command) noexcept {
  const std::uint32_t fdirhash = registers_.get(ixgbe::FDIRHASH);
  const std::uint32_t hash = fdirhash & ixgbe::FDIRHASH_HASH_MASK;
  const std::uint32_t index = fdirhash >> ixgbe::FDIRHASH_INDEX_SHIFT;
  const FlowKey key = key_in_registers(command);
  const FlowKey as_compared = masked(key);
  const Place place = find(hash, [&](const Filter& filter) {
    return perfect_ ? masked(filter.key) == as_compared : filter.bucket == hash && filter.index == index;
  });
  if (place.filter != none) {
    // Programmed twice: the new one takes its place if told so (UPDATE), otherwise the old one is marked.
    Filter& filter = filters_[place.filter];
    if ((command & ixgbe::FDIRCMD_FILTER_UPDATE) != 0) {
      filter.command = command;
      filter.index = index;
    } else if (!filter.collision) {
      filter.collision = true;
      ++collisions_;
    }
    show_free();
    return 0;
  }
  if (free_head_ == none) {
    count_in_field(registers_, ixgbe::FDIRFSTAT, ixgbe::FDIRFSTAT_FADD_SHIFT, ixgbe::FDIRFSTAT_MASK);
    return ixgbe::EICR_FLOW_DIR;
  }
  const std::uint32_t slot = free_head_;
  free_head_ = filters_[slot].next;
  --free_count_;
  const std::uint32_t most = 2 * (control_ >> ixgbe::FDIRCTRL_MAX_LENGTH_SHIFT & ixgbe::FDIRCTRL_MAX_LENGTH_MASK);
  filters_[slot] = {.key = key,
                    .next = none,
                    .bucket = hash,
                    .index = index,
                    .command = command,
                    .collision = false,
                    .too_deep = most != 0 && place.depth >= most};
  (place.before != none ? filters_[place.before].next : head_of(hash)) = slot;
  count_in_field(registers_, ixgbe::FDIRUSTAT, ixgbe::FDIRUSTAT_ADD_SHIFT, ixgbe::FDIRUSTAT_MASK);
  note_length(place.depth + 1, hash);
  show_free();
  const std::uint32_t threshold = 16 * (control_ >> ixgbe::FDIRCTRL_FULL_THRESH_SHIFT);
  return free_count_ < threshold ? ixgbe::EICR_FLOW_DIR : 0;
}

void FlowDirector::note_length(std::uint32_t length, std::uint32_t hash) noexcept {
  const std::uint32_t longest = registers_.get(ixgbe::FDIRLEN) & ixgbe::FDIRLEN_MAXLEN_MASK;
  const std::uint32_t told = std::min(length, ixgbe::FDIRLEN_MAXLEN_MASK);
  if (told > longest) registers_.set(ixgbe::FDIRLEN, told | hash << ixgbe::FDIRLEN_MAXHASH_SHIFT);
}

void FlowDirector::remove() noexcept {
  const std::uint32_t fdirhash = registers_.get(ixgbe::FDIRHASH);
  const std::uint32_t hash = fdirhash & ixgbe::FDIRHASH_HASH_MASK;
  const std::uint32_t index = fdirhash >> ixgbe::FDIRHASH_INDEX_SHIFT;
  const Place place = find(hash, [&](const Filter& filter) { return filter.bucket == hash && filter.index == index; });
  if (place.filter == none) {
    count_in_field(registers_, ixgbe::FDIRFSTAT, ixgbe::FDIRFSTAT_FREMOVE_SHIFT, ixgbe::FDIRFSTAT_MASK);
    return;
  }
  Filter& filter = filters_[place.filter];
  (place.before != none ? filters_[place.before].next : head_of(hash)) = filter.next;
  if (filter.collision) --collisions_;
  filter.next = free_head_;
  free_head_ = place.filter;
  ++free_count_;
  count_in_field(registers_, ixgbe::FDIRUSTAT, ixgbe::FDIRUSTAT_REMOVE_SHIFT, ixgbe::FDIRUSTAT_MASK);
  show_free();
}

/// Shows the filter of FDIRHASH in the registers, and in FDIRCMD.VALID whether there is one.
void FlowDirector::query(std::uint32_t command) noexcept {
  const std::uint32_t fdirhash = registers_.get(ixgbe::FDIRHASH);
  const std::uint32_t hash = fdirhash & ixgbe::FDIRHASH_HASH_MASK;
  const std::uint32_t index = fdirhash >> ixgbe::FDIRHASH_INDEX_SHIFT;
  const Place place = find(hash, [&](const Filter& filter) { return filter.bucket == hash && filter.index == index; });
  if (place.filter == none) {
    registers_.set(ixgbe::FDIRCMD, command & ~(ixgbe::FDIRCMD_CMD_MASK | ixgbe::FDIRCMD_FILTER_VALID));
    return;
  }
  const Filter& filter = filters_[place.filter];
  constexpr std::uint32_t of_command = ixgbe::FDIRCMD_CMD_MASK | ixgbe::FDIRCMD_COLLISION | ixgbe::FDIRCMD_LAST;
  registers_.set(ixgbe::FDIRCMD, (filter.command & ~of_command) | ixgbe::FDIRCMD_FILTER_VALID |
                                     (filter.collision ? ixgbe::FDIRCMD_COLLISION : 0) |
                                     (filter.next == none ? ixgbe::FDIRCMD_LAST : 0));
  if (!perfect_) return;
  registers_.set(ixgbe::FDIRIPSA, network(filter.key.source[0]));
  registers_.set(ixgbe::FDIRIPDA, network(filter.key.destination[0]));
  registers_.set(ixgbe::FDIRPORT, std::rotl(filter.key.ports, 16));
  registers_.set(ixgbe::FDIRVLAN, network_16(filter.key.flexible) << 16 | (filter.key.flow & 0xFFFF));
}

FlowDirector::Answer FlowDirector::look_up(const WireFrame& frame, const ParsedFrame& parsed) const noexcept {
  if (perfect_ && parsed.l3 != L3::ipv4) return {};
  const FlowKey key = masked(key_of(frame, parsed));
  const std::uint32_t hash = flow_hash(key, bucket_key_);
  const std::uint32_t signature = perfect_ ? 0 : flow_hash(key, signature_key_);
  const std::uint32_t bucket = static_cast<std::uint32_t>(hash & (buckets_.size() - 1));
  const Place place = find(hash, [&](const Filter& filter) {
    return perfect_ ? masked(filter.key) == key
                    : (filter.bucket & (buckets_.size() - 1)) == bucket && (filter.index & 0x7FFF) == signature;
  });
  Answer answer;
  answer.id = bucket << 16 | signature;
  answer.reported = (control_ & ixgbe::FDIRCTRL_REPORT_STATUS_ALWAYS) != 0;
  if (place.filter == none) return answer;
  const Filter& filter = filters_[place.filter];
  const bool drop = perfect_ && (filter.command & ixgbe::FDIRCMD_DROP) != 0;
  answer.matched = true;
  answer.to_queue = drop || (filter.command & ixgbe::FDIRCMD_QUEUE_EN) != 0;
  const std::uint32_t queue =
      drop ? control_ >> ixgbe::FDIRCTRL_DROP_Q_SHIFT : filter.command >> ixgbe::FDIRCMD_RX_QUEUE_SHIFT;
  answer.queue = static_cast<std::uint8_t>(queue & ixgbe::QUEUE_MASK);
  answer.status = ReceiveDescriptor::FLM;
  answer.reported |= (control_ & ixgbe::FDIRCTRL_REPORT_STATUS) != 0;
  if (!answer.reported) return answer;
  answer.id = bucket << 16 | filter.index;
  if (filter.too_deep) answer.status |= ReceiveDescriptor::FDIR_LENGTH;
  if (drop) answer.status |= ReceiveDescriptor::FDIR_DROP;
  if (filter.collision) answer.status |= ReceiveDescriptor::FDIR_COLLISION;
  return answer;
}

void FlowDirector::flush_statistics() noexcept {
  add_sticking(registers_, ixgbe::FDIRMATCH, matched_);
  add_sticking(registers_, ixgbe::FDIRMISS, missed_);
  matched_ = missed_ = 0;
}

}  // namespace ixcap::emulator

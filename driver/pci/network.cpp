#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <functional>
#include <optional>
#include <string_view>

#include <ixcap/driver/error.hpp>
#include <ixcap/driver/pci/file_descriptor.hpp>
#include <ixcap/driver/pci/network.hpp>

// The kernel's macros step through bytes; these are aligned for what lies in them.
#pragma GCC diagnostic ignored "-Wcast-align"

namespace ixcap::pci {
namespace {

// The kernel's own macros (NLMSG_DATA and so on) cast as C does.
template <typename Body>
const Body* body_of(const nlmsghdr& message) {
  return reinterpret_cast<const Body*>(reinterpret_cast<const char*>(&message) + NLMSG_HDRLEN);
}

/// A request with room for the attributes of an address.
struct Request {
  nlmsghdr header;
  union {
    ifaddrmsg address;
    rtmsg route;
  };
  std::array<std::uint8_t, 64> attributes;
};

FileDescriptor netlink_socket() {
  return FileDescriptor(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
}

/// Sends a request and hands every message of the answer to `take`. Answers an errno value, 0 when all went well.
int ask(Request& request, const std::function<void(const nlmsghdr&)>& take) {
  const FileDescriptor socket = netlink_socket();
  if (!socket.valid()) return errno;
  if (::send(socket.number(), &request, request.header.nlmsg_len, 0) < 0) return errno;
  alignas(nlmsghdr) std::array<char, 64 * 1024> answer;
  while (true) {
    const ssize_t received = ::recv(socket.number(), answer.data(), answer.size(), 0);
    if (received < 0 && errno == EINTR) continue;
    if (received <= 0) return received == 0 ? EPIPE : errno;
    auto left = static_cast<unsigned>(received);
    for (auto* message = reinterpret_cast<nlmsghdr*>(answer.data()); NLMSG_OK(message, left);
         message = NLMSG_NEXT(message, left)) {
      if (message->nlmsg_type == NLMSG_DONE) return 0;
      if (message->nlmsg_type == NLMSG_ERROR) return -body_of<nlmsgerr>(*message)->error;
      take(*message);
    }
  }
}

int dump(std::uint16_t type, std::size_t bytes, const std::function<void(const nlmsghdr&)>& take) {
  Request request{};
  request.header.nlmsg_len = static_cast<std::uint32_t>(NLMSG_LENGTH(bytes));
  request.header.nlmsg_type = type;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  return ask(request, take);
}

/// The attributes after a message's fixed part, each to `take`.
template <typename Body>
void for_attributes(const nlmsghdr& message, const std::function<void(const rtattr&)>& take) {
  std::size_t at = NLMSG_SPACE(sizeof(Body));
  while (at + sizeof(rtattr) <= message.nlmsg_len) {
    const auto* attribute = reinterpret_cast<const rtattr*>(reinterpret_cast<const char*>(&message) + at);
    if (attribute->rta_len < sizeof(rtattr) || attribute->rta_len > message.nlmsg_len - at) return;
    take(*attribute);
    at += RTA_ALIGN(attribute->rta_len);
  }
}

std::uint32_t word(const rtattr& attribute) {
  std::uint32_t value = 0;
  if (RTA_PAYLOAD(&attribute) >= sizeof value) std::memcpy(&value, RTA_DATA(&attribute), sizeof value);
  return value;
}

std::string to_text(int family, const rtattr& attribute, unsigned prefix) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const std::size_t bytes = family == AF_INET ? sizeof(in_addr) : sizeof(in6_addr);
  if (RTA_PAYLOAD(&attribute) < bytes) return "";
  ::inet_ntop(family, RTA_DATA(&attribute), text.data(), text.size());
  return fmt::format("{}/{}", text.data(), prefix);
}

/// The address in a message, if it belongs to the interface and is of the kind that is asked for.
std::optional<std::string> address_in(const nlmsghdr& message, unsigned index, bool lasting) {
  if (message.nlmsg_type != RTM_NEWADDR || message.nlmsg_len < NLMSG_LENGTH(sizeof(ifaddrmsg))) return std::nullopt;
  const auto* address = body_of<ifaddrmsg>(message);
  if (address->ifa_index != index) return std::nullopt;
  if (address->ifa_family != AF_INET && address->ifa_family != AF_INET6) return std::nullopt;
  std::uint32_t flags = address->ifa_flags;
  std::string text;
  for_attributes<ifaddrmsg>(message, [&](const rtattr& attribute) {
    if (attribute.rta_type == IFA_FLAGS) flags = word(attribute);
    // On a link between two, IFA_ADDRESS is the other end; the local address comes as IFA_LOCAL, and IPv6 has only one.
    const bool local = attribute.rta_type == IFA_LOCAL || (attribute.rta_type == IFA_ADDRESS && text.empty());
    if (local) text = to_text(address->ifa_family, attribute, address->ifa_prefixlen);
  });
  const bool stays = (flags & IFA_F_PERMANENT) != 0 && address->ifa_scope != RT_SCOPE_LINK;
  if (text.empty() || (lasting && !stays)) return std::nullopt;
  return text;
}

/// Whether one of the next hops of a route over several leaves through the interface.
bool hops_leave_through(const rtattr& attribute, unsigned index) {
  auto left = static_cast<int>(RTA_PAYLOAD(&attribute));
  const auto* hop = static_cast<const rtnexthop*>(RTA_DATA(const_cast<rtattr*>(&attribute)));
  while (left >= static_cast<int>(sizeof *hop) && RTNH_OK(hop, left)) {
    if (static_cast<unsigned>(hop->rtnh_ifindex) == index) return true;
    left -= static_cast<int>(RTNH_ALIGN(hop->rtnh_len));
    hop = RTNH_NEXT(hop);
  }
  return false;
}

bool is_default_route_through(const nlmsghdr& message, unsigned index) {
  if (message.nlmsg_type != RTM_NEWROUTE || message.nlmsg_len < NLMSG_LENGTH(sizeof(rtmsg))) return false;
  const auto* route = body_of<rtmsg>(message);
  if (route->rtm_dst_len != 0 || route->rtm_type != RTN_UNICAST) return false;
  if (route->rtm_family != AF_INET && route->rtm_family != AF_INET6) return false;
  bool through = false;
  for_attributes<rtmsg>(message, [&](const rtattr& attribute) {
    if (attribute.rta_type == RTA_OIF) through |= word(attribute) == index;
    if (attribute.rta_type == RTA_MULTIPATH) through |= hops_leave_through(attribute, index);
  });
  return through;
}

/// Gives the interface an address, "192.0.2.2/24". Answers an errno value; one that it has already is no error.
int add_address(unsigned index, const std::string& text) {
  const std::size_t slash = text.find('/');
  const std::string bare = text.substr(0, slash);
  in6_addr address{};  // large enough for both
  int family = AF_INET;
  if (::inet_pton(AF_INET, bare.c_str(), &address) != 1) family = AF_INET6;
  if (family == AF_INET6 && ::inet_pton(AF_INET6, bare.c_str(), &address) != 1) return EINVAL;
  Request request{};
  request.header.nlmsg_type = RTM_NEWADDR;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
  request.address.ifa_family = static_cast<std::uint8_t>(family);
  request.address.ifa_prefixlen = static_cast<std::uint8_t>(std::stoul(text.substr(slash + 1)));
  request.address.ifa_index = index;
  const std::size_t bytes = family == AF_INET ? sizeof(in_addr) : sizeof(in6_addr);
  std::size_t length = NLMSG_LENGTH(sizeof(ifaddrmsg));
  for (const std::uint16_t type : {std::uint16_t{IFA_LOCAL}, std::uint16_t{IFA_ADDRESS}}) {
    auto* attribute = reinterpret_cast<rtattr*>(reinterpret_cast<std::uint8_t*>(&request) + length);
    attribute->rta_type = type;
    attribute->rta_len = static_cast<std::uint16_t>(RTA_LENGTH(bytes));
    std::memcpy(RTA_DATA(attribute), &address, bytes);
    length += RTA_ALIGN(attribute->rta_len);
  }
  request.header.nlmsg_len = static_cast<std::uint32_t>(length);
  const int error = ask(request, [](const nlmsghdr&) {});
  return error == EEXIST ? 0 : error;
}

/// The interface calls of a socket, on one interface; each answers an errno value.
class InterfaceCalls {
 public:
  explicit InterfaceCalls(std::string name)
      : name_(std::move(name)), socket_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {}

  int rename(const std::string& name) {
    ifreq request = named();
    name.copy(request.ifr_newname, IFNAMSIZ - 1);
    const int error = call(SIOCSIFNAME, request);
    if (error == 0) name_ = name;
    return error;
  }
  int set_mtu(unsigned mtu) {
    ifreq request = named();
    request.ifr_mtu = static_cast<int>(mtu);
    return call(SIOCSIFMTU, request);
  }
  int set_mac(const std::string& mac) {
    ifreq request = named();
    std::array<unsigned, 6> bytes{};
    if (std::sscanf(mac.c_str(), "%x:%x:%x:%x:%x:%x", &bytes[0], &bytes[1], &bytes[2], &bytes[3], &bytes[4],
                    &bytes[5]) != 6) {
      return EINVAL;
    }
    request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    std::transform(bytes.begin(), bytes.end(), request.ifr_hwaddr.sa_data,
                   [](unsigned byte) { return static_cast<char>(byte); });
    return call(SIOCSIFHWADDR, request);
  }
  int set_up(bool up) {
    ifreq request = named();
    if (const int error = call(SIOCGIFFLAGS, request); error != 0) return error;
    const int flags = up ? request.ifr_flags | IFF_UP : request.ifr_flags & ~IFF_UP;
    request.ifr_flags = static_cast<short>(flags);
    return call(SIOCSIFFLAGS, request);
  }
  std::string mac() {
    ifreq request = named();
    if (call(SIOCGIFHWADDR, request) != 0) return "";
    const auto byte = [&request](int i) { return static_cast<std::uint8_t>(request.ifr_hwaddr.sa_data[i]); };
    return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", byte(0), byte(1), byte(2), byte(3), byte(4),
                       byte(5));
  }
  const std::string& name() const noexcept { return name_; }

 private:
  ifreq named() const {
    ifreq request{};
    name_.copy(request.ifr_name, IFNAMSIZ - 1);
    return request;
  }
  int call(unsigned long request_code, ifreq& request) {
    return ::ioctl(socket_.number(), request_code, &request) == 0 ? 0 : errno;
  }

  std::string name_;
  FileDescriptor socket_;
};

}  // namespace

std::vector<std::string> interface_addresses(const std::string& interface, bool lasting) {
  const unsigned index = ::if_nametoindex(interface.c_str());
  std::vector<std::string> found;
  if (index == 0) return found;
  dump(RTM_GETADDR, sizeof(ifaddrmsg), [&](const nlmsghdr& message) {
    if (const auto address = address_in(message, index, lasting)) found.push_back(*address);
  });
  return found;
}

bool holds_default_route(const std::string& interface) {
  const unsigned index = ::if_nametoindex(interface.c_str());
  bool found = false;
  if (index == 0) return false;
  dump(RTM_GETROUTE, sizeof(rtmsg),
       [&](const nlmsghdr& message) { found |= is_default_route_through(message, index); });
  return found;
}

void restore_interface(const std::string& now, const NetworkState& wanted) {
  InterfaceCalls interface(now);
  std::optional<Error> failure;
  const auto attempt = [&](int error, const std::string& command) {
    if (error != 0 && !failure) {
      failure = Error::from_errno("cannot restore the network interface", wanted.name, error, command);
    }
  };
  if (interface.name() != wanted.name) {
    attempt(interface.set_up(false), "ip link set " + now + " down");  // older kernels rename only what is down
    attempt(interface.rename(wanted.name), fmt::format("ip link set {} name {}", now, wanted.name));
  }
  const std::string& name = interface.name();
  if (!wanted.mac.empty() && interface.mac() != wanted.mac) {
    attempt(interface.set_mac(wanted.mac), fmt::format("ip link set {} address {}", name, wanted.mac));
  }
  if (wanted.mtu != 0) attempt(interface.set_mtu(wanted.mtu), fmt::format("ip link set {} mtu {}", name, wanted.mtu));
  attempt(interface.set_up(wanted.up), fmt::format("ip link set {} {}", name, wanted.up ? "up" : "down"));
  const unsigned index = ::if_nametoindex(name.c_str());
  for (const std::string& address : wanted.addresses) {
    attempt(add_address(index, address), fmt::format("ip address add {} dev {}", address, name));
  }
  if (failure) throw *failure;
}

}  // namespace ixcap::pci

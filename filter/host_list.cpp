#include <algorithm>
#include <memory>

#include <ixcap/filter/host_list.hpp>

namespace ixcap::filter {

Filter host_list(std::span<const Address> hosts) {
  const std::size_t capacity = std::max<std::size_t>(hosts.size(), 1);
  const auto set = std::make_shared<FlowSet>("hosts", FlowKind::addresses, capacity);
  for (const Address& host : hosts) set->insert(host);
  return {Program::returning(1), set, {.key = KeyFrom::host}};
}

}  // namespace ixcap::filter

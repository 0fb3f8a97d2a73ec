#include <ixcap/driver/error.hpp>

#include "tests/bench/dpdk.hpp"

namespace ixcap::bench {
namespace {

constexpr const char* how_to_get_it = "apt-get install libdpdk-dev, then run cmake again";

}  // namespace

bool has_dpdk() {
  return false;
}

std::string about_dpdk() {
  return std::string("not in this build, so nothing is compared with it: ") + how_to_get_it;
}

std::unique_ptr<const filter::Engine> make_dpdk(const filter::Program&) {
  throw Error("cannot measure DPDK", "", "it is not in this build", how_to_get_it);
}

std::unique_ptr<const filter::Engine> make_empty_dpdk() {
  throw Error("cannot measure DPDK", "", "it is not in this build", how_to_get_it);
}

}  // namespace ixcap::bench

#include <ixcap/driver/emulator/link.hpp>
#include <ixcap/driver/ixgbe/register_bits.hpp>
#include <ixcap/driver/ixgbe/registers.hpp>

namespace ixcap::emulator {

void Link::set_plugged(bool module, bool carrier) noexcept {
  const bool module_changed = module != module_;
  module_ = module;
  carrier_ = carrier;
  update();
  if (module_changed && (registers_.get(ixgbe::GPIE) & ixgbe::GPIE_SDP2_GPIEN) != 0) {
    interrupts_.raise(ixgbe::EICR_SDP2);
  }
}

bool Link::after_write(const ixgbe::Register& reg) noexcept {
  if (&reg != &ixgbe::AUTOC && &reg != &ixgbe::AUTOC2 && &reg != &ixgbe::ESDP) return false;
  update();
  return true;
}

void Link::reset() noexcept {
  up_ = works();
  show();
}

bool Link::works() const noexcept {
  const std::uint32_t autoc = registers_.get(ixgbe::AUTOC);
  const std::uint32_t mode = autoc & ixgbe::AUTOC_LMS_MASK;
  if (mode != ixgbe::AUTOC_LMS_10G_SERIAL && mode != ixgbe::AUTOC_LMS_10G_PARALLEL) return false;
  if ((registers_.get(ixgbe::AUTOC2) & ixgbe::AUTOC2_LINK_DISABLE_MASK) != 0) return false;
  if ((autoc & ixgbe::AUTOC_FLU) != 0) return true;
  const bool laser_on = (registers_.get(ixgbe::ESDP) & ixgbe::ESDP_SDP3) == 0;
  return module_ && carrier_ && laser_on;
}

void Link::show() noexcept {
  registers_.set(ixgbe::LINKS, up_ ? ixgbe::LINKS_UP | ixgbe::LINKS_SPEED_10G : 0);
  const std::uint32_t esdp = registers_.get(ixgbe::ESDP) & ~ixgbe::ESDP_SDP2;
  registers_.set(ixgbe::ESDP, module_ ? esdp | ixgbe::ESDP_SDP2 : esdp);
}

void Link::update() noexcept {
  const bool works_now = works();
  const bool changed = works_now != up_;
  up_ = works_now;
  show();
  if (changed) interrupts_.raise(ixgbe::EICR_LSC);
}

}  // namespace ixcap::emulator

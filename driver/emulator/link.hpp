#pragma once

/// The link: whether light, or current, of ten gigabits goes both ways (data sheet 3.7.4 and 8.2.3.22).
///
/// Up needs all of these: a module, somebody at the other end, the laser on (ESDP.SDP3 low), the link not disabled
/// (AUTOC2), and a link mode of ten gigabits (AUTOC.LMS serial, or parallel without negotiation). AUTOC.FLU forces it
/// up in these modes. LINKS follows at once; every change is an EICR.LSC.
///
/// Threads: one at a time.

#include <ixcap/driver/emulator/interrupts.hpp>
#include <ixcap/driver/emulator/register_file.hpp>

namespace ixcap::emulator {

class Link {
 public:
  Link(RegisterFile& registers, Interrupts& interrupts) : registers_(registers), interrupts_(interrupts) {}

  bool up() const noexcept { return up_; }

  /// What is plugged: a module, and a live other end of its cable. Tells of a module that came or went (EICR bit of
  /// SDP2).
  void set_plugged(bool module, bool carrier) noexcept;

  /// AUTOC, AUTOC2 or ESDP was written. False for other registers.
  bool after_write(const ixgbe::Register& reg) noexcept;

  /// Device reset: no interrupt comes of it.
  void reset() noexcept;

 private:
  bool works() const noexcept;
  void show() noexcept;
  void update() noexcept;

  RegisterFile& registers_;
  Interrupts& interrupts_;
  bool module_ = true;
  bool carrier_ = true;
  bool up_ = false;
};

}  // namespace ixcap::emulator

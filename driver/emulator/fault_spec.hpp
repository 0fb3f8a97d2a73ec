#pragma once

/// Faults on demand: what cables, hosts and cards do on bad days, made to happen to the software NIC.
///
///     crc-errors=0.01,link-flap=500ms          what parse_faults() takes, nic.set_faults() makes happen, and
///     none                                     `ixcap emulate --fault`, `--control` and `?fault=` of a traffic hand on
///
///     SHARE of frames      crc-errors length-errors symbol-errors error-bytes runts fragments oversize jabber: arrive
///                          bad in this way; dma-faults: are good, and written where no memory is mapped
///     SHARE of passes      late-write-back: a queue's descriptors are written back some passes later;
///                          reordered-write-back: those of the queues in another order; starvation: the card does not
///                          see the free descriptors of a queue; lost-interrupts: of messages
///     TIME                 link-flap: after which the link goes down, and up again, and so on
///     FRAMES               remove-after: that come until the card is pulled out; receive-hang: until a receive queue
///                          takes no descriptor any more, whatever is done but a reset; ecc-error: until the card tells
///                          of an error in its memory (EICR.ECC). The last two count anew after a reset
///     on, off              stuck-reset: CTRL.RST stays; stuck-enable: RXDCTL.ENABLE and TXDCTL.ENABLE stay;
///                          transmit-hang: nothing is sent; remove: the card is pulled out
///     seed                 of all that is left to chance
///
/// A pass is what the NIC does in one go, up to 64 frames. A SHARE is from 0 to 1. What becomes of the n-th frame
/// depends on the seed and on nothing else; the rest depends on how many passes there are.
///
/// Errors: parse_faults throws ixcap::Error naming the fault, its value and what it takes.

#include <cstdint>
#include <string>
#include <string_view>

namespace ixcap::emulator {

struct FaultSpec {
  std::uint64_t seed = 1;

  // Shares of the frames that come; together at most 1.
  double crc_errors = 0;
  double length_errors = 0;
  double symbol_errors = 0;
  double error_bytes = 0;
  double runts = 0;
  double fragments = 0;
  double oversize = 0;
  double jabber = 0;
  double dma_faults = 0;

  double late_write_back = 0;
  double reordered_write_back = 0;
  double starvation = 0;
  double lost_interrupts = 0;
  std::uint64_t link_flap_ns = 0;  ///< 0: never
  std::uint64_t remove_after = 0;  ///< frames; 0: never
  std::uint64_t receive_hang = 0;  ///< frames; 0: never
  std::uint64_t ecc_error = 0;     ///< frames; 0: never
  bool stuck_reset = false;
  bool stuck_enable = false;
  bool transmit_hang = false;
  bool remove = false;

  bool operator==(const FaultSpec&) const = default;

  /// Whether anything at all goes wrong.
  bool any() const noexcept;
  /// Shares of frames, added up.
  double damaged_frames() const noexcept;
  /// As parse_faults() takes it; "none" where nothing goes wrong and the seed is 1.
  std::string to_string() const;
};

/// What `text` says, on top of `base`: faults that it does not name stay. "none" is a FaultSpec without any.
FaultSpec parse_faults(std::string_view text, const FaultSpec& base = {});

}  // namespace ixcap::emulator

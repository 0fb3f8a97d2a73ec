#pragma once

/// What happens to a frame between the sender and the MAC: bits of WireFrame::damage. Other than these, a frame is as
/// it should be; whether it is too long is for the MAC to say (MAXFRS), and a short one without `undersize` is taken
/// for what its capture file did not pad.

#include <cstdint>

namespace ixcap::emulator::damage {

inline constexpr std::uint8_t crc = 1u << 0;         ///< the FCS is wrong
inline constexpr std::uint8_t length = 1u << 1;      ///< the length field says something else
inline constexpr std::uint8_t symbol = 1u << 2;      ///< a symbol that the line code does not have
inline constexpr std::uint8_t error_byte = 1u << 3;  ///< a byte that the sender marks as an error
inline constexpr std::uint8_t undersize = 1u << 4;   ///< fewer than 64 bytes, FCS included
inline constexpr std::uint8_t oversize = 1u << 5;    ///< set by the MAC
/// Not the wire's doing: the frame is good, and the card takes a wrong address for it.
inline constexpr std::uint8_t unmapped = 1u << 7;

}  // namespace ixcap::emulator::damage

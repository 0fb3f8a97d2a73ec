#pragma once

/// The verifier: what a list of instructions has to satisfy before any engine runs it.
///
///   - 1 to 4,096 instructions;
///   - every opcode is one of classic BPF's; the NetBSD coprocessor calls (COP, COPX) are not;
///   - every jump, also the 32-bit one of BPF_JA, goes forward and lands inside the program;
///   - scratch memory is indexed below 16;
///   - no division or modulo by the constant zero;
///   - no load from a Linux ancillary offset (absolute, 0xfffff000 and up): those ask the kernel about its own packet
///     buffer (packet type, interface index, stripped tag), which a frame lent by the card does not have;
///   - the last instruction is a return.
///
/// From these follow what an engine need not check: the program ends after at most as many steps as it has
/// instructions, execution never runs off its end, and it touches no memory but A, X, M[] and the frame. Bounds of the
/// frame are checked at run time: a load outside the captured bytes rejects the frame.
///
/// Allowed on purpose: unreachable code, and shifts by a constant of 32 or more, which give 0.

#include <span>

#include <ixcap/driver/error.hpp>
#include <ixcap/filter/program.hpp>

namespace ixcap::filter {

/// Throws Error at the first instruction that breaks a rule. Its subject is that instruction as tcpdump -d prints it,
/// its number first; its reason is the rule.
void check(std::span<const Instruction> instructions);

}  // namespace ixcap::filter

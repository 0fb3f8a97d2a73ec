#pragma once

/// Native code as text: what `ixcap filter --jit` prints.

#include <string>

#include <ixcap/driver/error.hpp>
#include <ixcap/filter/engine.hpp>

namespace ixcap::tools {

/// Whether this ixcap was built with Zydis, which does the work.
bool can_disassemble() noexcept;

/// One line an instruction: offset in bytes, the bytes, the instruction in Intel's syntax, and the note of the last
/// mark at or before it. Jumps and operands relative to RIP name an offset from the start of the code, which may lie
/// beyond its end. Bytes that are no instruction read `db`.
///
///     0000001c  66 3d 08 00                       cmp ax, 0x8                                       ; (001) jeq #0x800
///
/// Threads: any. Throws Error if this ixcap was built without Zydis.
std::string disassemble(const filter::NativeCode& code);

}  // namespace ixcap::tools

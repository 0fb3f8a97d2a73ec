#pragma once

/// Programs as text, byte for byte what `tcpdump -d`, `-dd` and `-ddd` print.
///
/// Threads: any. Errors: none but std::bad_alloc.

#include <cstddef>
#include <string>

#include <ixcap/filter/program.hpp>

namespace ixcap::filter {

enum class Listing {
  assembly,  ///< tcpdump -d: one line of mnemonics an instruction
  c,         ///< tcpdump -dd: the elements of a C array of struct bpf_insn
  decimal,   ///< tcpdump -ddd: the number of instructions, then four decimal numbers a line
};

/// Every line ends in a newline.
std::string list(const Program& program, Listing form);

/// One line of Listing::assembly, without the newline; `number` is the instruction's place in its program, from 0. Any
/// instruction will do, verified or not: an unknown opcode reads "unimp" and its code.
std::string image(const Instruction& instruction, std::size_t number);

}  // namespace ixcap::filter

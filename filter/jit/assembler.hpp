#pragma once

/// The assembler under both compilers: xbyak, with a pool of constants on pages of their own, and notes that say what
/// the code is for. Not part of the library's interface.

#include <xbyak/xbyak.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <ixcap/filter/engine.hpp>
#include <ixcap/filter/graph.hpp>
#include <ixcap/filter/jit/code_memory.hpp>

namespace ixcap::filter::jit {

/// Finished code: memory, how much of it is code, and its notes.
struct Code {
  std::unique_ptr<const CodeMemory> memory;
  std::size_t size = 0;  ///< bytes of code
  std::vector<CodeMark> marks;

  NativeCode view() const noexcept { return {{memory->start(), size}, marks}; }

  /// The code's start as a pointer to the function that it is.
  template <typename Function>
  Function entry() const noexcept {
    return reinterpret_cast<Function>(reinterpret_cast<std::uintptr_t>(memory->start()));
  }
};

/// Immediates and displacements of the program's choosing stay up to this, and no instruction has a displacement and an
/// immediate of two bytes: longer constants go to the pool, which is not executable. So a hostile program places at
/// most two bytes in a row of its own among the code.
inline constexpr std::uint64_t longest_immediate = 0xffff;

class Assembler : public Xbyak::CodeGenerator {
 public:
  Assembler();

  /// A constant in the pool, aligned to its size (a power of two).
  Xbyak::Label& pooled(std::span<const std::uint8_t> bytes);
  Xbyak::Address pooled32(std::uint32_t value);
  Xbyak::Address pooled64(std::uint64_t value);
  Xbyak::Label& pooled_table(std::span<const std::uint32_t> entries);

  /// The code from here on does what `note` says.
  void mark(std::string note) { marks_.push_back({static_cast<std::uint32_t>(getSize()), std::move(note)}); }

  /// The captured length to compare with for the next bound (see bounds.hpp).
  std::uint64_t bound(std::uint64_t length) noexcept;

  /// Ends the code, puts the pool behind it and makes it executable. Throws Error.
  Code finish();

 private:
  std::map<std::string, Xbyak::Label> pool_;  // by the constants' bytes
  std::vector<CodeMark> marks_;
};

/// Where constants lie so that few operations tell whether a number is one of them: a perfect hash, searched for when
/// it is made. A number x is a constant exactly if entries[slot(x)] == x, where
///
///     slot(x) = (x * multiplier) >> shift                                            if no displacements
///     slot(x) = ((x * multiplier) >> shift) ^ displacements[(x * multiplier_2) >> shift_2]   otherwise
///
/// (32-bit products).
struct PerfectHash {
  enum class Aim {
    fewest_steps,    ///< without displacements where that is possible
    smallest_table,  ///< less than four times as many entries as constants, a quarter as many displacements
  };
  PerfectHash(std::span<const std::uint64_t> constants, Aim aim);

  std::uint32_t multiplier = 0;
  unsigned shift = 0;
  std::uint32_t multiplier_2 = 0;
  unsigned shift_2 = 0;
  std::vector<std::uint32_t> entries;
  std::vector<std::uint32_t> displacements;
};

}  // namespace ixcap::filter::jit

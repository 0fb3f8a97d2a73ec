#pragma once

/// Native code for up to 64 frames a call, 8 or 16 of them in the lanes of vectors.
///
/// A batch goes through in two steps. First, group by group: the windows of bytes that the programs look at are loaded
/// from all frames of the group and transposed, and every test is done for all lanes at once, whether or not a program
/// gets there: there is no branch to mispredict. Each test leaves a 64-bit word with one bit a frame. Then the graph's
/// nodes are a handful of bit operations on such words for the whole batch, shared by all programs.
/// One small program, the commonest case, has a shorter way, with 8 lanes everywhere (jit/single_compiler.hpp).
///
/// Frames that lanes cannot decide (an IPv4 header with options in front of a field, a far or computed offset, a
/// division) go through the scalar code one by one. Windows are loaded whole, so up to 128 bytes from the start of a
/// frame may be read even if it is shorter, but never across the end of the page that its last byte is in; what was not
/// captured decides nothing.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include <ixcap/driver/frame.hpp>
#include <ixcap/filter/engine.hpp>
#include <ixcap/filter/engines.hpp>
#include <ixcap/filter/jit/batch_compiler.hpp>
#include <ixcap/filter/jit/scalar_engine.hpp>
#include <ixcap/filter/jit/single_compiler.hpp>
#include <ixcap/filter/program.hpp>

namespace ixcap::filter {

class BatchEngine final : public Engine {
 public:
  /// `kind`: avx2 or avx512, which the CPU has. `programs`: at most most_filters, each one that compiles
  /// (compiles_natively()); program i answers in bit i. Throws Error if there is no memory for code.
  BatchEngine(EngineKind kind, std::span<const Program> programs);
  ~BatchEngine() override;

  void match(std::span<const Frame> frames, std::span<std::uint64_t> match_sets) const noexcept override;

  void match_ahead(std::span<const Frame> frames, std::span<std::uint64_t> match_sets,
                   std::span<const Frame> next) const noexcept override;

  NativeCode native_code() const noexcept override;

 private:
  /// `frames`: not a multiple of the lanes.
  void match_padded(std::span<const Frame> frames, std::span<std::uint64_t> match_sets) const noexcept;

  /// `frames`: a multiple of the lanes, at least one. `next`: batch_size frames to come, or null. All arguments are in
  /// registers: a span on the stack is written in halves and read whole, for which the CPU waits.
  void match_groups(std::span<const Frame> frames, std::uint64_t* match_sets, const Frame* next) const noexcept;

  const OneFrameCode one_frame_;         // for frames that lanes cannot decide
  std::optional<ScalarEngine> instead_;  // if they can decide nothing
  std::unique_ptr<const jit::Code> code_;
  std::uint64_t lanes_;
  std::vector<std::uint64_t> bits_;  // by program
  jit::SingleFunction single_ = nullptr;
  jit::BatchFunction several_ = nullptr;
};

}  // namespace ixcap::filter

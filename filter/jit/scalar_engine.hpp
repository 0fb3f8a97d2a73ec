#pragma once

/// Native code for one frame after the other, on any x86-64.
///
/// Each program becomes leaf code of its own. Where that is cheaper than a mispredicted branch, it looks at all of the
/// fields that the program may ask for and lets conditional moves decide; such code takes it for granted that the frame
/// has all those bytes, and a cold copy with every check handles frames that are too short.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include <ixcap/driver/frame.hpp>
#include <ixcap/filter/engine.hpp>
#include <ixcap/filter/program.hpp>

namespace ixcap::filter {

namespace jit {
struct Code;
}

/// Whether there is native code for the program: hardly any is too complicated (graph_builder.hpp).
bool compiles_natively(const Program& program);

/// The scalar code as a function of one frame.
class OneFrameCode {
 public:
  /// As ScalarEngine.
  explicit OneFrameCode(std::span<const Program> programs);
  ~OneFrameCode();

  /// The match set of one frame. Any number of threads may call this at once.
  std::uint64_t match(const Frame& frame) const noexcept { return entry_(&frame); }

 private:
  std::unique_ptr<const jit::Code> code_;
  std::uint64_t (*entry_)(const Frame*) noexcept;
};

/// The scalar code in a loop over a batch.
class ScalarEngine final : public Engine {
 public:
  /// `programs`: at most most_filters, each one that compiles; program i answers in bit i. Throws Error if there is no
  /// memory for code.
  explicit ScalarEngine(std::span<const Program> programs);
  ~ScalarEngine() override;

  void match(std::span<const Frame> frames, std::span<std::uint64_t> match_sets) const noexcept override;

  NativeCode native_code() const noexcept override;

 private:
  std::unique_ptr<const jit::Code> code_;
  std::optional<std::uint64_t> constant_;  // the answer, if it is the same for all frames
  void (*entry_)(const Frame*, std::uint64_t, std::uint64_t*) noexcept;
};

}  // namespace ixcap::filter

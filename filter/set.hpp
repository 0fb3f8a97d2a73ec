#pragma once

/// A set of filters: packet filter and packet classifier in one, what capture asks about every batch of frames.
///
/// The answer for a frame is a 64-bit match set: bit i = filter i matched, so 0 = nobody wants the frame. How many
/// bytes a program asks to keep (its return value) plays no part; how much of a frame is captured is the capture's
/// business.
///
/// A Set without filters matches every frame, with match set 1: bit 0 then stands for the whole capture, and whoever
/// reads match sets needs no special case for "no filter given".
///
/// Threads: any number may call match() at once. A Set never changes; copies share its translated programs. The flow
/// sets joined to its filters do change, under their own rules (flow_set.hpp).

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include <ixcap/driver/error.hpp>
#include <ixcap/driver/frame.hpp>
#include <ixcap/filter/engine.hpp>
#include <ixcap/filter/flow_set.hpp>
#include <ixcap/filter/program.hpp>

namespace ixcap::filter {

/// How a frame's key is read.
enum class KeyFrom : std::uint8_t {
  packet,  ///< frame_key(): also behind VLAN tags; IP only
  host,    ///< host_key(): as pcap-filter(7)'s `host`, addresses only
};

/// How a flow set decides about a frame that the program lets through.
struct FlowJoin {
  FlowSide side = FlowSide::either;  ///< for a set of addresses: which are looked up
  bool inside = true;                ///< false: the frame matches if it is *not* in the set, or has no such key
  KeyFrom key = KeyFrom::packet;
};

/// A program, and optionally a flow set that has to agree: `program and in set`, or `program and not in set`.
struct Filter {
  Program program;
  std::shared_ptr<const FlowSet> flows = nullptr;  ///< null: the program decides alone
  FlowJoin join = {};
};

/// Makes the engine of a set; may throw Error.
using EngineMaker = std::function<std::unique_ptr<const Engine>(std::span<const Program>)>;

/// The fastest engine there is (engines.hpp, best_engine).
std::unique_ptr<const Engine> make_best_engine(std::span<const Program> programs);

class Set {
 public:
  /// No filters: matches every frame.
  Set() = default;

  /// Filter i is programs[i]; nothing of `programs` is kept. Throws Error if there are more than most_filters, and what
  /// the engine throws.
  explicit Set(std::span<const Program> programs);

  /// Filter i is filters[i], whose flow set is shared, not copied. Throws as the above, and for a set of flows whose
  /// keys are to be read KeyFrom::host. `make_engine` is called unless
  /// every program is a single return, which needs no engine.
  explicit Set(std::span<const Filter> filters, const EngineMaker& make_engine = make_best_engine);

  /// Filters in the set.
  std::size_t size() const noexcept { return size_; }

  /// Writes match_sets[f] for every frame f. `frames`: at most batch_size; `match_sets`: at least as many. Frames are
  /// only read, and needed until the call returns. Flows are looked up for frames that the program has let through.
  void match(std::span<const Frame> frames, std::span<std::uint64_t> match_sets) const noexcept;

 private:
  struct Join {
    std::uint64_t bit;
    std::shared_ptr<const FlowSet> flows;
    FlowJoin how;
  };

  void set_engine(std::span<const Program> programs, const EngineMaker& make_engine);
  void join_flows(std::span<const Frame> frames, std::span<std::uint64_t> match_sets, KeyFrom key,
                  std::uint64_t bits) const noexcept;

  std::size_t size_ = 0;
  std::uint64_t constant_ = 1;            // without an engine: every frame's match set, but for the joins
  std::shared_ptr<const Engine> engine_;  // null: no program looks at the frame
  std::vector<Join> joins_;
  std::uint64_t joined_by_packet_ = 0;  // bits of filters with a flow set, by how the key is read
  std::uint64_t joined_by_host_ = 0;
};

}  // namespace ixcap::filter

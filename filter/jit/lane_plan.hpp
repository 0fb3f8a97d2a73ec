#pragma once

/// What the batch compiler loads and tests for several frames at once, one a vector lane. Not part of the library's
/// interface.
///
/// All fields that the tests look at are cut out of a few windows of 16 bytes, which every frame has at the same place:
/// that is what makes them cheap to transpose into lanes. So fields behind an IPv4 header are planned for headers of 20
/// bytes, with an assumption to be checked, and what has no place of its own in a window (far offsets, computed ones,
/// divisions) is left to scalar code for the frames that get there.

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include <ixcap/filter/graph.hpp>

namespace ixcap::filter::jit {

/// Bytes of a window, and of one of its parts: a vector lane.
inline constexpr std::uint32_t window_size = 16;
inline constexpr std::uint32_t word_size = 4;

/// Windows end within this many bytes from a frame's start: two cache lines. What lies farther is only looked at in
/// frames that get there.
inline constexpr std::uint32_t longest_reach = 128;

/// The length of an IPv4 header without options.
inline constexpr std::uint32_t assumed_header_length = 20;

/// Vector registers that a value may take to compute.
inline constexpr unsigned value_registers = 6;

/// Frames at least this long are common (64 bytes with FCS), so windows may as well end here.
inline constexpr std::uint32_t shortest_common_frame = 60;

struct Window {
  std::uint32_t offset;
  std::array<bool, window_size / word_size> used;  ///< which of its words are looked at

  /// Of a single word: whether it may be loaded from different places before it, to lie in its lane at once; of 4 lanes
  /// or of 8 (AVX2).
  unsigned blended_lanes = 0;

  unsigned words() const noexcept { return static_cast<unsigned>(std::ranges::count(used, true)); }
  std::uint32_t first_word() const noexcept {
    return offset + word_size * static_cast<std::uint32_t>(std::ranges::find(used, true) - used.begin());
  }
};

/// How the batch compiler handles a test.
struct LaneTest {
  bool in_lanes = false;               ///< false: the frames that get there are left to scalar code
  std::vector<ValueId> assumed_bases;  ///< bases that the test takes to be assumed_header_length
};

class LanePlan {
 public:
  explicit LanePlan(const Graph& graph);

  /// The nodes of all programs, ascending.
  const std::vector<NodeId>& nodes() const noexcept { return nodes_; }
  const std::map<TestId, LaneTest>& tests() const noexcept { return tests_; }

  /// Bases that some test makes an assumption about.
  const std::vector<ValueId>& assumed_bases() const noexcept { return assumed_bases_; }

  const std::vector<Window>& windows() const noexcept { return windows_; }

  /// The bytes from a frame's start that windows reach over.
  std::uint32_t reach() const noexcept { return reach_; }

  /// The offset of the window's word that holds these bytes.
  std::uint32_t word_with(std::uint32_t offset, unsigned width) const;

  /// Where a field or load is under the assumption; nothing if it cannot be in a window.
  std::optional<std::uint32_t> assumed_offset(ValueId base, std::uint32_t offset, unsigned width) const;

  /// The words that are needed after all windows have been seen: by comparisons of values.
  const std::vector<std::uint32_t>& kept_words() const noexcept { return kept_words_; }
  bool uses_wire_length() const noexcept { return uses_wire_length_; }

 private:
  struct Bytes {
    std::uint32_t offset;
    unsigned width;
  };

  LaneTest examine(const Test& test);
  unsigned registers_for(ValueId id) const;
  bool examine(ValueId id, std::vector<Bytes>& loads, LaneTest& result);
  void assume(ValueId base, LaneTest& result);
  void choose_words();
  void choose_windows();
  void choose_blends();

  const Graph& graph_;
  std::vector<NodeId> nodes_;
  std::map<TestId, LaneTest> tests_;
  std::vector<ValueId> assumed_bases_;
  std::vector<Bytes> wanted_;
  std::vector<Bytes> wanted_later_;
  std::vector<std::uint32_t> words_;
  std::vector<std::uint32_t> kept_words_;
  std::vector<Window> windows_;
  std::uint32_t reach_ = 0;
  bool uses_wire_length_ = false;
};

}  // namespace ixcap::filter::jit

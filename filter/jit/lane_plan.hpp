#pragma once

/// What the batch compiler loads and tests for several frames at once, one a vector lane. Not part of the library's
/// interface.
///
/// All fields that the tests look at are words of a few windows, which every frame has at the same place: that is what
/// makes them cheap to transpose into lanes, four words at a time. So fields behind an IPv4 header are planned for
/// headers of 20 bytes, with an assumption to be checked, and what has no place of its own in a window (far offsets,
/// computed ones, divisions) is left to scalar code for the frames that get there.

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include <ixcap/filter/graph.hpp>

namespace ixcap::filter::jit {

/// Bytes of a word: a vector lane.
inline constexpr std::uint32_t word_size = 4;

/// Words that a window has at most.
inline constexpr std::uint32_t window_words = 4;

/// How the words of windows lie.
enum class WindowKind : std::uint8_t {
  block,      ///< in 16 bytes, one behind the other
  picked_32,  ///< in 32 bytes, from which they are picked as they are loaded; an even number of bytes apart
  picked_64,  ///< the same in 64 bytes
};

inline constexpr std::uint32_t block_size = window_words * word_size;

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
  std::uint32_t offset;                                           ///< of its first byte
  std::uint32_t size;                                             ///< block_size, or what words are picked from
  std::array<std::optional<std::uint32_t>, window_words> places;  ///< the offsets of the words that are looked at

  /// Of a single word: whether it may be loaded from different places before it, to lie in its lane at once; of 4 lanes
  /// or of 8 (AVX2).
  unsigned blended_lanes = 0;

  bool is_block() const noexcept { return size == block_size; }
  unsigned words() const noexcept {
    return static_cast<unsigned>(std::ranges::count_if(places, [](const auto& word) { return word.has_value(); }));
  }
  std::uint32_t first_word() const noexcept {
    return **std::ranges::find_if(places, [](const auto& word) { return word.has_value(); });
  }
};

/// How the batch compiler handles a test.
struct LaneTest {
  bool in_lanes = false;               ///< false: the frames that get there are left to scalar code
  std::vector<ValueId> assumed_bases;  ///< bases that the test takes to be assumed_header_length
};

class LanePlan {
 public:
  LanePlan(const Graph& graph, WindowKind kind);

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
  void choose_blocks();
  void choose_picked(std::uint32_t size);
  static Window block_of(std::span<const std::uint32_t> words);
  void choose_blends();

  const Graph& graph_;
  const WindowKind kind_;
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

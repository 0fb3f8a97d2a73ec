#pragma once

/// What the native engines make of programs before they write code, in words: `ixcap filter --explain`.
///
/// Threads: any.

#include <span>
#include <string>

#include <ixcap/filter/program.hpp>

namespace ixcap::filter {

/// The intermediate form of these programs together, as text. First as the scalar engine compiles it:
///
///     scalar, one frame at a time: fields of up to 8 bytes
///       program 0: node 1; without branches if length >= 14
///       node 1: length >= 14    <- (000)  ? node 2 : reject
///       node 2: [12:2] = 0x800  <- (001)  ? accept : reject
///
/// Nodes are numbered from the roots down, and nodes that programs share are there once. Behind `<-` are the
/// instructions that asked for the test; with several programs `(2:001)` is instruction 1 of program 2. Then as the
/// batch engines compile it: its nodes, if they differ, the windows of bytes that all frames are asked for, and which
/// tests are left to the scalar code.
///
/// `programs`: at most most_filters. Throws Error if there is no memory for native code.
std::string explain(std::span<const Program> programs);

}  // namespace ixcap::filter

#pragma once

/// DPDK's BPF JIT (librte_bpf) as a contender. Built from dpdk.cpp, or from no_dpdk.cpp where DPDK is not installed.

#include <memory>
#include <string>

#include <ixcap/filter/engine.hpp>
#include <ixcap/filter/program.hpp>

namespace ixcap::bench {

bool has_dpdk();

/// One line for the head of the output: which version, or how to get it.
std::string about_dpdk();

/// One frame after the other through the native code. One thread at a time may use it. Throws Error if DPDK does not
/// start, or refuses the program.
std::unique_ptr<const filter::Engine> make_dpdk(const filter::Program& program);

/// The same loop around a function that does nothing.
std::unique_ptr<const filter::Engine> make_empty_dpdk();

}  // namespace ixcap::bench

#pragma once

/// Waiting for what a command under way brings about.

#include <gtest/gtest.h>

#include <thread>

#include "tests/process.hpp"

namespace ixcap::test {

/// Waits until `condition` holds, or `process` ends, which fails the test.
template <typename Condition>
void wait_until(const Process& process, Condition condition) {
  while (!condition()) {
    ASSERT_TRUE(process.running()) << process.err();
    std::this_thread::yield();
  }
}

}  // namespace ixcap::test

// A shared capture: other processes get every frame, can harm nothing, and are released when they die.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <chrono>
#include <set>
#include <thread>
#include <vector>

#include <ixcap/capture/attach.hpp>
#include <ixcap/capture/share.hpp>
#include <ixcap/driver/emulator/traffic.hpp>
#include <ixcap/driver/error.hpp>
#include <ixcap/filter/expression.hpp>

#include "tests/files.hpp"

namespace ixcap::capture {
namespace {

using testing::HasSubstr;

constexpr std::chrono::milliseconds for_ever{-1};

bool append(RingProducer& producer, std::uint64_t number) {
  std::uint8_t bytes[60] = {};
  return producer.append({bytes, sizeof bytes, sizeof bytes}, number, 1, 0, record_time_software);
}

class Shared : public testing::Test {
 protected:
  test::TemporaryFolder folder;
  const std::string name = folder.file("capture.sock");
  RingMemory memory{{.size_bytes = RingMemory::smallest_size_bytes}};
  RingProducer producer{memory};
  std::optional<Share> share{std::in_place, name,
                             pcapng::InterfaceDescription{.name = "a test", .filter = "tcp", .snaplen = 9000},
                             std::vector{&memory}};

  /// Appends, with room made by readers in other processes only.
  void append_all(std::uint64_t from, std::uint64_t to) {
    for (std::uint64_t i = from; i < to; ++i) {
      while (!append(producer, i)) std::this_thread::yield();
    }
    producer.publish();
  }
};

std::vector<std::uint64_t> read_to_end(Attachment& capture) {
  std::vector<std::uint64_t> numbers;
  while (capture.state() == RingState::open) {
    while (const Record* record = capture.next()) numbers.push_back(record->timestamp_ns);
    capture.release();
    capture.wait(for_ever);
  }
  return numbers;
}

TEST_F(Shared, ReadersGetEveryFrameAndTheDescription) {
  Attachment capture({.name = name});
  EXPECT_EQ(capture.description().name, "a test");
  EXPECT_EQ(capture.description().filter, "tcp");
  EXPECT_EQ(capture.description().snaplen, 9000u);
  EXPECT_EQ(share->readers(), 1u);
  std::thread writing([&] {
    append_all(0, 5000);
    producer.close();
  });
  const std::vector<std::uint64_t> numbers = read_to_end(capture);
  writing.join();
  ASSERT_EQ(numbers.size(), 5000u);
  for (std::uint64_t i = 0; i < numbers.size(); ++i) ASSERT_EQ(numbers[i], i);
  EXPECT_EQ(capture.state(), RingState::ended);
  EXPECT_FALSE(capture.died());
  EXPECT_EQ(capture.received(), 5000u);
}

TEST_F(Shared, WhatWasPublishedCanBeReadWhenTheCaptureIsGone) {
  Attachment capture({.name = name});
  append_all(0, 10);
  share.reset();
  EXPECT_EQ(read_to_end(capture).size(), 10u);
  EXPECT_TRUE(capture.died()) << "the ring was not closed";
}

/// Forks a reader that reads `records`, tells so, and then does nothing until it is killed.
pid_t fork_reader(const std::string& name, unsigned records) {
  int told[2];
  if (pipe(told) != 0) return -1;
  const pid_t child = fork();
  if (child == 0) {
    Attachment capture({.name = name});
    char joined = 'j';
    if (write(told[1], &joined, 1) != 1) _exit(1);
    for (unsigned read = 0; read < records;) {
      while (read < records && capture.next() != nullptr) ++read;
      capture.release();
      if (read < records) capture.wait(for_ever);
    }
    while (true) pause();
  }
  char byte = 0;
  EXPECT_EQ(read(told[0], &byte, 1), 1);
  close(told[0]);
  close(told[1]);
  return child;
}

TEST_F(Shared, AKilledReaderIsReleased) {
  const pid_t child = fork_reader(name, 1);
  std::uint64_t written = 0;
  while (append(producer, written)) ++written;
  EXPECT_GT(written, 500u);
  EXPECT_FALSE(append(producer, written)) << "it is lossless, and does not read";
  kill(child, SIGKILL);
  while (!append(producer, written)) std::this_thread::yield();  // for ever, if it is not released
  waitpid(child, nullptr, 0);
  EXPECT_EQ(memory.readers(), 0u);
}

TEST_F(Shared, AStalledReaderCanBeReleased) {
  Attachment capture({.name = name});
  std::uint64_t written = 0;
  while (append(producer, written)) ++written;
  share->disconnect();
  EXPECT_TRUE(append(producer, written));
  EXPECT_EQ(share->readers(), 0u);
}

TEST_F(Shared, BreakloopWakesASleeper) {
  Attachment capture({.name = name});
  std::thread breaking([&] { capture.breakloop(); });
  EXPECT_FALSE(capture.wait(for_ever));
  breaking.join();
  EXPECT_EQ(capture.state(), RingState::open);
}

TEST_F(Shared, TheSocketBelongsToItsOwnerAndGoesWithTheShare) {
  struct stat status = {};
  ASSERT_EQ(stat(name.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  EXPECT_THROW(Share(name, {}, {&memory}), Error) << "somebody listens there";
  share.reset();
  EXPECT_NE(stat(name.c_str(), &status), 0);
  try {
    const Attachment capture({.name = name});
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("ixcap capture --share"));
  }
}

TEST_F(Shared, NamesBecomePaths) {
  EXPECT_EQ(share_path("./x"), "./x");
  EXPECT_THAT(share_path("x"), testing::EndsWith("/x.sock"));
  EXPECT_THROW(share_path(""), Error);
  EXPECT_THROW(share_path(std::string(200, 'x')), Error);
}

TEST_F(Shared, StrangersAreShownTheDoor) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  name.copy(address.sun_path, sizeof address.sun_path - 1);
  const auto converse = [&](const void* bytes, std::size_t size) {
    const pci::FileDescriptor socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    EXPECT_EQ(connect(socket.number(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(send(socket.number(), bytes, size, 0), static_cast<ssize_t>(size));
    ShareAnswer answer = {};
    EXPECT_EQ(recv(socket.number(), &answer, sizeof answer, 0), static_cast<ssize_t>(sizeof answer));
    char byte;
    EXPECT_EQ(recv(socket.number(), &byte, 1, 0), 0) << "and that is the end";
    return static_cast<ShareStatus>(answer.status);
  };
  EXPECT_EQ(converse("hello", 5), ShareStatus::malformed);
  ShareRequest request = {share_magic, share_version, 0, 1, {}};
  request.version = 99;
  EXPECT_EQ(converse(&request, sizeof request), ShareStatus::other_version);
  request.version = share_version;
  request.policy = 7;
  EXPECT_EQ(converse(&request, sizeof request), ShareStatus::malformed);
  EXPECT_EQ(share->readers(), 0u);
}

TEST_F(Shared, SeveralRingsAreReadAsOneCapture) {
  RingMemory second({.size_bytes = RingMemory::smallest_size_bytes});
  RingProducer second_producer(second);
  const std::string both = folder.file("both.sock");
  const Share share_both(both, {}, {&memory, &second});
  Attachment capture({.name = both});
  append_all(0, 100);
  for (std::uint64_t i = 100; i < 200; ++i) ASSERT_TRUE(append(second_producer, i));
  producer.close();
  second_producer.close();
  const std::vector<std::uint64_t> numbers = read_to_end(capture);
  EXPECT_EQ(std::set<std::uint64_t>(numbers.begin(), numbers.end()).size(), 200u);
  EXPECT_EQ(numbers.size(), 200u);
}

TEST_F(Shared, SeveralRingsAreReadInTheOrderOfTheirTimes) {
  RingMemory second({.size_bytes = RingMemory::smallest_size_bytes});
  RingProducer second_producer(second);
  const std::string both = folder.file("both.sock");
  std::optional<Share> share_both(std::in_place, both, pcapng::InterfaceDescription{}, std::vector{&memory, &second});
  Attachment capture({.name = both});
  constexpr std::uint64_t records = 5000;
  std::thread writing([&] {
    for (std::uint64_t time = 1; time <= records; ++time) {
      while (!append(time % 3 == 0 ? second_producer : producer, time)) std::this_thread::yield();
      for (RingProducer* queue : {&producer, &second_producer}) {
        queue->publish();
        queue->set_quiet_until_ns(time);
      }
    }
    share_both.reset();  // without a word, as if it was killed
  });
  std::uint64_t expected = 0;
  for (const Record& packet : capture.packets()) ASSERT_EQ(packet.timestamp_ns, ++expected);
  writing.join();
  EXPECT_EQ(expected, records) << "also those that waited for the other ring";
  EXPECT_TRUE(capture.died());
}

/// Frames of the traffic mix through the ring.
void append_traffic(RingProducer& producer, const std::string& traffic) {
  const auto source = emulator::open_traffic(emulator::parse_traffic(traffic));
  for (std::uint64_t number = 0; const emulator::WireFrame* frame = source->next(); ++number) {
    while (!producer.append({frame->bytes, frame->captured_length, frame->wire_length}, number, 1, 0, 0))
      std::this_thread::yield();
  }
  producer.close();
}

TEST_F(Shared, AnExpressionRunsInTheReader) {
  Attachment everything({.name = name});
  Attachment dns({.name = name, .expression = "udp port 53"});
  EXPECT_THROW(Attachment({.name = name, .expression = "tcp prot 80"}), filter::ExpressionError);
  std::thread writing([&] { append_traffic(producer, "mix?count=3000&seed=2"); });
  std::vector<std::uint64_t> of_all;
  std::thread reading([&] { of_all = read_to_end(everything); });
  const std::vector<std::uint64_t> of_dns = read_to_end(dns);
  writing.join();
  reading.join();
  EXPECT_EQ(of_all.size(), 3000u);
  EXPECT_EQ(dns.received(), 3000u);
  EXPECT_GT(of_dns.size(), 100u);
  EXPECT_LT(of_dns.size(), 1500u);
}

TEST_F(Shared, PartsOfTheFlowsAreDisjointAndComplete) {
  Attachment first({.name = name, .part = 0, .parts = 2});
  Attachment second({.name = name, .part = 1, .parts = 2});
  EXPECT_THROW(Attachment({.name = name, .part = 2, .parts = 2}), Error);
  std::thread writing([&] { append_traffic(producer, "mix?count=3000&seed=2"); });
  std::vector<std::uint64_t> of_first;
  std::thread reading([&] { of_first = read_to_end(first); });
  std::vector<std::uint64_t> all = read_to_end(second);
  writing.join();
  reading.join();
  EXPECT_GT(of_first.size(), 500u);
  EXPECT_GT(all.size(), 500u);
  EXPECT_TRUE(std::ranges::is_sorted(of_first) && std::ranges::is_sorted(all));
  all.insert(all.end(), of_first.begin(), of_first.end());
  std::ranges::sort(all);
  ASSERT_EQ(all.size(), 3000u);
  for (std::uint64_t i = 0; i < all.size(); ++i) ASSERT_EQ(all[i], i);
}

TEST(FlowHash, IsTheSameForBothDirections) {
  std::array<std::uint8_t, 60> there = {};
  there[12] = 8;
  there[14] = 0x45;
  there[23] = 6;
  const std::uint8_t ends[] = {10, 0, 0, 1, 10, 0, 0, 2};
  std::ranges::copy(ends, there.begin() + 26);
  const std::uint8_t ports[] = {0x12, 0x34, 0, 80};
  std::ranges::copy(ports, there.begin() + 34);
  std::array<std::uint8_t, 60> back = there;
  std::rotate(back.begin() + 26, back.begin() + 30, back.begin() + 34);
  std::rotate(back.begin() + 34, back.begin() + 36, back.begin() + 38);
  const auto hash = [](const std::array<std::uint8_t, 60>& bytes) {
    return symmetric_flow_hash({bytes.data(), 60, 60});
  };
  EXPECT_EQ(hash(there), hash(back));
  EXPECT_NE(hash(there), 0u);
  back[37] ^= 1;
  EXPECT_NE(hash(there), hash(back));
  there[12] = 9;
  EXPECT_EQ(hash(there), 0u) << "no addresses";
}

}  // namespace
}  // namespace ixcap::capture

// A journal is read back as it was written, whole or not at all: whatever is cut off, changed or made up is refused.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <random>

#include <ixcap/driver/error.hpp>
#include <ixcap/driver/pci/journal.hpp>

#include "tests/files.hpp"

namespace ixcap::pci {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Journal sample() {
  return {.boot_id = "5c6fe2f1-90f1-4ad4-9ff8-b1a4e1a0f6a3",
          .holder = Holder{4711, 88123456},
          .functions = {{.address = "0000:03:00.0",
                         .driver = "ixgbe",
                         .driver_override = "ixgbe",
                         .network = NetworkState{.name = "enp3s0f0",
                                                 .mtu = 9000,
                                                 .mac = "a0:36:9f:00:00:01",
                                                 .up = true,
                                                 .addresses = {"192.0.2.2/24", "2001:db8::2/64"}}},
                        {.address = "0000:03:00.1", .driver = "", .driver_override = "", .network = {}}}};
}

std::string refusal(const std::string& text) {
  try {
    parse_journal(text, "/x/0000:03:00.0.journal");
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(Journal, IsReadBackAsItWasWritten) {
  EXPECT_EQ(parse_journal(sample().to_string(), ""), sample());
  Journal plain = sample();
  plain.holder.reset();
  plain.functions[0].network->addresses.clear();
  EXPECT_EQ(parse_journal(plain.to_string(), ""), plain);
}

TEST(Journal, HalfOfItIsRefused) {
  const std::string text = sample().to_string();
  for (std::size_t length = 0; length < text.size(); ++length) {
    EXPECT_NE(refusal(text.substr(0, length)), "") << text.substr(0, length);
  }
  EXPECT_NE(refusal(text + "more\n"), "");
  EXPECT_NE(refusal(text + text), "");
}

TEST(Journal, GarbageIsRefusedWithTheLineAndAWayOn) {
  EXPECT_EQ(refusal("ixcap journal 1\nboot x\nfunction 0000:03:00.0\ndriver a/b\nend\n"),
            "cannot read the journal '/x/0000:03:00.0.journal': line 4 is not what ixcap writes; without it the kernel "
            "chooses the driver, and the rest is lost: rm /x/0000:03:00.0.journal && ixcap unbind 0000:03:00.0");
  const std::string head = "ixcap journal 1\nboot x\nfunction 0000:03:00.0\n";
  for (const char* line : {"driver ..",
                           "driver a b",
                           "driver ",
                           "override a/../b",
                           "mtu 1500",
                           "up yes",
                           "function 0000:03:00.0",
                           "function 03:00.1",
                           "function ../x",
                           "holder 1 2",
                           "network a/b",
                           "network sixteen_letters_",
                           "network x\nmtu 0",
                           "network x\nmtu 65537",
                           "network x\nmtu -1",
                           "network x\nmac 1",
                           "network x\nmac A0:36:9F:00:00:01",
                           "network x\nup maybe",
                           "network x\naddress 1.2.3.4",
                           "network x\naddress 1.2.3.4/200",
                           "network x\naddress ;/1",
                           "unknown x",
                           "",
                           "\x01"}) {
    EXPECT_THAT(refusal(head + line + "\nend\n"), HasSubstr("is not what ixcap writes")) << line;
  }
  EXPECT_EQ(refusal(head + "end\n"), "");
  EXPECT_NE(refusal("ixcap journal 2\nboot x\nfunction 0000:03:00.0\nend\n"), "");
  EXPECT_NE(refusal("ixcap journal 1\nboot x\nend\n"), "");
}

TEST(Journal, RandomChangesAreRefusedOrHarmless) {
  constexpr unsigned seed = 5;
  std::mt19937 random(seed);
  RecordProperty("seed", static_cast<int>(seed));
  const std::string text = sample().to_string();
  for (unsigned round = 0; round < 20'000; ++round) {
    std::string changed = text;
    for (std::size_t i = random() % 3; i < 3; ++i) changed[random() % changed.size()] = static_cast<char>(random());
    try {
      const Journal journal = parse_journal(changed, "");
      EXPECT_EQ(parse_journal(journal.to_string(), ""), journal);  // what is taken is well-formed
    } catch (const Error&) {
      continue;
    }
  }
}

class JournalFolderTest : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder.path()); }
  void put(const std::string& name, const std::string& text) { std::ofstream(folder.path() + "/" + name) << text; }

  test::TemporaryFolder scratch;
  JournalFolder folder{scratch.file("state")};
};

TEST_F(JournalFolderTest, FindsAJournalByEachOfItsFunctions) {
  EXPECT_EQ(folder.read("0000:03:00.0"), std::nullopt);
  folder.write(sample());
  EXPECT_EQ(folder.read("0000:03:00.0"), sample());
  EXPECT_EQ(folder.read("0000:03:00.1"), sample());
  EXPECT_EQ(folder.read("0000:03:00.2"), std::nullopt);
  EXPECT_THAT(folder.addresses(), ElementsAre("0000:03:00.0", "0000:03:00.1"));
  folder.remove("0000:03:00.1");
  EXPECT_EQ(folder.read("0000:03:00.0"), std::nullopt);
  EXPECT_NO_THROW(folder.remove("0000:03:00.0"));
}

TEST_F(JournalFolderTest, ANewOneTakesThePlaceOfOlderOnes) {
  Journal second = sample();
  second.functions.erase(second.functions.begin());
  folder.write(second);
  folder.write(sample());
  EXPECT_EQ(folder.read("0000:03:00.1"), sample());
  EXPECT_THAT(folder.addresses(), ElementsAre("0000:03:00.0", "0000:03:00.1"));
}

TEST_F(JournalFolderTest, OneThatCouldNotBeReadAgainIsNotWritten) {
  Journal journal = sample();
  journal.functions[0].network->name = "a b";
  EXPECT_THROW(folder.write(journal), Error);
  EXPECT_THAT(folder.addresses(), IsEmpty());
}

TEST_F(JournalFolderTest, ADamagedOneSpeaksForItsCardOnly) {
  put("0000:04:00.0.journal", "garbage");
  folder.write(sample());
  EXPECT_EQ(folder.read("0000:03:00.0"), sample());
  EXPECT_THROW(folder.read("0000:04:00.0"), Error);
  EXPECT_THAT(folder.damaged(), ElementsAre(folder.path() + "/0000:04:00.0.journal"));
  put("0000:05:00.0.journal", "ixcap journal 1\nboot x\nfunction 0000:06:00.0\nend\n");
  EXPECT_THROW(folder.read("0000:05:00.0"), Error);
}

TEST_F(JournalFolderTest, WhatIsHalfWrittenIsNoJournal) {
  put("0000:03:00.0.journal.new", "ixcap jour");
  EXPECT_EQ(folder.read("0000:03:00.0"), std::nullopt);
  folder.write(sample());
  EXPECT_EQ(folder.read("0000:03:00.0"), sample());
}

TEST(JournalLockTest, MakesTheFolderForItsOwnerOnly) {
  const test::TemporaryFolder scratch;
  const JournalFolder folder(scratch.file("var/lib/ixcap"));
  const JournalLock lock(folder);
  EXPECT_EQ(std::filesystem::status(folder.path()).permissions() & std::filesystem::perms::others_write,
            std::filesystem::perms::none);
}

TEST(Holder, IsAProcessAndItsStart) {
  const auto self = holder_of(::getpid());
  ASSERT_TRUE(self.has_value());
  EXPECT_GT(self->start_ticks, 0u);
  EXPECT_EQ(holder_of(::getpid()), self);
  EXPECT_EQ(holder_of(0), std::nullopt);
}

TEST(Holder, ItsNameMayHoldAnything) {
  const test::TemporaryFolder folder;
  std::filesystem::create_directories(folder.file("7"));
  std::ofstream(folder.file("7/stat")) << "7 (a) b (c) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 0 0 0\n";
  EXPECT_EQ(holder_of(7, folder.file("")), (Holder{7, 4242}));
  std::ofstream(folder.file("7/stat")) << "7 (a) S 1 7";
  EXPECT_EQ(holder_of(7, folder.file("")), std::nullopt);
}

}  // namespace
}  // namespace ixcap::pci

// A word that the client stores to the shared page is a write to its register, once; nothing else there is believed.

#include <sys/mman.h>
#include <unistd.h>

#include "tests/driver/emulator/vfio_user_session_fixture.hpp"

namespace ixcap::emulator {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

class VfioUserDoorbells : public VfioUserSessionTest {
 protected:
  void SetUp() override {
    VfioUserSessionTest::SetUp();
    const auto info = ask_structure(Command::device_get_region_info, wire::RegionInfo{32, 0, 9, 0, 0, 0});
    ASSERT_EQ(info.size, 4096u);
    ASSERT_EQ(info.flags, wire::region_readable | wire::region_writable | wire::region_mappable);
    file_ = FileDescriptor(::dup(session_->reply_file()));
    void* const memory = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file_.number(), 0);
    ASSERT_NE(memory, MAP_FAILED);
    page_ = static_cast<wire::DoorbellPage*>(memory);
  }
  void TearDown() override {
    VfioUserSessionTest::TearDown();
    page_->slots[0].value = 1;  // still the client's own
    ::munmap(page_, 4096);
  }

  FileDescriptor file_;
  wire::DoorbellPage* page_ = nullptr;
};

TEST_F(VfioUserDoorbells, WriteTheRegisterWhenTheWordChanges) {
  EXPECT_FALSE(session_->doorbells().forward());
  page_->slots[0].offset = 0x18;
  page_->slots[0].value = 5;
  EXPECT_FALSE(session_->doorbells().forward()) << "not in use yet";
  page_->count = 1;
  EXPECT_TRUE(session_->doorbells().forward());
  EXPECT_FALSE(session_->doorbells().forward());
  page_->slots[0].value = 6;
  EXPECT_TRUE(session_->doorbells().forward());
  using Write = MemoryFunction::Write;
  EXPECT_THAT(function_.writes, ElementsAre(Write{0x18, 4, 5}, Write{0x18, 4, 6}));
}

TEST_F(VfioUserDoorbells, TakeMessagesForSeen) {
  page_->slots[0].offset = 0x18;
  page_->count = 1;
  EXPECT_FALSE(session_->doorbells().forward());
  EXPECT_EQ(write(0, 0x18, {3, 0, 0, 0}), 0);
  page_->slots[0].value = 3;
  EXPECT_FALSE(session_->doorbells().forward());
  EXPECT_THAT(function_.writes, SizeIs(1));
}

TEST_F(VfioUserDoorbells, AreNotTrusted) {
  page_->count = 0xffffffff;
  page_->slots[0] = {2, 1};
  page_->slots[1] = {MemoryFunction::bar_bytes, 1};
  page_->slots[2] = {0xfffffffc, 1};
  page_->slots[3] = {MemoryFunction::bar_bytes - 4, 1};
  EXPECT_TRUE(session_->doorbells().forward());
  page_->slots[3] = {MemoryFunction::bar_bytes, 2};
  EXPECT_TRUE(session_->doorbells().forward()) << "the register was taken once";
  using Write = MemoryFunction::Write;
  EXPECT_THAT(function_.writes,
              ElementsAre(Write{MemoryFunction::bar_bytes - 4, 4, 1}, Write{MemoryFunction::bar_bytes - 4, 4, 2}));
  EXPECT_NE(::ftruncate(file_.number(), 0), 0) << "the client cannot take the page away";
}

}  // namespace
}  // namespace ixcap::emulator

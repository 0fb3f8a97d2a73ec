// The ledger says where every frame went, with a remedy for each loss, and admits it when the sum is wrong.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ixcap/capture/drop_ledger.hpp>

namespace ixcap::capture {
namespace {

using testing::HasSubstr;
using testing::Not;

DropLedger every_cause() {
  DropLedger ledger;
  ledger.on_wire = 1023 + 5 + 1024;
  ledger.rejected_by_mac = 1;
  ledger.not_admitted = 2;
  ledger.missed = 4;
  ledger.no_descriptor = {8, 16};
  ledger.malformed = 32;
  ledger.filtered = 64;
  ledger.lost_by_reader = 128;
  ledger.delivered = 256;
  ledger.counted = 5;
  ledger.left_unread = 500;
  ledger.in_descriptors = 12;
  ledger.lost_in_card = 1024;
  return ledger;
}

TEST(DropLedger, BalancesToTheFrame) {
  DropLedger ledger = every_cause();
  EXPECT_TRUE(ledger.balanced());
  EXPECT_THAT(ledger.to_string(), HasSubstr("the sum is right"));
  ++ledger.delivered;
  EXPECT_FALSE(ledger.balanced());
  EXPECT_THAT(ledger.to_string(), HasSubstr("the sum is NOT right"));
  ledger.running = true;
  EXPECT_THAT(ledger.to_string(), HasSubstr("taken while frames came: the sum is off by those\n"));
  EXPECT_THAT(ledger.to_string(), HasSubstr("500  not read yet\n"));
}

TEST(DropLedger, EveryCauseCounts) {
  EXPECT_EQ(every_cause().no_descriptor_total(), 24u);
  EXPECT_EQ(every_cause().lost(), 4u + 24 + 32 + 128 + 1024);
}

TEST(DropLedger, NamesEveryCauseWithItsRemedy) {
  const std::string text = every_cause().to_string();
  for (const char* part :
       {"2052  frames on the wire", "1  rejected by the MAC (CRC", "2  not for this card", "4  missed",
        "8  dropped on queue 0", "16  dropped on queue 1", "-B and --descriptors", "32  malformed",
        "64  rejected by the filter", "128  lost by the reader", "256  delivered", "5  counted", "500  left unread",
        "12  left in descriptors", "1024  lost in the card (it was reset"}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
}

TEST(DropLedger, LeavesOutWhatIsZeroAndKeepsWhatIsUnknown) {
  DropLedger ledger;
  ledger.on_wire = 0;
  ledger.missed = 0;
  EXPECT_THAT(ledger.to_string(), Not(HasSubstr("missed")));
  EXPECT_THAT(ledger.to_string(), HasSubstr("not available  rejected by the MAC"));
}

}  // namespace
}  // namespace ixcap::capture

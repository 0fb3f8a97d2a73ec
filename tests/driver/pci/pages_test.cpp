// DMA memory is there, zeroed, shareable through its memfd, and mapped into the device exactly as long as it lives.

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include <ixcap/driver/emulator/nic.hpp>
#include <ixcap/driver/error.hpp>
#include <ixcap/driver/pci/device.hpp>

namespace ixcap::pci {
namespace {

TEST(Pages, AreZeroedAndRoundedUpToWholePages) {
  const Pages pages(10'000);
  EXPECT_GE(pages.size(), 10'000u);
  EXPECT_EQ(pages.size() % pages.page_bytes(), 0u);
  EXPECT_TRUE(std::all_of(pages.data(), pages.data() + pages.size(), [](std::uint8_t byte) { return byte == 0; }));
}

TEST(Pages, CanBeMappedAgainThroughTheirMemfd) {
  const Pages pages(4096);
  void* again = mmap(nullptr, pages.size(), PROT_READ, MAP_SHARED, pages.memfd(), 0);
  ASSERT_NE(again, MAP_FAILED);
  std::memcpy(pages.data(), "ixcap", 5);
  EXPECT_EQ(std::memcmp(again, "ixcap", 5), 0);
  munmap(again, pages.size());
}

TEST(Pages, CannotBeTakenFromUnderADeviceThatHasMappedThem) {
  const Pages pages(4096);
  EXPECT_NE(ftruncate(pages.memfd(), 0), 0);
  EXPECT_NE(ftruncate(pages.memfd(), static_cast<off_t>(2 * pages.size())), 0);
}

TEST(Pages, RefuseWhatCannotBeHadWithAMend) {
  try {
    const Pages pages(std::size_t{1} << 62);
    FAIL() << "allocated 4 EiB";
  } catch (const Error& error) {
    EXPECT_FALSE(error.mend().empty());
  }
}

TEST(Pages, MoveWithoutUnmapping) {
  Pages first(4096);
  std::uint8_t* const data = first.data();
  const Pages second(std::move(first));
  EXPECT_EQ(second.data(), data);
  data[0] = 1;
}

TEST(DmaMemory, HasAnAddressOfItsOwnOnTheDevice) {
  emulator::Nic nic(nullptr, {}, emulator::Drive::stepped);
  const DmaMemory first(nic, 4096);
  const DmaMemory second(nic, 4096);
  EXPECT_NE(first.io_address(), second.io_address());
  EXPECT_NE(first.io_address(), reinterpret_cast<std::uintptr_t>(first.data()));
}

}  // namespace
}  // namespace ixcap::pci

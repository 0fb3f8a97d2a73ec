#pragma once

/// The software 82599: a pci::Device that behaves like the card, with traffic on its wire. It is a PciFunction too, for
/// a bus that carries it to somebody else's driver.
///
///     driver ──read/write──►  registers ─┐
///            ──doorbells───►  tail words ├─► receive path ──DMA──► the driver's rings and buffers
///     Traffic ─────wire──────────────────┤
///     Wire ◄──────────────────────────── └── transmit path ◄─DMA── the driver's rings and buffers
///
/// Two ways to drive it: `threaded`, a thread of its own plays the wire from construction to destruction, as a card
/// would; `stepped`, nothing moves except in step(), so that a test knows every moment.
///
/// The wire waits while nobody listens (receive disabled, link down), so a capture sees its traffic from the first
/// frame. With Rate::as_fast_as_received the next frame comes when descriptors for it are free; with a real rate frames
/// come in their time and are dropped, counted, when no descriptor is free. If the thread is kept from running, the
/// wire stands still rather than catch up in a burst.
///
/// Faults can be made to happen at any time: set_faults().
///
/// Ownership: owns its traffic. Outlives the driver on it.
/// Threads: as pci::Device and PciFunction; counts(), traffic_ended() and traffic_failure() from any thread; step()
/// from one thread.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include <ixcap/driver/emulator/client_interrupts.hpp>
#include <ixcap/driver/emulator/clock.hpp>
#include <ixcap/driver/emulator/config_space.hpp>
#include <ixcap/driver/emulator/control_plane.hpp>
#include <ixcap/driver/emulator/dma_map.hpp>
#include <ixcap/driver/emulator/fault_spec.hpp>
#include <ixcap/driver/emulator/faults.hpp>
#include <ixcap/driver/emulator/interrupts.hpp>
#include <ixcap/driver/emulator/msix_table.hpp>
#include <ixcap/driver/emulator/pci_function.hpp>
#include <ixcap/driver/emulator/queue_counts.hpp>
#include <ixcap/driver/emulator/receive_path.hpp>
#include <ixcap/driver/emulator/register_file.hpp>
#include <ixcap/driver/emulator/time_stamps.hpp>
#include <ixcap/driver/emulator/traffic.hpp>
#include <ixcap/driver/emulator/transmit_path.hpp>
#include <ixcap/driver/emulator/wire.hpp>
#include <ixcap/driver/pci/device.hpp>

namespace ixcap::emulator {

enum class Drive { threaded, stepped };

class Nic final : public pci::Device, public PciFunction {
 public:
  /// `traffic` may be null: a wire on which nothing comes. `number` tells the cards on one network apart: it is added
  /// to the last byte of the MAC address, 02:00:63:78:99:25.
  Nic(std::unique_ptr<Traffic> traffic, Rate rate, Drive drive, std::uint8_t number = 0);
  ~Nic() override;

  const pci::Identity& identity() const noexcept override { return identity_; }
  std::uint32_t read(std::uint32_t offset) noexcept override;
  void write(std::uint32_t offset, std::uint32_t value) noexcept override;
  pci::Doorbell doorbell(std::uint32_t offset) override;
  void enable_bus_master(bool enable) override;
  std::uint64_t map_dma(const pci::Pages& pages) override;
  void unmap_dma(std::uint64_t io_address, const pci::Pages& pages) noexcept override;
  std::uint32_t interrupt_vectors() const noexcept override { return ConfigSpace::msix_vectors; }
  void enable_interrupts(std::span<const int> eventfds) override;
  void disable_interrupts() noexcept override;

  // PciFunction: nic_pci.cpp. A BAR answers while the command register enables memory space, and reads as all ones
  // otherwise; registers take 32-bit writes only, narrower ones are ignored.
  void read_config(std::uint32_t offset, std::span<std::uint8_t> bytes) noexcept override;
  void write_config(std::uint32_t offset, std::span<const std::uint8_t> bytes) noexcept override;
  std::uint64_t bar_size(unsigned bar) const noexcept override;
  std::uint64_t read_bar(unsigned bar, std::uint64_t offset, unsigned size) noexcept override;
  void write_bar(unsigned bar, std::uint64_t offset, unsigned size, std::uint64_t value) noexcept override;
  std::uint32_t interrupt_vectors(InterruptKind kind) const noexcept override;
  void set_interrupt_sink(InterruptSink* sink) noexcept override;
  bool add_dma_range(std::uint64_t io_address, std::uint64_t size, std::uint8_t* memory, bool readable,
                     bool writable) override;
  bool remove_dma_range(std::uint64_t io_address, std::uint64_t size) noexcept override;
  void reset_function() noexcept override;

  /// Lets at most `frames` frames come over the wire now, whatever the rate says of time; answers how many came. With
  /// Rate::as_fast_as_received it stops where descriptors run out; with a real rate such frames are dropped. Then sends
  /// what the driver has given to the transmit queues.
  std::size_t step(std::size_t frames);

  /// Puts `wire` at the other end of the cable, beside the traffic; nullptr takes it off: what is sent then goes to
  /// nobody. The wire is used no more once this returns.
  void connect(Wire* wire);

  /// Lets time pass for a stepped NIC: interrupts that were throttled go out, and its clock goes on.
  void advance_time(std::uint64_t nanoseconds) noexcept;

  /// Puts another module into the cage of the card, or none. From the start there is a passive copper cable.
  void plug(SfpKind module) noexcept;

  /// Whether somebody is at the other end of the cable; from the start there is.
  void set_carrier(bool carrier) noexcept;

  /// Lets the faults of `spec` happen from now on, instead of those before (fault_spec.hpp). A card that was pulled out
  /// comes back, as after power-on, with a spec that does not pull it out.
  void set_faults(const FaultSpec& spec);
  FaultSpec faults() const;

  /// Whether the card was pulled out: everything reads as all ones, and there is no DMA.
  bool removed() const;

  /// How much faster than the host's clock the card's runs, in parts per billion; above -1e9. Any thread.
  void set_clock_drift(std::int64_t parts_per_billion) noexcept;

  /// The card's clock as it really is now, which a driver sees through SYSTIM. Any thread.
  std::uint64_t system_time() const noexcept;

  /// What the receive latch has held: TimeStamps::latched(). Any thread.
  std::vector<LatchedStamp> latched_stamps() const;

  /// Whether the traffic is over and its last frame is where it will ever be: in memory or in a counter. Acquire order:
  /// the descriptors of all frames are visible.
  bool traffic_ended() const noexcept { return ended_.load(std::memory_order_acquire); }

  /// Why the traffic ended early, if it did.
  std::optional<Error> traffic_failure() const;

  WireCounts counts() const;
  TransmitCounts transmit_counts() const;

  /// What each queue has moved, by its number in the registers.
  std::vector<QueueCounts> receive_queue_counts() const;
  std::vector<QueueCounts> transmit_queue_counts() const;

 private:
  /// HLREG0.LPBK: what is sent is received.
  class Loopback final : public Wire {
   public:
    explicit Loopback(ReceivePath& receive_path) : receive_path_(receive_path) {}
    void send(std::span<const std::uint8_t> frame) noexcept override;
    std::span<const std::uint8_t> receive() noexcept override { return {}; }

   private:
    ReceivePath& receive_path_;
  };

  /// Nobody at the other end.
  class OpenEnd final : public Wire {
   public:
    void send(std::span<const std::uint8_t>) noexcept override {}
    std::span<const std::uint8_t> receive() noexcept override { return {}; }
  };

  void run(const std::stop_token& stop);
  bool may_access_memory() const noexcept;
  bool looped_back() const noexcept;
  bool wire_open() noexcept;
  std::size_t take_from_wire(std::size_t frames, bool open);
  std::size_t transmit() noexcept;
  std::size_t play(std::size_t frames, std::uint64_t until_ps);
  std::size_t play_with_faults(std::size_t frames, std::uint64_t until_ps);
  void receive_with_faults(const WireFrame& arriving);
  void end_play() noexcept;
  bool fetch() noexcept;
  void let_faults_happen() noexcept;
  std::uint64_t frames_until_removal() const noexcept;
  void remove() noexcept;
  std::uint32_t stuck(const ixgbe::Register& reg, std::uint32_t index, std::uint32_t value) const noexcept;
  bool link_up() const noexcept { return control_.link_up(); }
  std::uint32_t read_register(std::uint32_t offset) noexcept;
  void write_register(std::uint32_t offset, std::uint32_t value) noexcept;
  void device_reset() noexcept;
  void power_on_reset() noexcept;
  void update_master_status() noexcept;
  void after_write(const ixgbe::Register& reg, std::uint32_t index, std::uint32_t value) noexcept;

  /// Later than anything that comes over the wire.
  static constexpr std::uint64_t always = ~std::uint64_t{0};

  /// Taken by the driver's control accesses; the wire's thread steps aside between two batches while any wait.
  class ControlLock {
   public:
    explicit ControlLock(const Nic& nic) : nic_(nic) {
      nic_.waiting_.fetch_add(1, std::memory_order_relaxed);  // a hint: the mutex orders everything else
      nic_.mutex_.lock();
    }
    ~ControlLock() {
      nic_.mutex_.unlock();
      nic_.waiting_.fetch_sub(1, std::memory_order_relaxed);
    }
    ControlLock(const ControlLock&) = delete;
    ControlLock& operator=(const ControlLock&) = delete;

   private:
    const Nic& nic_;
  };

  pci::Identity identity_;
  mutable std::mutex mutex_;  ///< guards all below but the atomics
  mutable std::atomic<int> waiting_ = 0;
  RegisterFile registers_;
  ConfigSpace config_;
  MsixTable msix_table_;
  SteadyClock machine_clock_;
  SteppedClock stepped_clock_;
  std::optional<ClientInterrupts> event_counters_;  ///< of the driver in this process, while it has interrupts
  Interrupts interrupts_;
  ControlPlane control_;
  DmaMap dma_;
  TimeStamps stamps_;
  ReceivePath receive_path_;
  TransmitPath transmit_path_;
  Loopback loopback_{receive_path_};
  OpenEnd open_end_;
  Wire* wire_ = &open_end_;
  std::unique_ptr<Traffic> traffic_;
  bool fetch_in_play_ = true;           ///< not from traffic that may wait: the lock would be held all that time
  const WireFrame* on_wire_ = nullptr;  ///< the frame that comes next; used by the wire's side only, as is exhausted_
  bool exhausted_ = false;              ///< the traffic has no frame after on_wire_
  std::uint64_t zero_filled_ = 0;
  std::uint64_t unheard_ = 0;
  Rate rate_;
  std::uint64_t arrival_ps_ = 0;  ///< when on_wire_ arrives, in time since the wire started
  FaultSpec fault_spec_;
  std::unique_ptr<Faults> faults_;  ///< of fault_spec_; nullptr: nothing goes wrong
  std::uint64_t frames_before_faults_ = 0;
  std::uint64_t frames_before_reset_ = 0;  ///< when the card was last reset, or its faults chosen
  std::uint64_t link_flaps_ns_ = 0;        ///< when the link changes next; 0: never
  bool link_flapped_ = false;
  bool carrier_ = true;  ///< but for flaps
  bool removed_ = false;
  std::atomic<bool> ended_ = false;
  std::jthread thread_;  ///< last: stops before anything else goes
};

}  // namespace ixcap::emulator

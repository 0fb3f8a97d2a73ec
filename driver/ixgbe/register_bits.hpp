#pragma once

/// Fields of the registers in registers.hpp, by the data sheet's names: REGISTER_FIELD.
/// A field of several bits has REGISTER_FIELD_SHIFT or a function that builds it.

#include <cstdint>

namespace ixcap::ixgbe {

inline constexpr std::uint32_t CTRL_GIO_DIS = 1u << 2;  ///< no new PCIe requests by the device
inline constexpr std::uint32_t CTRL_LNK_RST = 1u << 3;  ///< self-clearing
inline constexpr std::uint32_t CTRL_RST = 1u << 26;     ///< self-clearing
inline constexpr std::uint32_t STATUS_GIO = 1u << 19;   ///< the device may have PCIe requests under way
inline constexpr std::uint32_t CTRL_EXT_NS_DIS = 1u << 16;
inline constexpr std::uint32_t CTRL_EXT_DRV_LOAD = 1u << 28;
inline constexpr std::uint32_t ESDP_SDP2 = 1u << 2;  ///< input: SFP+ module present
inline constexpr std::uint32_t ESDP_SDP3 = 1u << 3;  ///< output: laser off

inline constexpr std::uint32_t I2CCTL_CLK_IN = 1u << 0;
inline constexpr std::uint32_t I2CCTL_CLK_OUT = 1u << 1;  ///< 0 pulls the line low, 1 lets go of it
inline constexpr std::uint32_t I2CCTL_DATA_IN = 1u << 2;
inline constexpr std::uint32_t I2CCTL_DATA_OUT = 1u << 3;

inline constexpr std::uint32_t EEC_SK = 1u << 0;  ///< pins of the serial EEPROM: clock, select (low), in, out
inline constexpr std::uint32_t EEC_CS = 1u << 1;
inline constexpr std::uint32_t EEC_DI = 1u << 2;
inline constexpr std::uint32_t EEC_DO = 1u << 3;
inline constexpr std::uint32_t EEC_REQ = 1u << 6;
inline constexpr std::uint32_t EEC_GNT = 1u << 7;
inline constexpr std::uint32_t EEC_PRES = 1u << 8;
inline constexpr std::uint32_t EEC_ARD = 1u << 9;  ///< auto-read of the NVM done
inline constexpr std::uint32_t EERD_START = 1u << 0;
inline constexpr std::uint32_t EERD_DONE = 1u << 1;
inline constexpr unsigned EERD_ADDR_SHIFT = 2;
inline constexpr std::uint32_t EERD_ADDR_MASK = 0x3FFF;
inline constexpr unsigned EERD_DATA_SHIFT = 16;  ///< these fields are EEWR's, too
inline constexpr std::uint32_t FLA_FL_REQ = 1u << 4;
inline constexpr std::uint32_t FLA_FL_GNT = 1u << 5;

inline constexpr std::uint32_t GCR_EXT_BUFFERS_CLEAR = 1u << 30;
inline constexpr std::uint32_t SWSM_SMBI = 1u << 0;     ///< read to set: 0 answered means taken
inline constexpr std::uint32_t SWSM_SWESMBI = 1u << 1;  ///< written 1, reads 1 when granted

inline constexpr std::uint32_t FCTRL_SBP = 1u << 1;   ///< store bad packets
inline constexpr std::uint32_t FCTRL_MPE = 1u << 8;   ///< multicast promiscuous
inline constexpr std::uint32_t FCTRL_UPE = 1u << 9;   ///< unicast promiscuous
inline constexpr std::uint32_t FCTRL_BAM = 1u << 10;  ///< accept broadcast
inline constexpr std::uint32_t VLNCTRL_VET_MASK = 0xFFFF;
inline constexpr std::uint32_t VLNCTRL_VFE = 1u << 30;  ///< VLAN filter on
inline constexpr std::uint32_t MCSTCTRL_MO_MASK = 3;    ///< which twelve address bits index MTA
inline constexpr std::uint32_t MCSTCTRL_MFE = 1u << 2;  ///< multicast hash filter on
inline constexpr std::uint32_t RAH_AV = 1u << 31;       ///< address valid
inline constexpr std::uint32_t RFCTL_RSC_DIS = 1u << 5;
inline constexpr std::uint32_t RXCSUM_IPPCSE = 1u << 12;  ///< fragment checksum and IP identification in descriptors
inline constexpr std::uint32_t RXCSUM_PCSD = 1u << 13;    ///< RSS hash in descriptors instead
inline constexpr std::uint32_t PSRTYPE_TCP = 1u << 4;
inline constexpr std::uint32_t PSRTYPE_UDP = 1u << 5;
inline constexpr std::uint32_t PSRTYPE_IPV4 = 1u << 8;
inline constexpr std::uint32_t PSRTYPE_IPV6 = 1u << 9;
inline constexpr std::uint32_t PSRTYPE_L2 = 1u << 12;
inline constexpr std::uint32_t MRQC_MRQE_MASK = 0xF;
inline constexpr std::uint32_t MRQC_MRQE_RSS = 1;
inline constexpr std::uint32_t MRQC_TCP_IPV4 = 1u << 16;
inline constexpr std::uint32_t MRQC_IPV4 = 1u << 17;
inline constexpr std::uint32_t MRQC_IPV6 = 1u << 20;
inline constexpr std::uint32_t MRQC_TCP_IPV6 = 1u << 21;
inline constexpr std::uint32_t MRQC_UDP_IPV4 = 1u << 22;
inline constexpr std::uint32_t MRQC_UDP_IPV6 = 1u << 23;
inline constexpr std::uint32_t ETQF_ETHERTYPE_MASK = 0xFFFF;
inline constexpr std::uint32_t ETQF_EN = 1u << 31;
inline constexpr unsigned ETQS_QUEUE_SHIFT = 16;
inline constexpr std::uint32_t ETQS_QEN = 1u << 31;
inline constexpr std::uint32_t SYNQF_EN = 1u << 0;
inline constexpr unsigned SYNQF_QUEUE_SHIFT = 1;
inline constexpr std::uint32_t SYNQF_PRIORITY = 1u << 31;  ///< before the 5-tuple filters
inline constexpr std::uint32_t FTQF_PROTOCOL_MASK = 3;     ///< 0 TCP, 1 UDP, 2 SCTP, 3 any other
inline constexpr unsigned FTQF_PRIORITY_SHIFT = 2;
inline constexpr std::uint32_t FTQF_PRIORITY_MASK = 7;  ///< 7 goes first
inline constexpr std::uint32_t FTQF_ANY_SOURCE = 1u << 25;
inline constexpr std::uint32_t FTQF_ANY_DESTINATION = 1u << 26;
inline constexpr std::uint32_t FTQF_ANY_SOURCE_PORT = 1u << 27;
inline constexpr std::uint32_t FTQF_ANY_DESTINATION_PORT = 1u << 28;
inline constexpr std::uint32_t FTQF_ANY_PROTOCOL = 1u << 29;
inline constexpr std::uint32_t FTQF_EN = 1u << 31;
inline constexpr unsigned L34TIMIR_QUEUE_SHIFT = 21;
inline constexpr std::uint32_t QUEUE_MASK = 0x7F;  ///< of every field that names one of the 128 queues

inline constexpr std::uint32_t SRRCTL_BSIZEPACKET_MASK = 0x1F;  ///< units of 1 KiB
inline constexpr unsigned SRRCTL_BSIZEHEADER_SHIFT = 8;
inline constexpr std::uint32_t SRRCTL_BSIZEHEADER_MASK = 0x3F;  ///< units of 64 bytes
inline constexpr std::uint32_t SRRCTL_DESCTYPE_MASK = 7u << 25;
inline constexpr std::uint32_t SRRCTL_DESCTYPE_ADVANCED_ONE_BUFFER = 1u << 25;
inline constexpr std::uint32_t SRRCTL_DESCTYPE_LEGACY = 0;
inline constexpr std::uint32_t SRRCTL_DESCTYPE_SPLIT = 2u << 25;         ///< headers to a buffer of their own
inline constexpr std::uint32_t SRRCTL_DESCTYPE_SPLIT_ALWAYS = 5u << 25;  ///< what has no header as well
inline constexpr std::uint32_t SRRCTL_DROP_EN = 1u << 28;
inline constexpr std::uint32_t DCA_RXCTRL_RESERVED_12 = 1u << 12;  ///< non-zero after reset, must be written 0
inline constexpr std::uint32_t RXDCTL_ENABLE = 1u << 25;
inline constexpr std::uint32_t RXDCTL_SWFLSH = 1u << 26;
inline constexpr std::uint32_t RXDCTL_VME = 1u << 30;  ///< strip VLAN tags
inline constexpr std::uint32_t TXDCTL_ENABLE = 1u << 25;
inline constexpr std::uint32_t TXDCTL_SWFLSH = 1u << 26;
inline constexpr std::uint32_t DMATXCTL_TE = 1u << 0;
inline constexpr unsigned DMATXCTL_VT_SHIFT = 16;  ///< ethertype of the VLAN tags that are inserted
inline constexpr std::uint32_t TDWBAL_HEAD_WB_EN = 1u << 0;
inline constexpr std::uint32_t TDWBAL_ADDRESS_MASK = ~3u;
inline constexpr std::uint32_t RXCTRL_RXEN = 1u << 0;
inline constexpr std::uint32_t RDRXCTL_CRCSTRIP = 1u << 1;  ///< must agree with HLREG0.RXCRCSTRP
inline constexpr std::uint32_t RDRXCTL_DMAIDONE = 1u << 3;
inline constexpr std::uint32_t RDRXCTL_RSCFRSTSIZE_MASK = 0x1Fu << 17;
inline constexpr std::uint32_t RXPBSIZE_MASK = 0x3FFu << 10;  ///< bytes, in KiB steps
inline constexpr std::uint32_t SECRXCTRL_RX_DIS = 1u << 1;
inline constexpr std::uint32_t SECRXSTAT_RDY = 1u << 0;

inline constexpr std::uint32_t HLREG0_RXCRCSTRP = 1u << 1;
inline constexpr std::uint32_t HLREG0_JUMBOEN = 1u << 2;
inline constexpr std::uint32_t HLREG0_TXPADEN = 1u << 10;  ///< pad short frames
inline constexpr std::uint32_t HLREG0_LPBK = 1u << 15;
inline constexpr unsigned MAXFRS_MFS_SHIFT = 16;           ///< bytes, FCS included
inline constexpr std::uint32_t FCCFG_TFCE_LINK = 1u << 3;  ///< send pause frames
inline constexpr std::uint32_t FCRTH_FCEN = 1u << 31;
inline constexpr std::uint32_t MFLCN_PMCF = 1u << 0;  ///< pass MAC control frames
inline constexpr std::uint32_t MFLCN_DPF = 1u << 1;   ///< discard pause frames
inline constexpr std::uint32_t AUTOC_FLU = 1u << 0;   ///< force link up
inline constexpr std::uint32_t AUTOC_AN_RESTART = 1u << 12;
inline constexpr unsigned AUTOC_LMS_SHIFT = 13;
inline constexpr std::uint32_t AUTOC_LMS_MASK = 7u << AUTOC_LMS_SHIFT;
inline constexpr std::uint32_t AUTOC_LMS_10G_PARALLEL = 1u << AUTOC_LMS_SHIFT;
inline constexpr std::uint32_t AUTOC_LMS_10G_SERIAL = 3u << AUTOC_LMS_SHIFT;
inline constexpr std::uint32_t AUTOC2_LINK_DISABLE_MASK = 7u << 28;
inline constexpr std::uint32_t ANLP1_AN_STATE_MASK = 0xFu << 16;
inline constexpr unsigned CORECTL_ADDR_SHIFT = 8;
inline constexpr std::uint32_t CORECTL_WRITE_CMD = 1u << 16;
inline constexpr std::uint32_t MSCA_MDI_CMD = 1u << 30;
inline constexpr unsigned MSRWD_READ_DATA_SHIFT = 16;
inline constexpr std::uint32_t LINKS_UP = 1u << 30;
inline constexpr std::uint32_t LINKS_SPEED_MASK = 3u << 28;
inline constexpr std::uint32_t LINKS_SPEED_10G = 3u << 28;
inline constexpr std::uint32_t LINKS_SPEED_1G = 2u << 28;
inline constexpr std::uint32_t LINKS_SPEED_100M = 1u << 28;

inline constexpr std::uint32_t EICR_LSC = 1u << 20;   ///< link status change
inline constexpr std::uint32_t EICR_SDP1 = 1u << 25;  ///< pin SDP1
inline constexpr std::uint32_t EICR_SDP2 = 1u << 26;  ///< pin SDP2: module plugged or unplugged
inline constexpr std::uint32_t EICR_TCP_TIMER = 1u << 30;
inline constexpr std::uint32_t EITR_INTERVAL_MASK = 0xFF8;
inline constexpr unsigned EITR_INTERVAL_SHIFT = 3;
inline constexpr unsigned EITR_unit_ns = 2000;  ///< of interval and counter, at 10 gigabits
inline constexpr unsigned EITR_COUNTER_SHIFT = 21;
inline constexpr std::uint32_t EITR_COUNTER_MASK = 0x7F;
inline constexpr std::uint32_t EITR_CNT_WDIS = 1u << 31;  ///< the write leaves the counter alone
inline constexpr std::uint32_t GPIE_SDP1_GPIEN = 1u << 1;
inline constexpr std::uint32_t GPIE_SDP2_GPIEN = 1u << 2;
inline constexpr std::uint32_t GPIE_MULTIPLE_MSIX = 1u << 4;  ///< causes have vectors of their own
inline constexpr std::uint32_t GPIE_OCD = 1u << 5;            ///< reading EICR clears only bits 16 to 29
inline constexpr std::uint32_t GPIE_PBA_SUPPORT = 1u << 31;   ///< pending bits are cleared by what they are for
inline constexpr std::uint32_t GPIE_EIAME = 1u << 30;         ///< EIAM acts as a message is sent, not on reading EICR
inline constexpr std::uint32_t IVAR_VECTOR_MASK = 0x3F;
inline constexpr std::uint32_t IVAR_VALID = 1u << 7;

}  // namespace ixcap::ixgbe

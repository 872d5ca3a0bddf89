/**
 * The numbers of ctnetlink, the kernel's interface to its connection tracker. Names in parentheses are those
 * of `linux/netfilter/nfnetlink_conntrack.h`, `nf_conntrack_common.h` and `nf_conntrack_tcp.h`.
 */

/** Subsystem in the high byte of a message type (NFNL_SUBSYS_CTNETLINK). */
const SUBSYSTEM = 0x0100;

/** Message types. Events and answers to requests use NEW and DELETE. */
export const CONNTRACK_MESSAGE = {
  /** IPCTNL_MSG_CT_NEW: an entry; in an event, one that came or changed */
  NEW: SUBSYSTEM,
  /** IPCTNL_MSG_CT_GET */
  GET: SUBSYSTEM | 1,
  /** IPCTNL_MSG_CT_DELETE: in an event, one that went */
  DELETE: SUBSYSTEM | 2,
  /** IPCTNL_MSG_CT_GET_CTRZERO: like GET, and sets the counters to zero */
  GET_AND_ZERO: SUBSYSTEM | 3,
  /** IPCTNL_MSG_CT_GET_STATS_CPU */
  STATISTICS_PER_CPU: SUBSYSTEM | 4,
  /** IPCTNL_MSG_CT_GET_STATS */
  STATISTICS: SUBSYSTEM | 5,
} as const;

/** Multicast groups by which events come (enum nfnetlink_groups). */
export const CONNTRACK_GROUP = { NEW: 1, UPDATE: 2, DESTROY: 3 } as const;

/** Attributes of an entry (enum ctattr_type). */
export const ENTRY = {
  TUPLE_ORIGINAL: 1,
  TUPLE_REPLY: 2,
  STATUS: 3,
  PROTOCOL_INFO: 4,
  HELPER: 5,
  TIMEOUT: 7,
  MARK: 8,
  COUNTERS_ORIGINAL: 9,
  COUNTERS_REPLY: 10,
  USE: 11,
  ID: 12,
  TUPLE_MASTER: 14,
  SEQUENCE_ORIGINAL: 15,
  SEQUENCE_REPLY: 16,
  ZONE: 18,
  TIMESTAMP: 20,
  MARK_MASK: 21,
  LABELS: 22,
  LABELS_MASK: 23,
  FILTER: 25,
  STATUS_MASK: 26,
} as const;

/** Attributes of a tuple (enum ctattr_tuple). */
export const TUPLE = { ADDRESSES: 1, TRANSPORT: 2, ZONE: 3 } as const;
/** Attributes of a tuple's addresses (enum ctattr_ip). */
export const TUPLE_ADDRESS = { SOURCE_4: 1, DESTINATION_4: 2, SOURCE_6: 3, DESTINATION_6: 4 } as const;
/** Attributes of a tuple's transport part (enum ctattr_l4proto). */
export const TUPLE_TRANSPORT = {
  PROTOCOL: 1,
  SOURCE_PORT: 2,
  DESTINATION_PORT: 3,
  ICMP_ID: 4,
  ICMP_TYPE: 5,
  ICMP_CODE: 6,
  ICMPV6_ID: 7,
  ICMPV6_TYPE: 8,
  ICMPV6_CODE: 9,
} as const;

/** Attributes of a protocol's state (enum ctattr_protoinfo). */
export const PROTOCOL_INFO = { TCP: 1, SCTP: 3 } as const;
/** Attributes of a TCP state (enum ctattr_protoinfo_tcp). */
export const TCP_INFO = {
  STATE: 1,
  SCALE_ORIGINAL: 2,
  SCALE_REPLY: 3,
  FLAGS_ORIGINAL: 4,
  FLAGS_REPLY: 5,
} as const;
/** Attributes of an SCTP state (enum ctattr_protoinfo_sctp). */
export const SCTP_INFO = { STATE: 1, TAG_ORIGINAL: 2, TAG_REPLY: 3 } as const;

/** Attributes of counters (enum ctattr_counters). */
export const COUNTERS = { PACKETS: 1, BYTES: 2 } as const;
/** Attributes of timestamps (enum ctattr_tstamp). */
export const TIMESTAMP = { START: 1, STOP: 2 } as const;
/** Attributes of a sequence adjustment (enum ctattr_seqadj). */
export const SEQUENCE_ADJUSTMENT = { OFFSET_AFTER: 3 } as const;
/** Attributes of a helper (enum ctattr_help). */
export const HELPER = { NAME: 1 } as const;
/** Attributes of a filter (enum ctattr_filter). */
export const FILTER = { ORIGINAL_FLAGS: 1, REPLY_FLAGS: 2 } as const;

/**
 * Which parts of a tuple a kernel-side filter compares (`CTA_FILTER_F_…` in `net/netfilter/nf_internals.h`).
 * The numbers are part of the interface although no exported header has them.
 */
export const FILTER_PART = {
  SOURCE: 1 << 0,
  DESTINATION: 1 << 1,
  ZONE: 1 << 2,
  PROTOCOL: 1 << 3,
  SOURCE_PORT: 1 << 4,
  DESTINATION_PORT: 1 << 5,
} as const;

/** Bits of an entry's status (enum ip_conntrack_status). */
export const CONNTRACK_STATUS = {
  /** IPS_EXPECTED: a helper announced it */
  EXPECTED: 1 << 0,
  /** IPS_SEEN_REPLY: there was traffic in both directions */
  SEEN_REPLY: 1 << 1,
  /** IPS_ASSURED: not thrown out when the table is full */
  ASSURED: 1 << 2,
  /** IPS_CONFIRMED: its first packet has left this host */
  CONFIRMED: 1 << 3,
  /** IPS_SRC_NAT: the source of the original direction is translated */
  SOURCE_NAT: 1 << 4,
  /** IPS_DST_NAT: the destination of the original direction is translated */
  DESTINATION_NAT: 1 << 5,
  /** IPS_SEQ_ADJUST */
  SEQUENCE_ADJUST: 1 << 6,
  /** IPS_DYING: deleted, and only held by packets under way */
  DYING: 1 << 9,
  /** IPS_FIXED_TIMEOUT: packets do not prolong it */
  FIXED_TIMEOUT: 1 << 10,
  /** IPS_HELPER */
  HELPER: 1 << 13,
  /** IPS_OFFLOAD: a flow table forwards it in software */
  OFFLOAD: 1 << 14,
  /** IPS_HW_OFFLOAD: hardware forwards it */
  HARDWARE_OFFLOAD: 1 << 15,
} as const;

/** TCP states of the kernel's tracker (enum tcp_conntrack). */
export const CONNTRACK_TCP_STATES = [
  "NONE",
  "SYN_SENT",
  "SYN_RECV",
  "ESTABLISHED",
  "FIN_WAIT",
  "CLOSE_WAIT",
  "LAST_ACK",
  "TIME_WAIT",
  "CLOSE",
  "SYN_SENT2",
] as const;

/** A TCP state of the kernel's tracker. */
export type ConntrackTcpState = (typeof CONNTRACK_TCP_STATES)[number];

/** Flags of one direction of a TCP entry (IP_CT_TCP_FLAG_…). */
export const CONNTRACK_TCP_FLAG = {
  /** The peer offered window scaling. */
  WINDOW_SCALE: 1 << 0,
  SACK_PERMITTED: 1 << 1,
  /** "This sender sent FIN first". */
  CLOSE_INIT: 1 << 2,
  /** Segments outside the window are let through. */
  BE_LIBERAL: 1 << 3,
} as const;

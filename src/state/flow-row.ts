/**
 * Layout of one flow in the slab: 184 bytes, written once here and nowhere else.
 *
 * A row is seen through four typed arrays over the same memory. Each field belongs to exactly one of them and
 * is never read through another, so that the byte order of the machine does not matter. What a lookup reads
 * stands in the first 96 bytes, what a step writes besides in the next 32: on a large table every cache line
 * is a miss. A field that exists for both peers, or both directions, has the offset of the first; the second
 * follows (add a value of PEER, or of DIRECTION).
 */

/** Length of a row, in bytes; a multiple of 8, so that every row's doubles are aligned. */
export const ROW_BYTES = 184;

/** Length of a row in each of the four views, in elements. */
export const ROW = {
  WORDS: ROW_BYTES / 4,
  DOUBLES: ROW_BYTES / 8,
  HALVES: ROW_BYTES / 2,
  BYTES: ROW_BYTES,
} as const;

/** Fields of 32 bits, by offset in words. */
export const WORD = {
  /** Address of the remote end, 4 words. */
  REMOTE: 0,
  /** Address of the local end, 4 words. */
  LOCAL: 4,
  /** Remote port in the high half, local port in the low one. */
  PORTS: 8,
  // Halves, bytes and the double LAST_SEEN stand here.
  /** Highest sequence number sent, plus one (pf's seqlo, Rooij's `td_end`); per peer. */
  SEQUENCE_END: 14,
  /** Highest sequence number the other end allows (pf's seqhi, Rooij's `td_maxend`); per peer. */
  SEQUENCE_LIMIT: 16,
  /** Largest window advertised, scaled, in bytes; 0 until the peer has been seen; per peer. */
  MAX_WINDOW: 18,
  /** Highest acknowledgement number sent; per peer. */
  MAX_ACK: 20,
  /** The timestamp the other end would echo (RFC 7323's TS.Recent); per peer. */
  TIMESTAMP: 22,
  // Doubles stand here.
  /** How often the row has been given out; makes the flow's id. */
  GENERATION: 34,
  /** Links of the expiry wheel, or of the free list. */
  WHEEL_NEXT: 35,
  WHEEL_PREVIOUS: 36,
  /** Links of the eviction queue. */
  QUEUE_NEXT: 37,
  QUEUE_PREVIOUS: 38,
  /** Revision of the policy that judged the flow. */
  REVISION: 39,
  /** Index of the rule that accepted the flow, -1 for the chain's default. */
  RULE: 40,
  /** User id of the local socket, -1 when unknown. */
  USER: 41,
  /** Packet mark of the first packet. */
  MARK: 42,
  /** Interface the first packet came in by, 0 when it was sent here. */
  IN_INTERFACE: 43,
  /** Interface the first packet left by, 0 when it ended here. */
  OUT_INTERFACE: 44,
} as const;

/** Fields of 16 bits, by offset in halves. */
export const HALF = {
  /** Protocol, family and zone, see flow-key.ts; 0 in a free row. */
  KIND: 18,
  /** Bits of FLOW_FLAG. */
  FLAGS: 20,
  /** Index of the chain that accepted the flow. */
  CHAIN: 21,
  /** Index of the recognised protocol, 0 when none. */
  NOTE: 22,
  /** Largest segment a peer takes, in bytes, 0 when it did not say; per peer. */
  SEGMENT_MAX: 90,
} as const;

/** Fields of 8 bits, by offset in bytes. */
export const BYTE = {
  /** TCP state, or state of the datagram machine. */
  STATE: 38,
  /** Window scales offered: the remote end's in the low four bits, the local end's in the high ones. */
  SCALES: 39,
  /** Lowest time to live seen; per peer. */
  TIME_TO_LIVE: 46,
} as const;

/** Fields of 64 bits, by offset in doubles. */
export const DOUBLE = {
  /** When the last packet was accepted. */
  LAST_SEEN: 6,
  /** Packets accepted; per direction. */
  PACKETS: 12,
  /** Bytes of IP packets accepted; per direction. */
  BYTES: 14,
  /** When the first packet was accepted. */
  CREATED: 16,
} as const;

/** Bits of the field FLAGS. Those for both peers have the remote end's bit; shift left by a value of PEER. */
export const FLOW_FLAG = {
  /** The hook where the first packet was met, two bits. */
  HOOK: 0x0003,
  /**
   * Picked up after its beginning, or out of step with its numbers: windows are not enforced (pf's sloppy).
   */
  SLOPPY: 0x0004,
  /** The handshake was seen and its numbers fit: acknowledgements can be believed. */
  NUMBERED: 0x0008,
  /** The end that did not speak first has answered. */
  REPLIED: 0x0010,
  /** The kernel judges the flow by itself; its packets are no longer all seen. */
  OFFLOADED: 0x0020,
  /** The peer offered window scaling; per peer. */
  SCALING: 0x0040,
  /** The peer sends timestamps and TIMESTAMP holds one; per peer. */
  TIMESTAMPS: 0x0100,
  /** MAX_ACK holds a number; per peer. */
  ACKED: 0x0400,
  /**
   * Ended on request: the entry stays closed for a while, so that nothing that is still on its way revives
   * it.
   */
  KILLED: 0x1000,
  /**
   * The kernel judged the flow until now: its numbers are older than its next segment.
   */
  STALE: 0x2000,
  /** It was found that packets to come have to be judged, and nothing that matters has changed since. */
  OPEN_ENDED: 0x4000,
  /** The kernel judged it to its end, of which nothing is heard: it may be over. */
  CARRIED: 0x8000,
} as const;

/**
 * The two ways of looking at a flow's two directions.
 *
 * {@link DIRECTION} is relative to who spoke first, {@link FLOWING} and {@link PEER} to where the end called
 * *local* is: this host at INPUT and OUTPUT, the responder at FORWARD. PyWall's table and pf's keys think in
 * the second way, counters and conntrack in the first.
 */

/** Direction of a packet relative to the first packet of its flow. */
export const DIRECTION = {
  /** The same way as the first packet. */
  ORIGINAL: 0,
  /** The other way. */
  REPLY: 1,
} as const;

/** Direction of a packet relative to the local end. */
export const FLOWING = {
  /** Towards the local end. */
  RECEIVED: 0,
  /** Away from the local end. */
  SENT: 1,
} as const;

/**
 * The two ends of a flow, numbered as pf numbers them; the sender of a packet has the number of its
 * `FLOWING`.
 */
export const PEER = {
  REMOTE: 0,
  LOCAL: 1,
} as const;

/** Parts of the table that never meet: the same tuple in two zones is two flows. */
export const ZONE = {
  /** Flows that end at this host. */
  LOCAL: 0,
  /** Flows that cross this host. */
  FORWARD: 1,
} as const;

/** Bits of the kernel's packet mark that one part of Postern sets and another reads. */

/**
 * Says of a packet that a pinhole permits it. The pinholes' chain sets it and clears it on everything else,
 * before the packet is queued; PinholeRule reads it.
 */
export const PINHOLE_MARK = 0x0800_0000;

/**
 * States that the kernel's connection tracking gives a packet, by nftables' words (nft(8), "ct state"). The
 * number of a state is its place here and one more; 0 means that none was told.
 */
export const CONNTRACK_STATES = ["new", "established", "related", "invalid", "untracked"] as const;

/** A state of a packet in the kernel's connection tracking. */
export type ConntrackState = (typeof CONNTRACK_STATES)[number];

/** Number of a state; 0 is for packets of which the kernel has told none. */
export function conntrackStateNumber(state: ConntrackState): number {
  return CONNTRACK_STATES.indexOf(state) + 1;
}

/**
 * The number of a packet's state in the kernel's connection tracking. Only while a policy asks for states,
 * our table sets these bits on packets that go up, and clears them behind the queue.
 */
export const CONNTRACK_MARK = 0x0700_0000;
const CONNTRACK_SHIFT = 24;

/** The number of the state that a mark tells. */
export function conntrackStateOf(mark: number): number {
  return (mark & CONNTRACK_MARK) >>> CONNTRACK_SHIFT;
}

/** The bits of a mark that tell a state. */
export function conntrackMark(state: ConntrackState): number {
  return conntrackStateNumber(state) << CONNTRACK_SHIFT;
}

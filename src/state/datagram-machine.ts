/**
 * The machine of flows that have no handshake: UDP, UDP-Lite, ICMP echo, SCTP and whatever else.
 *
 * It knows who has spoken and how often, and from that come pf's levels: a peer that has sent nothing is at
 * NO_TRAFFIC, one that has sent is at SINGLE, and one that has been answered is at MULTIPLE.
 */

/** States of the machine. */
export const DATAGRAM_STATES = ["FIRST", "SINGLE", "REPLIED", "MULTIPLE"] as const;

/** A state of the machine. */
export type DatagramState = (typeof DATAGRAM_STATES)[number];

/** pf's levels of a peer. */
export const LEVEL = { NO_TRAFFIC: 0, SINGLE: 1, MULTIPLE: 2 } as const;

/** A level by its name. */
export type LevelName = keyof typeof LEVEL;

/**
 * What a packet of the original or the reply direction makes of each state. FIRST is the state after one
 * packet.
 */
export const DATAGRAM_TABLE = {
  FIRST: { original: "SINGLE", reply: "REPLIED" },
  SINGLE: { original: "SINGLE", reply: "REPLIED" },
  REPLIED: { original: "MULTIPLE", reply: "REPLIED" },
  MULTIPLE: { original: "MULTIPLE", reply: "MULTIPLE" },
} as const satisfies Record<DatagramState, Record<"original" | "reply", DatagramState>>;

/** Levels of the end that spoke first and of the other one, in each state. */
export const DATAGRAM_LEVELS = {
  FIRST: ["SINGLE", "NO_TRAFFIC"],
  SINGLE: ["SINGLE", "NO_TRAFFIC"],
  REPLIED: ["MULTIPLE", "SINGLE"],
  MULTIPLE: ["MULTIPLE", "MULTIPLE"],
} as const satisfies Record<DatagramState, readonly [LevelName, LevelName]>;

const DIRECTIONS = 2;

const MACHINE = Uint8Array.from(
  DATAGRAM_STATES.flatMap((state) => [DATAGRAM_TABLE[state].original, DATAGRAM_TABLE[state].reply]),
  (next) => DATAGRAM_STATES.indexOf(next),
);

/**
 * One step of the machine.
 *
 * @param state - index into DATAGRAM_STATES
 * @param direction - a value of DIRECTION
 */
export function stepDatagram(state: number, direction: number): number {
  return MACHINE[state * DIRECTIONS + direction] ?? 0;
}

/**
 * The life of a pinhole.
 *
 * The next state is found by the present one and by what happens; what is not in the table cannot happen.
 * These are the states of a whole pinhole as its owner sees it (RFC 4540 section 8.1, with the state `staged`
 * before it), not of connections through it.
 */

/** States. `staged`: asked for in an open transaction, without effect. */
export const PINHOLE_STATES = ["staged", "reserved", "enabled", "ended"] as const;
/** A state. */
export type PinholeState = (typeof PINHOLE_STATES)[number];

/** What happens to a pinhole. */
export const PINHOLE_EVENTS = [
  "reserve",
  "open",
  "enable",
  "renew",
  "close",
  "expire",
  "conflict",
  "revoke",
  "fail",
  "abandon",
] as const;
/** Something that happens to a pinhole. */
export type PinholeEvent = (typeof PINHOLE_EVENTS)[number];

/** A missing entry means: impossible in that state. */
type Table = Readonly<Record<PinholeState, Readonly<Partial<Record<PinholeEvent, PinholeState>>>>>;

/** The table. */
export const LIFE_CYCLE = {
  staged: {
    reserve: "reserved", // the transaction with a reservation is committed
    open: "enabled", // the transaction with a permit or block is committed
    abandon: "ended", // it is rolled back, or its time is over
  },
  reserved: {
    enable: "enabled", // the reservation becomes a permit: same id, same group
    renew: "reserved", // another lifetime, counted from now
    close: "ended", // the owner is done
    expire: "ended", // the lease has run out
    revoke: "ended", // the administrator will not have it
    fail: "ended", // the packet filter will not have it
  },
  enabled: {
    renew: "enabled", // another lifetime, counted from now
    close: "ended", // the owner is done
    expire: "ended", // the lease has run out
    conflict: "ended", // a block has come, and blocks win
    revoke: "ended", // the administrator will not have it
    fail: "ended", // the packet filter will not have it
  },
  ended: {},
} as const satisfies Table;

/** Why a pinhole ended. */
export const END_REASONS = {
  close: "deleted",
  expire: "expired",
  conflict: "conflict",
  revoke: "admin",
  fail: "backend",
} as const satisfies Partial<Record<PinholeEvent, string>>;

/** Why a pinhole ended, in a word. */
export type EndReason = (typeof END_REASONS)[keyof typeof END_REASONS];

/**
 * The state after an event.
 *
 * @returns `undefined` when the event is impossible in that state
 */
export function nextState(state: PinholeState, event: PinholeEvent): PinholeState | undefined {
  const row: Readonly<Partial<Record<PinholeEvent, PinholeState>>> = LIFE_CYCLE[state];
  return row[event];
}

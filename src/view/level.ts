/**
 * pf's level of each end of a flow: how far that end has come. Every state of our tracker and of the kernel's
 * is a pair of levels, so that both can be compared, printed and asked for in the same words.
 */
import type { TcpState } from "../base/index.ts";
import type { ConntrackTcpState } from "../netlink/index.ts";

/** Levels of a TCP end (OpenBSD's `netinet/tcp_fsm.h`, `net/pfvar.h`). */
export const TCP_LEVEL = {
  CLOSED: 0,
  LISTEN: 1,
  SYN_SENT: 2,
  SYN_RCVD: 3,
  ESTABLISHED: 4,
  CLOSE_WAIT: 5,
  FIN_WAIT_1: 6,
  CLOSING: 7,
  LAST_ACK: 8,
  FIN_WAIT_2: 9,
  TIME_WAIT: 10,
  /** A proxy stands in for the source, or for the destination; Postern has none, pf's readers know them. */
  PROXY_SRC: 11,
  PROXY_DST: 12,
} as const;

/** Levels of an end of any other protocol. */
export const DATAGRAM_LEVEL = { NO_TRAFFIC: 0, SINGLE: 1, MULTIPLE: 2 } as const;

const TCP_NAMES = Object.keys(TCP_LEVEL);
const DATAGRAM_NAMES = Object.keys(DATAGRAM_LEVEL);

const TCP = 6;

/** Levels of the two ends. */
export type LevelPair = readonly [local: number, remote: number];

/** Name of a level. @param protocol - IANA number @returns "" for a number that is no level */
export function levelName(protocol: number, level: number): string {
  return (protocol === TCP ? TCP_NAMES : DATAGRAM_NAMES)[level] ?? "";
}

/** Levels of that name, in whatever protocols it exists. */
export function isLevelName(name: string): boolean {
  return TCP_NAMES.includes(name) || DATAGRAM_NAMES.includes(name);
}

const { CLOSED, SYN_SENT, SYN_RCVD, ESTABLISHED, CLOSE_WAIT } = TCP_LEVEL;
const { FIN_WAIT_1, CLOSING, LAST_ACK, FIN_WAIT_2, TIME_WAIT } = TCP_LEVEL;

/** Levels of our tracker's states, local end first. */
export const TRACKER_LEVELS = {
  CLOSED: [CLOSED, CLOSED],
  SYN_SENT1: [SYN_SENT, CLOSED],
  SYN_SENT2: [SYN_SENT, SYN_RCVD],
  SYN_SENT3: [SYN_RCVD, SYN_SENT],
  SYN_RCVD1: [CLOSED, SYN_SENT],
  SYN_RCVD2: [SYN_RCVD, SYN_SENT],
  ESTABLISHED: [ESTABLISHED, ESTABLISHED],
  CLOSE_WAIT1: [CLOSE_WAIT, FIN_WAIT_1],
  CLOSE_WAIT2: [CLOSE_WAIT, FIN_WAIT_2],
  LAST_ACK: [LAST_ACK, FIN_WAIT_2],
  FIN_WAIT_1: [FIN_WAIT_1, ESTABLISHED],
  FIN_WAIT_2: [FIN_WAIT_2, CLOSE_WAIT],
  FIN_WAIT_3: [TIME_WAIT, LAST_ACK],
  CLOSING: [CLOSING, CLOSING],
  CLOSING2: [CLOSING, LAST_ACK],
  TIME_WAIT: [TIME_WAIT, TIME_WAIT],
  INVALID: [CLOSED, CLOSED],
} as const satisfies Record<TcpState, LevelPair>;

/**
 * Levels of the kernel's states while a connection opens or is open, the end that spoke first first.
 *
 * The states of a closing connection depend on who closes: see {@link KERNEL_CLOSING_LEVELS}.
 */
const KERNEL_LEVELS = {
  NONE: [CLOSED, CLOSED],
  SYN_SENT: [SYN_SENT, CLOSED],
  SYN_RECV: [SYN_SENT, SYN_RCVD],
  ESTABLISHED: [ESTABLISHED, ESTABLISHED],
  TIME_WAIT: [TIME_WAIT, TIME_WAIT],
  CLOSE: [CLOSED, CLOSED],
  SYN_SENT2: [SYN_SENT, SYN_SENT],
} as const satisfies Partial<Record<ConntrackTcpState, LevelPair>>;

/**
 * Levels of the kernel's states while a connection closes, by who sent the first FIN, local end first.
 *
 * The kernel names that end by a flag (CLOSE_INIT), so its three states tell as much as our tracker's: what
 * arrived at the local end has been taken in, what left it is still under way.
 */
const KERNEL_CLOSING_LEVELS = {
  FIN_WAIT: { local: [FIN_WAIT_1, ESTABLISHED], remote: [CLOSE_WAIT, FIN_WAIT_1] },
  CLOSE_WAIT: { local: [FIN_WAIT_2, CLOSE_WAIT], remote: [CLOSE_WAIT, FIN_WAIT_2] },
  LAST_ACK: { local: [TIME_WAIT, LAST_ACK], remote: [LAST_ACK, FIN_WAIT_2] },
} as const satisfies Partial<Record<ConntrackTcpState, Record<"local" | "remote", LevelPair>>>;

/**
 * Levels of a TCP state of the kernel.
 *
 * @param localFirst - whether the local end spoke first
 * @param localCloses - whether the local end sent the first FIN
 */
export function kernelTcpLevels(
  state: ConntrackTcpState,
  localFirst: boolean,
  localCloses: boolean,
): LevelPair {
  if (state === "FIN_WAIT" || state === "CLOSE_WAIT" || state === "LAST_ACK") {
    return KERNEL_CLOSING_LEVELS[state][localCloses ? "local" : "remote"];
  }
  const [first, second] = KERNEL_LEVELS[state];
  return localFirst ? [first, second] : [second, first];
}

/**
 * Levels of a flow without handshake that the kernel tracks, the end that spoke first first.
 *
 * @param replied - whether the other end has answered
 * @param packets - packets of the end that spoke first; `undefined` when the kernel does not count
 */
export function kernelDatagramLevels(replied: boolean, packets: number | undefined): LevelPair {
  if (!replied) return [DATAGRAM_LEVEL.SINGLE, DATAGRAM_LEVEL.NO_TRAFFIC];
  // The kernel does not tell whether a packet came after the answer; with two of them it is likely.
  const again = packets !== undefined && packets > 1;
  return [DATAGRAM_LEVEL.MULTIPLE, again ? DATAGRAM_LEVEL.MULTIPLE : DATAGRAM_LEVEL.SINGLE];
}

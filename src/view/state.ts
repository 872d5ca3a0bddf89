/**
 * A state: one entry of the state table as an object, with every attribute pf has and some that it has not.
 *
 * A state is plain data: numbers, strings, booleans, null for what its source does not know. It travels as
 * JSON and comes back the same.
 *
 * Orientation is pf's: `src` is the *local* end and `dst` the remote one, whoever spoke first, and in a key
 * index 1 is local. Local is this host; of a flow that crosses this host, the end that was spoken to, because
 * its first packet came *in*. `nk` and `sk` are the flow as it looks on two sides of address translation:
 * coming in, `sk` is the wire's side and `nk` the host's; going out, `nk` is the wire's and `sk` the host's.
 * They are equal when nothing is translated.
 */
import type { Family, VerdictName } from "../base/index.ts";

/** Numbers of the two directions (PF_IN, PF_OUT). */
export const STATE_DIRECTION = { in: 1, out: 2 } as const;

/** Index of each end in a {@link StateKey}. */
export const STATE_END = { REMOTE: 0, LOCAL: 1 } as const;

/** Whose table a state comes from: our tracker's, the kernel's, or both, merged. */
export type StateSource = "own" | "kernel" | "both";

/** Which way the first packet went. */
export type StateDirection = keyof typeof STATE_DIRECTION;

/** One side's view of the flow. */
export interface StateKey {
  readonly family: Family;
  /** Addresses, remote first. */
  readonly addresses: readonly [remote: string, local: string];
  /**
   * Ports, remote first. ICMP echo: identifier of the asking end, type of the request for the answering end.
   */
  readonly ports: readonly [remote: number, local: number];
  /** Zone of the kernel's tracker (pf: rdomain), 0 for the default. */
  readonly zone: number;
}

/** One end of the flow. `null`: the source does not know. */
export interface StatePeer {
  /** pf's level of this end, a number of TCP_LEVEL or DATAGRAM_LEVEL (pf: state). */
  readonly level: number;
  /** The level's name, such as `ESTABLISHED`. */
  readonly levelName: string;
  /** Sequence number just past what this end has sent (pf: seqlo); TCP. */
  readonly sequenceLow: number | null;
  /** Sequence number up to which the other end lets it send (pf: seqhi); TCP. */
  readonly sequenceHigh: number | null;
  /** What is added to its sequence numbers on the way, modulo 2^32 (pf: seqdiff). */
  readonly sequenceDifference: number;
  /** Largest window it has advertised, scaled, in bytes (pf: max_win); TCP. */
  readonly maxWindowBytes: number | null;
  /** Largest segment it takes, in bytes (pf: mss); TCP. */
  readonly maxSegmentBytes: number | null;
  /** Window scale it offered, 0 to 14 bits (pf: wscale); TCP. */
  readonly windowScale: number | null;
  /** Lowest time to live of its packets (pf: pfss_ttl). */
  readonly minTimeToLive: number | null;
  /** Whether packets are scrubbed on the way (pf: scrub_flag); Linux does not. */
  readonly scrubbed: boolean;
  /** What is added to its timestamps on the way (pf: pfss_ts_mod); Linux does not. */
  readonly timestampModulator: number;
}

/** pf's state flags and sync flags, each by its name. */
export interface StateFlags {
  /** Windows are not enforced: picked up in the middle, or liberal. */
  readonly sloppy: boolean;
  /** Flow records are exported (pflow). */
  readonly pflow: boolean;
  /** States per source are counted. */
  readonly sourceTrack: boolean;
  /** The source keeps its translation address. */
  readonly stickyAddress: boolean;
  /** Not sent to other firewalls. */
  readonly noSync: boolean;
}

/** Which rule let the flow in. */
export interface StateRule {
  /** Name of the chain. */
  readonly chain: string;
  /** Index in the chain, from 0; null for the chain's default. */
  readonly index: number | null;
  /** Revision of the policy. */
  readonly revision: number;
  /** The rule's label, "" when it has none. */
  readonly label: string;
}

/** A chain other than those where packets start. */
export interface StateAnchor {
  readonly index: number;
  readonly name: string;
}

/** What was decided about the flow. */
export interface StateVerdict {
  readonly verdict: VerdictName;
  /** What decided: `rule`, `default`, or what else the firewall names. */
  readonly cause: string;
  /** How long ago, in milliseconds. */
  readonly ageMs: number;
}

/** Where a flow is forwarded without being asked about any more. */
export type StateOffload = "none" | "mark" | "flowtable" | "hardware";

/** What only the kernel's tracker knows. */
export interface StateKernel {
  /** Number of the entry, 32 bits. */
  readonly id: number;
  /** Names of CONNTRACK_STATUS that are set. */
  readonly status: readonly string[];
  /** Labels, 128 bits as hexadecimal digits, highest first; "" when none are set. */
  readonly labels: string;
  /** Helper that looks into it, "" for none. */
  readonly helper: string;
}

/** One state. */
export interface State {
  /** 16 hexadecimal digits; see state-id.ts. */
  readonly id: string;
  readonly source: StateSource;
  /** Interface of the first packet (pf: ifname); "" when the source does not know. */
  readonly interface: string;
  readonly rule: StateRule | null;
  /** Chain that holds the rule, when it is not the one where packets start (pf: anchor). */
  readonly anchor: StateAnchor | null;
  /** Which end is translated (pf: nat_rule). */
  readonly translation: { readonly source: boolean; readonly destination: boolean };
  /** Age in milliseconds (pf: creation); null when the kernel keeps no timestamps. */
  readonly ageMs: number | null;
  /** Milliseconds until it ends if no more packets come (pf: expire). */
  readonly expiresInMs: number | null;
  /** Packets: of the end that spoke first, of the other. Null when the kernel does not count. */
  readonly packets: readonly [number, number] | null;
  /** Bytes of IP packets, likewise. */
  readonly bytes: readonly [number, number] | null;
  /** The host that made the state, 32 bits. */
  readonly creatorId: number;
  /** pf: af. */
  readonly family: Family;
  /** IANA number of the transport protocol (pf: proto). */
  readonly protocol: number;
  readonly protocolName: string;
  readonly direction: StateDirection;
  readonly flags: StateFlags;
  /** The local end. */
  readonly src: StatePeer;
  /** The remote end. */
  readonly dst: StatePeer;
  readonly nk: StateKey;
  readonly sk: StateKey;
  /** Address that packets are routed to by a rule (pf: rt_addr); Linux does not. */
  readonly routeAddress: string | null;
  /** Routing tables of the two directions (pf: rtableid). */
  readonly routingTables: readonly [number, number] | null;
  /** Segment size the firewall enforces, in bytes (pf: max_mss). */
  readonly enforcedSegmentBytes: number | null;
  /** Whether packets of the flow are logged (pf: log). */
  readonly log: boolean;
  /** Name of the timeout that runs (pf: timeout). */
  readonly timeout: string | null;
  /** Updates received from other firewalls (pf: updates). */
  readonly updates: number;
  /** Least time to live the firewall enforces (pf: min_ttl). */
  readonly enforcedTimeToLive: number | null;
  /** Type of service the firewall sets (pf: set_tos). */
  readonly typeOfService: number | null;
  /** Mark: of the connection where the kernel knows it, else of the first packet. */
  readonly mark: number;
  /** Recognised protocol, "" when none. */
  readonly application: string;
  /** Name of the server as the client asked for it, "" when none. */
  readonly serverName: string;
  /** User id of the local socket; null when unknown. */
  readonly userId: number | null;
  readonly offload: StateOffload;
  readonly verdict: StateVerdict | null;
  readonly kernel: StateKernel | null;
}

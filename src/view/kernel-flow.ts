/**
 * An entry of the kernel's tracker as a state.
 *
 * The kernel thinks in directions (original, reply), pf in ends and in sides of translation. What is sent in
 * the original direction is how the flow looks before translation, what is sent in reply, inverted, how it
 * looks behind it. Coming in, "before" is the wire's side; going out it is the host's. Either way `sk` is the
 * original direction and `nk` the inverted reply.
 */
import type { AddressWords, Family, Milliseconds } from "../base/index.ts";
import { formatAddress } from "../base/index.ts";
import {
  CONNTRACK_FIELD,
  CONNTRACK_STATUS,
  CONNTRACK_TCP_FLAG,
  CONNTRACK_TCP_STATES,
  type ConntrackEntry,
} from "../netlink/index.ts";
import type { FlowSubject, KeySide } from "./flow-facts.ts";
import { kernelDatagramLevels, kernelTcpLevels, type LevelPair, levelName } from "./level.ts";
import { isIcmp, protocolName } from "./protocol-name.ts";
import {
  STATE_END,
  type State,
  type StateKernel,
  type StateKey,
  type StateOffload,
  type StatePeer,
} from "./state.ts";
import { kernelStateId } from "./state-id.ts";

/** Whether an address is one of this host's. */
export type IsLocal = (family: Family, words: AddressWords) => boolean;

/** How the mark that hands a flow to the kernel is told. */
export interface OffloadMark {
  readonly value: number;
  readonly mask: number;
}

/** What an entry does not say. */
export interface KernelContext {
  readonly isLocal: IsLocal;
  /** Id of this host, 32 bits. */
  readonly creatorId: number;
  /** The mark of connections that the kernel accepts by itself. */
  readonly offloadMark?: OffloadMark;
}

const MILLISECONDS = 1000;

/** Reads one entry after the other; {@link KernelFlow.bind} moves it. */
export class KernelFlow implements FlowSubject {
  readonly source = "kernel";
  readonly interface = "";
  readonly chain = "";
  readonly rule = -1;
  readonly label = "";
  readonly userId = null;
  readonly application = "";
  readonly serverName = "";
  readonly #context: KernelContext;
  #entry: ConntrackEntry | undefined;
  #wallNow: Milliseconds = 0;
  #outgoing = false;

  constructor(context: KernelContext) {
    this.#context = context;
  }

  /**
   * Moves to an entry.
   *
   * @param entry - stays as it is until the next call
   * @param wallNow - wall-clock time, milliseconds since 1970
   */
  bind(entry: ConntrackEntry, wallNow: Milliseconds): void {
    this.#entry = entry;
    this.#wallNow = wallNow;
    this.#outgoing = this.#context.isLocal(entry.family, entry.original.source);
  }

  get id(): string {
    return kernelStateId(this.#current.id);
  }

  get family(): Family {
    return this.#current.family;
  }

  get protocol(): number {
    return this.#current.original.protocol;
  }

  get direction(): "in" | "out" {
    return this.#outgoing ? "out" : "in";
  }

  address(side: KeySide, end: number): AddressWords {
    const { original, reply } = this.#current;
    if (this.#spokeFirst(end)) return side === "sk" ? original.source : reply.destination;
    return side === "sk" ? original.destination : reply.source;
  }

  port(side: KeySide, end: number): number {
    const { original, reply } = this.#current;
    const first = this.#spokeFirst(end);
    if (isIcmp(original.protocol)) {
      if (!first) return original.icmpType;
      return side === "sk" ? original.icmpIdentifier : reply.icmpIdentifier;
    }
    if (first) return side === "sk" ? original.sourcePort : reply.destinationPort;
    return side === "sk" ? original.destinationPort : reply.sourcePort;
  }

  level(end: number): number {
    return this.#levels()[end === STATE_END.LOCAL ? 0 : 1];
  }

  get zone(): number {
    const { zone, original } = this.#current;
    return original.zone >= 0 ? original.zone : zone;
  }

  get isTranslated(): boolean {
    return this.#hasStatus(CONNTRACK_STATUS.SOURCE_NAT | CONNTRACK_STATUS.DESTINATION_NAT);
  }

  get isSloppy(): boolean {
    const { tcpFlagsOriginal, tcpFlagsReply } = this.#current;
    const isTcp = this.#current.has(CONNTRACK_FIELD.TCP);
    return isTcp && ((tcpFlagsOriginal | tcpFlagsReply) & CONNTRACK_TCP_FLAG.BE_LIBERAL) !== 0;
  }

  get ageMs(): number | null {
    const entry = this.#current;
    return entry.has(CONNTRACK_FIELD.TIMESTAMP) ? Math.max(0, this.#wallNow - entry.startMs) : null;
  }

  get expiresInMs(): number | null {
    const entry = this.#current;
    return entry.has(CONNTRACK_FIELD.TIMEOUT) ? entry.timeoutSeconds * MILLISECONDS : null;
  }

  get packets(): number | null {
    const entry = this.#current;
    return entry.has(CONNTRACK_FIELD.COUNTERS) ? entry.originalPackets + entry.replyPackets : null;
  }

  get bytes(): number | null {
    const entry = this.#current;
    return entry.has(CONNTRACK_FIELD.COUNTERS) ? entry.originalBytes + entry.replyBytes : null;
  }

  get mark(): number {
    return this.#current.mark;
  }

  get offload(): StateOffload {
    if (this.#hasStatus(CONNTRACK_STATUS.HARDWARE_OFFLOAD)) return "hardware";
    if (this.#hasStatus(CONNTRACK_STATUS.OFFLOAD)) return "flowtable";
    const { offloadMark } = this.#context;
    const marked = offloadMark !== undefined && ((this.mark ^ offloadMark.value) & offloadMark.mask) === 0;
    return marked ? "mark" : "none";
  }

  state(): State {
    const entry = this.#current;
    const counted = entry.has(CONNTRACK_FIELD.COUNTERS);
    const { protocol } = this;
    return {
      id: this.id,
      source: this.source,
      interface: this.interface,
      rule: null,
      anchor: null,
      translation: {
        source: this.#hasStatus(CONNTRACK_STATUS.SOURCE_NAT),
        destination: this.#hasStatus(CONNTRACK_STATUS.DESTINATION_NAT),
      },
      ageMs: this.ageMs,
      expiresInMs: this.expiresInMs,
      packets: counted ? [entry.originalPackets, entry.replyPackets] : null,
      bytes: counted ? [entry.originalBytes, entry.replyBytes] : null,
      creatorId: this.#context.creatorId,
      family: this.family,
      protocol,
      protocolName: protocolName(protocol),
      direction: this.direction,
      flags: { sloppy: this.isSloppy, pflow: false, sourceTrack: false, stickyAddress: false, noSync: true },
      src: this.#peer(STATE_END.LOCAL),
      dst: this.#peer(STATE_END.REMOTE),
      nk: this.#key("nk"),
      sk: this.#key("sk"),
      routeAddress: null,
      routingTables: null,
      enforcedSegmentBytes: null,
      log: false,
      timeout: null,
      updates: 0,
      enforcedTimeToLive: null,
      typeOfService: null,
      mark: this.mark,
      application: this.application,
      serverName: this.serverName,
      userId: this.userId,
      offload: this.offload,
      verdict: null,
      kernel: kernelFacts(entry),
    };
  }

  get #current(): ConntrackEntry {
    if (this.#entry === undefined) throw new TypeError("KernelFlow: bind an entry first");
    return this.#entry;
  }

  #hasStatus(bits: number): boolean {
    return (this.#current.status & bits) !== 0;
  }

  #spokeFirst(end: number): boolean {
    return (end === STATE_END.LOCAL) === this.#outgoing;
  }

  #levels(): LevelPair {
    const entry = this.#current;
    if (entry.has(CONNTRACK_FIELD.TCP)) {
      const flags = this.#outgoing ? entry.tcpFlagsOriginal : entry.tcpFlagsReply;
      const localCloses = (flags & CONNTRACK_TCP_FLAG.CLOSE_INIT) !== 0;
      return kernelTcpLevels(CONNTRACK_TCP_STATES[entry.tcpState] ?? "NONE", this.#outgoing, localCloses);
    }
    const counted = entry.has(CONNTRACK_FIELD.COUNTERS);
    const replied = this.#hasStatus(CONNTRACK_STATUS.SEEN_REPLY);
    const [first, second] = kernelDatagramLevels(replied, counted ? entry.originalPackets : undefined);
    return this.#outgoing ? [first, second] : [second, first];
  }

  #key(side: KeySide): StateKey {
    const { family } = this;
    const remote = formatAddress(family, this.address(side, STATE_END.REMOTE));
    const local = formatAddress(family, this.address(side, STATE_END.LOCAL));
    const ports = [this.port(side, STATE_END.REMOTE), this.port(side, STATE_END.LOCAL)] as const;
    return { family, addresses: [remote, local], ports, zone: this.zone };
  }

  #peer(end: number): StatePeer {
    const entry = this.#current;
    const level = this.level(end);
    const first = this.#spokeFirst(end);
    const flags = first ? entry.tcpFlagsOriginal : entry.tcpFlagsReply;
    const scales = entry.has(CONNTRACK_FIELD.TCP) && (flags & CONNTRACK_TCP_FLAG.WINDOW_SCALE) !== 0;
    return {
      level,
      levelName: levelName(this.protocol, level),
      sequenceLow: null,
      sequenceHigh: null,
      sequenceDifference: first ? entry.sequenceOffsetOriginal : entry.sequenceOffsetReply,
      maxWindowBytes: null,
      maxSegmentBytes: null,
      windowScale: scales ? (first ? entry.tcpScaleOriginal : entry.tcpScaleReply) : null,
      minTimeToLive: null,
      scrubbed: false,
      timestampModulator: 0,
    };
  }
}

/** What only the kernel knows of an entry. */
function kernelFacts(entry: ConntrackEntry): StateKernel {
  const status = Object.entries(CONNTRACK_STATUS)
    .filter(([, bit]) => (entry.status & bit) !== 0)
    .map(([name]) => name);
  const hasLabels = entry.has(CONNTRACK_FIELD.LABELS) && entry.labels.some((word) => word !== 0);
  const labels = hasLabels
    ? [...entry.labels].reverse().map((word) => word.toString(16).padStart(8, "0"))
    : [];
  return { id: entry.id, status, labels: labels.join(""), helper: entry.helper };
}

/** A flow of our own tracker as a state. */
import type { AddressWords, Family, Milliseconds, TcpState, VerdictName } from "../base/index.ts";
import { formatAddress, HOOK, PROTOCOL, TCP_STATES } from "../base/index.ts";
import { DIRECTION, type FlowReader, NO_SCALE, PEER } from "../state/index.ts";
import type { FlowSubject, KeySide } from "./flow-facts.ts";
import { levelName, TRACKER_LEVELS } from "./level.ts";
import { protocolName } from "./protocol-name.ts";
import { STATE_END, type State, type StateKey, type StateOffload, type StatePeer } from "./state.ts";
import { trackerStateId } from "./state-id.ts";

/** What the policy calls a rule by its numbers. */
export interface RuleNames {
  readonly chain: string;
  /** Whether packets start in the chain. */
  readonly isStart: boolean;
  /** "" when it has none. */
  readonly label: string;
  /** Whether the rule logs. */
  readonly log: boolean;
}

/** What is known of a flow beside its row. */
export interface FlowDetails {
  readonly serverName?: string;
  readonly offload?: StateOffload;
  readonly verdict?: {
    readonly verdict: VerdictName;
    readonly cause: string;
    /** When, on the tracker's clock. */
    readonly at: Milliseconds;
  };
}

/** Names of what a row has only numbers for. */
export interface FlowNames {
  /** "" when unknown. */
  interfaceName(index: number): string;
  /** `undefined` when that revision is forgotten. @param rule - -1 for the chain's default */
  rule(chain: number, rule: number, revision: number): RuleNames | undefined;
  /** Name of a recognised protocol by the number noted on the flow, "" when none. */
  application(note: number): string;
  /** @param id - the tracker's id of the flow */
  details(id: number): FlowDetails | undefined;
}

/** The part of a tracker that states are made from. */
export interface FlowTableReader {
  readonly flows: FlowReader;
  expiry(slot: number): Milliseconds;
}

/** Who made the states. */
export interface StateOrigin {
  /** Index of the worker, 0 to 254. */
  readonly worker: number;
  /** Id of this host, 32 bits (pf: hostid). */
  readonly creatorId: number;
}

/** Ends of our tracker are numbered as pf's are. */
const { REMOTE, LOCAL } = PEER;

/** Reads one flow after the other; {@link TrackerFlow.bind} moves it. */
export class TrackerFlow implements FlowSubject {
  readonly source = "own";
  readonly zone = 0;
  readonly isTranslated = false;
  readonly #table: FlowTableReader;
  readonly #flows: FlowReader;
  readonly #names: FlowNames;
  readonly #origin: StateOrigin;
  readonly #words: AddressWords = new Uint32Array(4);
  #slot = 0;
  #now: Milliseconds = 0;

  /**
   * @param table - the tracker
   * @param names - names of chains, interfaces and protocols
   * @param origin - which worker's tracker it is, on which host
   */
  constructor(table: FlowTableReader, names: FlowNames, origin: StateOrigin) {
    this.#table = table;
    this.#flows = table.flows;
    this.#names = names;
    this.#origin = origin;
  }

  /** Moves to a flow. @param slot - of a live flow @param now - on the tracker's clock */
  bind(slot: number, now: Milliseconds): void {
    this.#slot = slot;
    this.#now = now;
  }

  get id(): string {
    return trackerStateId(this.#origin.worker, this.#flows.id(this.#slot));
  }

  get family(): Family {
    return this.#flows.family(this.#slot);
  }

  get protocol(): number {
    return this.#flows.protocol(this.#slot);
  }

  get direction(): "in" | "out" {
    return this.#flows.hook(this.#slot) === HOOK.OUTPUT ? "out" : "in";
  }

  address(_side: KeySide, end: number): AddressWords {
    this.#flows.copyAddress(this.#slot, end, this.#words);
    return this.#words;
  }

  port(_side: KeySide, end: number): number {
    return this.#flows.port(this.#slot, end);
  }

  level(end: number): number {
    if (this.protocol !== PROTOCOL.TCP) return this.#flows.level(this.#slot, end);
    const state: TcpState = TCP_STATES[this.#flows.state(this.#slot)] ?? "CLOSED";
    return TRACKER_LEVELS[state][end === LOCAL ? 0 : 1];
  }

  get interface(): string {
    const incoming = this.#flows.inInterface(this.#slot);
    return this.#names.interfaceName(incoming === 0 ? this.#flows.outInterface(this.#slot) : incoming);
  }

  get chain(): string {
    return this.#rule()?.chain ?? "";
  }

  get rule(): number {
    return this.#flows.rule(this.#slot);
  }

  get label(): string {
    return this.#rule()?.label ?? "";
  }

  get isSloppy(): boolean {
    return this.#flows.isSloppy(this.#slot);
  }

  get ageMs(): number {
    return this.#now - this.#flows.created(this.#slot);
  }

  get expiresInMs(): number {
    return Math.max(0, this.#table.expiry(this.#slot) - this.#now);
  }

  get packets(): number {
    const { ORIGINAL, REPLY } = DIRECTION;
    return this.#flows.packets(this.#slot, ORIGINAL) + this.#flows.packets(this.#slot, REPLY);
  }

  get bytes(): number {
    const { ORIGINAL, REPLY } = DIRECTION;
    return this.#flows.bytes(this.#slot, ORIGINAL) + this.#flows.bytes(this.#slot, REPLY);
  }

  get userId(): number | null {
    const user = this.#flows.user(this.#slot);
    return user < 0 ? null : user;
  }

  get mark(): number {
    return this.#flows.mark(this.#slot);
  }

  get application(): string {
    return this.#names.application(this.#flows.note(this.#slot));
  }

  get serverName(): string {
    return this.#details()?.serverName ?? "";
  }

  get offload(): StateOffload {
    if (!this.#flows.isOffloaded(this.#slot)) return "none";
    return this.#details()?.offload ?? "mark";
  }

  state(): State {
    const flows = this.#flows;
    const slot = this.#slot;
    const { ORIGINAL, REPLY } = DIRECTION;
    const { protocol } = this;
    const key = this.#key();
    return {
      id: this.id,
      source: this.source,
      interface: this.interface,
      ...this.#judgement(),
      translation: { source: false, destination: false },
      ageMs: this.ageMs,
      expiresInMs: this.expiresInMs,
      packets: [flows.packets(slot, ORIGINAL), flows.packets(slot, REPLY)],
      bytes: [flows.bytes(slot, ORIGINAL), flows.bytes(slot, REPLY)],
      creatorId: this.#origin.creatorId,
      family: this.family,
      protocol,
      protocolName: protocolName(protocol),
      direction: this.direction,
      flags: { sloppy: this.isSloppy, pflow: false, sourceTrack: false, stickyAddress: false, noSync: true },
      src: this.#peer(LOCAL),
      dst: this.#peer(REMOTE),
      nk: key,
      sk: key,
      routeAddress: null,
      routingTables: null,
      enforcedSegmentBytes: null,
      timeout: flows.timeout(slot),
      updates: 0,
      enforcedTimeToLive: null,
      typeOfService: null,
      mark: this.mark,
      application: this.application,
      serverName: this.serverName,
      userId: this.userId,
      offload: this.offload,
      kernel: null,
    };
  }

  #rule(): RuleNames | undefined {
    const revision = this.#flows.revision(this.#slot);
    if (revision === 0) return undefined;
    return this.#names.rule(this.#flows.chain(this.#slot), this.#flows.rule(this.#slot), revision);
  }

  #details(): FlowDetails | undefined {
    return this.#names.details(this.#flows.id(this.#slot));
  }

  /** Which rule, and what was decided and when. A tracked flow was accepted with its first packet. */
  #judgement(): Pick<State, "rule" | "anchor" | "log" | "verdict"> {
    const names = this.#rule();
    const index = this.rule;
    const known = this.#details()?.verdict;
    const cause = index < 0 ? "default" : "rule";
    const verdict: Pick<State, "verdict">["verdict"] =
      known === undefined
        ? { verdict: "ACCEPT", cause, ageMs: this.ageMs }
        : { verdict: known.verdict, cause: known.cause, ageMs: this.#now - known.at };
    if (names === undefined) return { rule: null, anchor: null, log: false, verdict };
    const { chain, label, log, isStart } = names;
    const revision = this.#flows.revision(this.#slot);
    const anchor = isStart ? null : { index: this.#flows.chain(this.#slot), name: chain };
    return { rule: { chain, index: index < 0 ? null : index, revision, label }, anchor, log, verdict };
  }

  #key(): StateKey {
    const { family } = this;
    const remote = formatAddress(family, this.address("nk", STATE_END.REMOTE));
    const local = formatAddress(family, this.address("nk", STATE_END.LOCAL));
    const ports = [this.port("nk", STATE_END.REMOTE), this.port("nk", STATE_END.LOCAL)] as const;
    return { family, addresses: [remote, local], ports, zone: this.zone };
  }

  #peer(end: number): StatePeer {
    const flows = this.#flows;
    const slot = this.#slot;
    const level = this.level(end);
    const isTcp = this.protocol === PROTOCOL.TCP;
    const scale = flows.windowScale(slot, end);
    return {
      level,
      levelName: levelName(this.protocol, level),
      sequenceLow: isTcp ? flows.sequenceEnd(slot, end) : null,
      sequenceHigh: isTcp ? flows.sequenceLimit(slot, end) : null,
      sequenceDifference: 0,
      maxWindowBytes: isTcp ? flows.maxWindow(slot, end) : null,
      maxSegmentBytes: isTcp ? flows.segmentMax(slot, end) : null,
      windowScale: isTcp && scale !== NO_SCALE ? scale : null,
      minTimeToLive: flows.timeToLive(slot, end),
      scrubbed: false,
      timestampModulator: 0,
    };
  }
}

/**
 * The connection tracker: which flow a packet belongs to, what state that flow is in, and what the packet
 * does to it.
 *
 * {@link Tracker.lookup} looks and changes nothing; rules judge; {@link Tracker.commit} then enters an
 * accepted packet. A dropped packet is never committed, so it moves no state (PyWall, too, reports accepted
 * packets only). One tracker serves one worker: between the two calls nothing else happens to it, so no race
 * is left.
 *
 * The entry that a packet finds may be over: a SYN on a closed connection, or on one in TIME_WAIT, begins
 * another ("it MAY accept a new SYN from the remote TCP to reopen the connection directly from TIME-WAIT
 * state", RFC 1122 section 4.2.2.13). Rules see such a packet as they see one of an unknown flow.
 */
import {
  HOOK,
  invariant,
  LIMITS,
  type Milliseconds,
  PROTOCOL,
  TCP_FLAG,
  type TimeoutValues,
  tcpStateIndex,
} from "../base/index.ts";
import { decodeQuoted, NO_USER, Packet } from "../wire/index.ts";
import { COMMIT } from "./commit.ts";
import { COUNTER, Counters, type CounterValues } from "./counter.ts";
import { DATAGRAM_STATES, stepDatagram } from "./datagram-machine.ts";
import { DIRECTION, FLOWING } from "./direction.ts";
import { FlowKey, isEchoRequest } from "./flow-key.ts";
import { FlowReader } from "./flow-reader.ts";
import { BYTE, DOUBLE, FLOW_FLAG, HALF, WORD } from "./flow-row.ts";
import { doublesAt, NO_SLOT, SLOTS_MAX } from "./flow-slab.ts";
import { FlowTable } from "./flow-table.ts";
import { isAdoption, REOPENS, TcpFlows } from "./tcp-flow.ts";
import { checkTimeouts, defaultTimeouts } from "./timeout.ts";
import type { TrackerOptions } from "./tracker-options.ts";

const CLOSED = tcpStateIndex("CLOSED");
const INVALID = tcpStateIndex("INVALID");

/**
 * Flows that one call of {@link Tracker.expire} looks at unless told otherwise. Measured, state.bench: below
 * 2 ms.
 */
const EXPIRE_BUDGET = 1024;

/** Tracks the flows of one worker's packets. */
export class Tracker {
  /** Fields of flows, by slot. */
  readonly flows: FlowReader;
  /**
   * Slot of the flow that was looked up, -1 when it is unknown. After a commit that made one, the slot made.
   */
  slot: number = NO_SLOT;
  /** Index into TCP_STATES: the state before the packet, as rules see it. CLOSED when unknown or not TCP. */
  tcpState: number = CLOSED;
  /** A value of DIRECTION. ORIGINAL when the flow is unknown. */
  direction: number = DIRECTION.ORIGINAL;
  /** True when the packet is an ICMP error that quotes a packet of the flow in `slot`. */
  related = false;
  /** True when the packet belongs to a connection that {@link Tracker.kill} has ended. */
  killed = false;

  readonly #table: FlowTable;
  readonly #tcp: TcpFlows;
  readonly #counters = new Counters();
  readonly #key = new FlowKey();
  readonly #quoted = new Packet();
  /** True when the packet makes flows. */
  #trackable = false;
  /** Which way the packet flows, a value of FLOWING. */
  #flowing: number = FLOWING.RECEIVED;
  /** Slot of an ended connection whose tuple the packet takes over. */
  #ended: number = NO_SLOT;

  /** @throws {FirewallError} `TIMEOUT_INVALID` */
  constructor(options: TrackerOptions = {}) {
    const capacity = options.capacity ?? LIMITS.flows.default;
    invariant(capacity >= 1 && capacity <= SLOTS_MAX, "a tracker holds 1 to 16,777,216 flows");
    const timeouts = { ...defaultTimeouts(capacity), ...options.timeouts };
    checkTimeouts(timeouts);
    this.#table = new FlowTable({
      capacity,
      timeouts,
      seed: options.seed ?? [0, 0],
      counters: this.#counters,
      removed: options.removed,
      idle: options.idle,
      sealLost: options.sealLost,
      isOver: options.isOver,
    });
    this.isStrict = options.strict ?? false;
    this.#tcp = new TcpFlows(this.#table, this.#counters, options.strict ?? false, options.hasSeenFin);
    this.flows = new FlowReader(this.#table.slab);
  }

  /** True when the packet that was looked up begins another connection where one has ended. */
  get reopens(): boolean {
    return this.#ended !== NO_SLOT;
  }

  /** True when segments outside the window are INVALID. */
  readonly isStrict: boolean;

  /** Flows held, those included that have expired and whose memory has not come back yet. */
  get size(): number {
    return this.#table.size;
  }

  /** TCP connections among them that are not established yet. */
  get halfOpen(): number {
    return this.#table.halfOpen;
  }

  /** Most flows. */
  get capacity(): number {
    return this.#table.capacity;
  }

  /** Memory held by the table, in bytes. */
  get bytes(): number {
    return this.#table.bytes;
  }

  /** Most index entries that one packet ever had to move: the longest pause that growth made. */
  get longestMove(): number {
    return this.#table.longestMove;
  }

  /** Values of all counters, copied. */
  get counters(): CounterValues {
    return this.#counters.read();
  }

  /** Timeouts in milliseconds, adaptive.start and adaptive.end in flows. */
  get timeouts(): TimeoutValues {
    return this.#table.timeouts;
  }

  /**
   * Changes timeouts, for the flows that are there as well.
   *
   * @param values - those to change
   * @throws {FirewallError} `TIMEOUT_INVALID`; nothing is changed then
   */
  setTimeouts(values: Partial<TimeoutValues>): void {
    const timeouts = { ...this.#table.timeouts, ...values };
    checkTimeouts(timeouts);
    this.#table.timeouts = timeouts;
  }

  /**
   * Finds the flow of a packet and fills `slot`, `tcpState`, `direction` and `related`. Makes nothing.
   * Expected O(1).
   *
   * @param packet - a decoded packet; `packet.hook` decides which end is local
   * @param now - monotonic time
   */
  lookup(packet: Packet, now: Milliseconds): void {
    this.#table.advance(now);
    this.#counters.add(COUNTER.searches);
    this.slot = NO_SLOT;
    this.tcpState = CLOSED;
    this.direction = DIRECTION.ORIGINAL;
    this.related = false;
    this.killed = false;
    this.#ended = NO_SLOT;
    this.#trackable = this.#key.bind(packet, packet.hook);
    if (this.#trackable) this.#find(packet);
    else this.#findQuoted(packet);
    if (this.slot !== NO_SLOT) this.#counters.add(COUNTER.matches);
  }

  /**
   * Enters the packet that was looked up last, which was accepted: makes its flow or steps it.
   *
   * @param packet - the same packet
   * @param now - the same time
   * @returns bits of COMMIT
   */
  commit(packet: Packet, now: Milliseconds): number {
    this.#table.advance(now);
    if (this.related) {
      this.#counters.add(COUNTER.related);
      return COMMIT.RELATED;
    }
    if (!this.#trackable) return this.#pass();
    if (this.slot === NO_SLOT) return this.#make(packet);
    if (this.tcpState === INVALID) return COMMIT.INVALID | COMMIT.OUT_OF_WINDOW;
    const result = packet.protocol === PROTOCOL.TCP ? this.#stepTcp(packet) : this.#stepDatagram();
    this.#count(packet);
    if ((result & COMMIT.DISBELIEVED) === 0) this.#table.touch(this.slot);
    return result;
  }

  /**
   * Notes which rule judged a flow.
   *
   * @param slot - a live flow
   * @param chain - index of the chain, 0 to 65,535
   * @param rule - index in the chain, -1 for the default
   * @param revision - of the policy, at least 1
   */
  attribute(slot: number, chain: number, rule: number, revision: number): void {
    const { slab } = this.#table;
    slab.setHalf(slot, HALF.CHAIN, chain);
    slab.setWord(slot, WORD.RULE, rule);
    slab.setWord(slot, WORD.REVISION, revision);
  }

  /** Notes the protocol that was recognised on a flow, 0 to 65,535. */
  setNote(slot: number, note: number): void {
    this.#table.slab.setHalf(slot, HALF.NOTE, note);
  }

  /** Notes the mark of a flow, 32 bits. */
  setMark(slot: number, mark: number): void {
    this.#table.slab.setWord(slot, WORD.MARK, mark);
  }

  /** Flows that the kernel judges by itself. */
  get offloaded(): number {
    return this.#table.offloaded;
  }

  /** Notes whether the kernel judges a flow by itself; its windows are not enforced while it does. */
  setOffloaded(slot: number, offloaded: boolean): void {
    this.#table.setOffloaded(slot, offloaded);
  }

  /**
   * Notes that the kernel judges a connection by itself, and that from now on nothing is heard of it but a
   * reset and the beginning of another. Its owner is asked about it from time to time.
   *
   * @param slot - see {@link FlowReader.isEstablished}
   */
  carry(slot: number): void {
    this.#table.carry(slot);
  }

  /**
   * Notes that the kernel carries a connection, and has seen the last segment of its handshake for us.
   *
   * @param slot - see {@link FlowReader.isOpening}
   */
  carryUnseen(slot: number): void {
    this.#table.carryUnseen(slot);
  }

  /** All flows are judged here again. Those that the kernel judged are taken for alive. */
  takeBack(): void {
    this.#table.takeBack();
  }

  /**
   * Notes that packets of a flow have to be judged until its state changes, see
   * {@link FlowReader.isOpenEnded}.
   */
  setOpenEnded(slot: number): void {
    const { slab } = this.#table;
    slab.setHalf(slot, HALF.FLAGS, slab.half(slot, HALF.FLAGS) | FLOW_FLAG.OPEN_ENDED);
  }

  /**
   * Notes when the last packet of a flow was seen by somebody else. @param lastSeen - not after the present
   */
  renew(slot: number, lastSeen: Milliseconds): void {
    const { slab } = this.#table;
    const at = doublesAt(slot) + DOUBLE.LAST_SEEN;
    slab.doubles(slot)[at] = Math.max(slab.doubles(slot)[at] as number, lastSeen);
  }

  /**
   * Notes that both ends of a flow without a handshake have been seen by somebody else. A connection of TCP
   * is left alone.
   */
  answered(slot: number): void {
    if (this.flows.protocol(slot) === PROTOCOL.TCP) return;
    const flags = this.#table.slab.half(slot, HALF.FLAGS) | FLOW_FLAG.REPLIED;
    this.#table.setState(slot, DATAGRAM_STATES.indexOf("MULTIPLE"), flags);
  }

  /** Ends a flow that the kernel has seen end. A slot that holds none is left alone. */
  ended(slot: number): void {
    if (this.#table.slab.isLive(slot)) this.#table.remove(slot, COUNTER.expired);
  }

  /** When a flow expires if it stays silent. */
  expiry(slot: number): Milliseconds {
    return this.#table.deadline(slot);
  }

  /** Ends a flow on request: its next packet finds nothing. A slot that holds none is left alone. */
  remove(slot: number): void {
    if (!this.#table.slab.isLive(slot)) return;
    this.#table.endSeal(slot);
    this.#table.remove(slot, COUNTER.killed);
    if (slot === this.slot) this.slot = NO_SLOT;
    if (slot === this.#ended) this.#ended = NO_SLOT;
  }

  /**
   * Ends a flow for good. A connection stays as a closed entry for the timeout of closed ones, so that
   * segments on their way are not taken for a connection older than the firewall; only a SYN begins another.
   * Any other flow is removed.
   *
   * @param slot - a live flow
   */
  kill(slot: number): void {
    if (this.flows.protocol(slot) !== PROTOCOL.TCP) {
      this.remove(slot);
      return;
    }
    this.#table.endSeal(slot);
    const flags = this.#table.slab.half(slot, HALF.FLAGS);
    this.#table.setState(slot, CLOSED, flags | FLOW_FLAG.KILLED);
    this.#table.touch(slot);
    this.#counters.add(COUNTER.killed);
  }

  /**
   * Removes flows that have expired. To be called at least every few hundred milliseconds.
   *
   * @param now - monotonic time
   * @param budget - most flows to look at, so that the call is short; the rest waits for the next one
   * @returns flows removed
   */
  expire(now: Milliseconds, budget: number = EXPIRE_BUDGET): number {
    this.#table.advance(now);
    return this.#table.expire(budget);
  }

  #find(packet: Packet): void {
    this.#table.digest(this.#key);
    const slot = this.#findEitherWay(packet.hook === HOOK.FORWARD);
    if (slot === NO_SLOT) return;
    if (packet.protocol === PROTOCOL.TCP) {
      const state = this.#tcp.look(slot, this.#flowing, packet);
      if (state === REOPENS) {
        this.#reopen(packet, slot);
        return;
      }
      this.tcpState = state;
    }
    this.slot = slot;
    this.killed = this.flows.isKilled(slot);
    this.direction =
      this.flows.originalFlowing(slot) === this.#flowing ? DIRECTION.ORIGINAL : DIRECTION.REPLY;
  }

  /** Looks for the key, and at FORWARD, where either end may be the local one, for the turned key too. */
  #findEitherWay(turns: boolean): number {
    let slot = this.#table.find(this.#key);
    if (slot === NO_SLOT && turns) {
      this.#key.turn();
      slot = this.#table.find(this.#key);
      if (slot === NO_SLOT) this.#key.turn();
    }
    this.#flowing = this.#key.flowing;
    return slot;
  }

  /** The packet begins another connection: as far as anyone is concerned its flow is unknown. */
  #reopen(packet: Packet, slot: number): void {
    this.#ended = slot;
    this.#key.bind(packet, packet.hook);
    this.#flowing = this.#key.flowing;
  }

  /** Attaches an ICMP error to the flow it quotes: the quoted packet went the other way. */
  #findQuoted(packet: Packet): void {
    const quoted = this.#quoted;
    if (!decodeQuoted(packet, quoted)) return;
    const hook = quotedHook(packet.hook);
    if (!this.#key.bind(quoted, hook)) return;
    this.#table.digest(this.#key);
    const slot = this.#findEitherWay(hook === HOOK.FORWARD);
    if (slot === NO_SLOT) return;
    this.slot = slot;
    this.related = true;
    this.direction =
      this.flows.originalFlowing(slot) === this.#flowing ? DIRECTION.REPLY : DIRECTION.ORIGINAL;
  }

  #pass(): number {
    this.#counters.add(COUNTER.untracked);
    return COMMIT.UNTRACKED;
  }

  #make(packet: Packet): number {
    const isTcp = packet.protocol === PROTOCOL.TCP;
    // A RST ends nothing here, and an echo reply answers nothing.
    if (isTcp && (packet.tcpFlags & TCP_FLAG.RST) !== 0) return this.#pass();
    if (isIcmp(packet.protocol) && !isEchoRequest(packet)) return this.#pass();
    if (this.#ended !== NO_SLOT) this.#table.remove(this.#ended, COUNTER.replaced);
    const adopted = isTcp && isAdoption(packet.tcpFlags);
    const flags = packet.hook | (adopted ? FLOW_FLAG.SLOPPY : 0);
    const state = isTcp ? this.#tcp.firstState(this.#flowing, packet) : 0;
    const slot = this.#table.insert(this.#key, state, flags);
    if (slot === NO_SLOT) return COMMIT.REFUSED;
    this.slot = slot;
    this.#describe(packet);
    if (isTcp) this.#tcp.begin(slot, this.#flowing, packet);
    this.#count(packet);
    if (!adopted) return COMMIT.MADE;
    this.#counters.add(COUNTER.adopted);
    return COMMIT.MADE | COMMIT.ADOPTED;
  }

  /** Writes down what is known of a flow from its first packet. */
  #describe(packet: Packet): void {
    const { slab } = this.#table;
    slab.setWord(this.slot, WORD.USER, packet.userId);
    slab.setWord(this.slot, WORD.MARK, packet.mark);
    slab.setWord(this.slot, WORD.IN_INTERFACE, packet.inInterface);
    slab.setWord(this.slot, WORD.OUT_INTERFACE, packet.outInterface);
    slab.setWord(this.slot, WORD.RULE, -1);
  }

  #stepTcp(packet: Packet): number {
    const result = this.#tcp.step(this.slot, this.#flowing, packet);
    if (this.direction === DIRECTION.REPLY && (result & COMMIT.DISBELIEVED) === 0) this.#markReplied();
    return result;
  }

  #stepDatagram(): number {
    const state = this.flows.state(this.slot);
    const next = stepDatagram(state, this.direction);
    if (next !== state) this.#table.setState(this.slot, next, this.#table.slab.half(this.slot, HALF.FLAGS));
    if (this.direction === DIRECTION.REPLY) this.#markReplied();
    return next === state ? 0 : COMMIT.STEPPED;
  }

  #markReplied(): void {
    const flags = this.#table.slab.half(this.slot, HALF.FLAGS);
    if ((flags & FLOW_FLAG.REPLIED) !== 0) return;
    this.#table.setState(this.slot, this.flows.state(this.slot), flags | FLOW_FLAG.REPLIED);
  }

  #count(packet: Packet): void {
    const { slab } = this.#table;
    const { slot } = this;
    const doubles = slab.doubles(slot);
    const at = doublesAt(slot) + this.direction;
    doubles[at + DOUBLE.PACKETS] = (doubles[at + DOUBLE.PACKETS] as number) + 1;
    doubles[at + DOUBLE.BYTES] = (doubles[at + DOUBLE.BYTES] as number) + packet.wireBytes;
    const sender = this.#flowing;
    const lowest = slab.byte(slot, BYTE.TIME_TO_LIVE + sender);
    if (lowest === 0 || packet.timeToLive < lowest) {
      slab.setByte(slot, BYTE.TIME_TO_LIVE + sender, packet.timeToLive);
    }
    if (packet.userId !== NO_USER) slab.setWord(slot, WORD.USER, packet.userId);
  }
}

function isIcmp(protocol: number): boolean {
  return protocol === PROTOCOL.ICMP || protocol === PROTOCOL.ICMPV6;
}

/** Where the packet that an error quotes had been met: errors go against the packets that caused them. */
function quotedHook(hook: number): typeof HOOK.INPUT | typeof HOOK.OUTPUT | typeof HOOK.FORWARD {
  if (hook === HOOK.INPUT) return HOOK.OUTPUT;
  return hook === HOOK.OUTPUT ? HOOK.INPUT : HOOK.FORWARD;
}

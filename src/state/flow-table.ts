/**
 * The bounded table of flows: rows, index, expiry wheel and eviction queues as one.
 *
 * **Life of a flow.** {@link FlowTable.insert} makes it, evicting another when the table is full: the oldest
 * half-open flow, else the oldest closing one, else nothing and the new flow is refused. Before them goes a
 * connection that the kernel has carried to its end, of which nothing was heard here: the owner is asked
 * whether it is over, and one that is not never gives way. In a flood of flows that nobody has confirmed they
 * push out themselves. Each accepted packet calls {@link FlowTable.touch}. A flow whose deadline has passed
 * is gone for {@link FlowTable.find} at once; its memory comes back when the wheel gets to it.
 *
 * **Doubles** are not handed from method to method here, nor answered but for people: unless the callee
 * happens to be inlined, each costs an allocation of 16 bytes. So the present is a field, and instants are
 * read and written in place (measured, tracker-allocation.test).
 *
 * **Adaptive timeouts** make deadlines depend on how full the table is, so while they are at work (and after
 * a timeout was changed) a sweep goes through all rows once in an interval, as pf's purge does, in small
 * steps.
 */
import { type Milliseconds, SECOND, type TimeoutValues, tcpStateIndex } from "../base/index.ts";
import { COUNTER, type Counters } from "./counter.ts";
import { FlowHash } from "./flow-hash.ts";
import { FlowIndex } from "./flow-index.ts";
import { type FlowKey, kindProtocol } from "./flow-key.ts";
import { BYTE, DOUBLE, FLOW_FLAG, HALF, WORD } from "./flow-row.ts";
import { doublesAt, FlowSlab, NO_SLOT, wordsAt } from "./flow-slab.ts";
import type { FlowTableOptions, RemovalListener } from "./flow-table-options.ts";
import { flattenTimeouts, isHalfOpenTcp, phaseOf, STAGE, stageOf } from "./flow-stage.ts";
import { SlotLists } from "./slot-lists.ts";
import { leastTimeout } from "./timeout.ts";
import { TimingWheel } from "./timing-wheel.ts";

/** Time in which a sweep goes through the whole table; pf's `interval`. */
const SWEEP_INTERVAL: Milliseconds = 10 * SECOND;

/** Resolution of the expiry wheel. */
const TICK: Milliseconds = 100;

/** Time after which the owner is asked again about a flow that seems idle, in ticks. */
const IDLE_TICKS = 100;

/**
 * Time after which the owner is asked about a connection that the kernel carries, and again, since nothing is
 * heard of its end: half of what the kernel keeps one that is over (nf_conntrack_tcp_timeout_time_wait).
 */
const CARRIED_MS: Milliseconds = 60 * SECOND;

/** List of the flows that the kernel carries, behind those of the stages. */
const CARRIED_LIST = STAGE.ESTABLISHED;

const ESTABLISHED = tcpStateIndex("ESTABLISHED");

/** Part of the table that flows which nobody has confirmed must fill to be taken for a flood. */
const FLOOD_SHARE = 1 / 8;

/** Connections in a tick that a full table asks about in vain: each question takes some 20 microseconds. */
const VAIN_QUESTIONS = 32;

/** Rows a sweep looks at for each unit of the expiry budget: a look costs far less than a removal. */
const SWEEP_ROWS = 4;

/** A bounded table of flows. */
export class FlowTable {
  readonly slab: FlowSlab = new FlowSlab();
  readonly capacity: number;
  readonly #counters: Counters;
  readonly #removed: RemovalListener | undefined;
  readonly #idle: ((slot: number) => void) | undefined;
  readonly #sealLost: ((slot: number) => void) | undefined;
  readonly #isOver: ((slot: number) => boolean) | undefined;
  readonly #hash: FlowHash;
  readonly #index: FlowIndex;
  /** TCP connections that are not established yet. */
  halfOpen = 0;
  /** Flows that the kernel judges by itself. */
  offloaded = 0;
  /** Flows that nobody has confirmed. */
  #unconfirmed = 0;
  /** Questions that were asked in vain in a tick. */
  #vainQuestions = 0;
  #vainTick = 0;
  readonly #wheel: TimingWheel;
  readonly #queues: SlotLists;
  #timeouts: TimeoutValues;
  #phaseTimeouts: Float64Array;
  /** What the shortest timeout shrinks to when the table is full. */
  #leastTimeout: Milliseconds;
  /** The key that {@link FlowTable.find} looks for. */
  #wanted: FlowKey | undefined = undefined;
  /** Factor by which timeouts shrink at the present size. */
  #scale = 1;
  /** The present. */
  #now: Milliseconds = Number.NEGATIVE_INFINITY;
  /** When tick zero of the wheel was: the first instant the table hears of. */
  #epoch: Milliseconds = Number.NaN;
  #sweepAt = 0;
  /** Rows that are still to be swept because a timeout was changed. */
  #sweepsOwed = 0;
  #lastSweep: Milliseconds = Number.NaN;

  constructor(options: FlowTableOptions) {
    this.capacity = options.capacity;
    this.#counters = options.counters;
    this.#removed = options.removed;
    this.#idle = options.idle;
    this.#sealLost = options.sealLost;
    this.#isOver = options.isOver;
    this.#hash = new FlowHash(options.seed);
    this.#index = new FlowIndex(this);
    this.#wheel = new TimingWheel(this.slab);
    this.#queues = new SlotLists(this.slab, WORD.QUEUE_NEXT, CARRIED_LIST + 1);
    this.#timeouts = options.timeouts;
    this.#phaseTimeouts = flattenTimeouts(options.timeouts);
    this.#leastTimeout = leastTimeout(options.timeouts, options.capacity);
  }

  /** Flows held, those included that have expired and wait for the wheel. */
  get size(): number {
    return this.slab.size;
  }

  /** Memory held for flows and index, in bytes. */
  get bytes(): number {
    return this.slab.bytes + this.#index.bytes;
  }

  /** Most index entries that one insertion ever moved. */
  get longestMove(): number {
    return this.#index.longestMove;
  }

  get timeouts(): TimeoutValues {
    return this.#timeouts;
  }

  /** Changes timeouts, for the flows that are there as well. */
  set timeouts(values: TimeoutValues) {
    this.#timeouts = values;
    this.#phaseTimeouts = flattenTimeouts(values);
    this.#leastTimeout = leastTimeout(values, this.capacity);
    this.#sweepsOwed = this.slab.reach;
    this.#rescale();
  }

  /** Tells the time. It never goes back: packets of a capture may be out of order by a little. */
  advance(now: Milliseconds): void {
    if (now > this.#now) this.#now = now;
    if (Number.isNaN(this.#epoch)) this.#epoch = now;
  }

  /** Gives a key its hash, which find and insert rely on; turning the key keeps it. */
  digest(key: FlowKey): void {
    key.hash = this.#hash.of(key.words, 0, key.kind);
  }

  /**
   * Slot of the flow with this key, -1 when there is none. A flow found to have expired is removed. Expected
   * O(1).
   */
  find(key: FlowKey): number {
    this.#wanted = key;
    const slot = this.#index.find(key.hash);
    if (slot === NO_SLOT || !this.#isExpired(slot) || this.#isOwned(slot)) return slot;
    this.remove(slot, COUNTER.expired);
    return NO_SLOT;
  }

  /**
   * Makes a flow of a key that the table has not.
   *
   * @param key - its ends, with their hash
   * @param state - its first state
   * @param flags - bits of FLOW_FLAG
   * @returns its slot, -1 when the table is full of established flows
   */
  insert(key: FlowKey, state: number, flags: number): number {
    if (this.size >= this.capacity && !this.#evict()) {
      this.#counters.add(COUNTER.refused);
      return NO_SLOT;
    }
    const { slab } = this;
    const slot = slab.allocate();
    slab.words(slot).set(key.words, wordsAt(slot));
    slab.setHalf(slot, HALF.KIND, key.kind);
    slab.setHalf(slot, HALF.FLAGS, flags);
    slab.setByte(slot, BYTE.STATE, state);
    slab.doubles(slot)[doublesAt(slot) + DOUBLE.CREATED] = this.#now;
    this.touch(slot);
    this.#rescale();
    this.#index.insert(key.hash, slot);
    const phase = this.#phase(slot);
    if (isHalfOpenTcp(phase)) this.halfOpen += 1;
    this.#enqueue(slot, stageOf(phase));
    this.#wheel.advance(this.#tick);
    this.#wheel.schedule(slot, this.#deadlineTick(slot));
    this.#counters.add(COUNTER.inserts);
    return slot;
  }

  /** Marks a flow as alive now. The wheel hears of it when the flow's turn comes. */
  touch(slot: number): void {
    this.slab.doubles(slot)[doublesAt(slot) + DOUBLE.LAST_SEEN] = this.#now;
  }

  /** Puts a flow into another state, and where state and flags then belong. */
  setState(slot: number, state: number, flags: number): void {
    const before = this.#phase(slot);
    this.slab.setByte(slot, BYTE.STATE, state);
    this.slab.setHalf(slot, HALF.FLAGS, flags);
    const after = this.#phase(slot);
    if (after === before) return;
    if (isHalfOpenTcp(before)) this.halfOpen -= 1;
    if (isHalfOpenTcp(after)) this.halfOpen += 1;
    if (stageOf(after) !== stageOf(before)) {
      this.#dequeue(slot, stageOf(before));
      this.#enqueue(slot, stageOf(after));
    }
    if (this.#isShorter(after, before)) this.#reschedule(slot);
  }

  /** Notes whether the kernel judges a flow by itself. */
  setOffloaded(slot: number, offloaded: boolean): void {
    const { slab } = this;
    if (!offloaded && this.#isCarried(slot)) {
      this.#queues.remove(slot);
      slab.setHalf(slot, HALF.FLAGS, slab.half(slot, HALF.FLAGS) & ~FLOW_FLAG.CARRIED);
    }
    if (this.#isOffloaded(slot) === offloaded) return;
    this.offloaded += offloaded ? 1 : -1;
    const flags = slab.half(slot, HALF.FLAGS);
    slab.setHalf(slot, HALF.FLAGS, offloaded ? flags | FLOW_FLAG.OFFLOADED : flags & ~FLOW_FLAG.OFFLOADED);
  }

  /**
   * Notes that the kernel judges a connection by itself and that nothing is heard of it.
   *
   * @param slot - of one at the stage ESTABLISHED
   */
  carry(slot: number): void {
    this.setOffloaded(slot, true);
    if (this.#isCarried(slot)) return;
    this.slab.setHalf(slot, HALF.FLAGS, this.slab.half(slot, HALF.FLAGS) | FLOW_FLAG.CARRIED);
    this.#queues.append(CARRIED_LIST, slot);
    this.#reschedule(slot);
  }

  /** Notes the same of a connection whose handshake the kernel has seen to its end, and we have not. */
  carryUnseen(slot: number): void {
    const flags = this.slab.half(slot, HALF.FLAGS) & ~FLOW_FLAG.OPEN_ENDED;
    const known = (flags & FLOW_FLAG.SLOPPY) === 0 ? FLOW_FLAG.NUMBERED : 0;
    this.setState(slot, ESTABLISHED, flags | known);
    this.carry(slot);
  }

  /** Ends the seal of a flow that leaves or is ended, if it has one, and tells of it. */
  loseSeal(slot: number): void {
    if (this.#isOffloaded(slot)) this.#sealLost?.(slot);
    this.setOffloaded(slot, false);
  }

  /** Ends the seal of a flow that is ended on request; that of a connection may be prepared as it opens. */
  endSeal(slot: number): void {
    if (isHalfOpenTcp(this.#phase(slot))) this.#sealLost?.(slot);
    this.loseSeal(slot);
  }

  /** True when the kernel has seen the end of a connection that it carries, as far as can be told. */
  isOver(slot: number): boolean {
    return this.#isOver?.(slot) === true;
  }

  /**
   * Notes of all flows that the kernel no longer judges them, and that nothing is known of what is to come.
   * Those that it carried may be over: of these the owner is still asked.
   */
  takeBack(): void {
    const { slab } = this;
    for (let slot = 0; slot < slab.reach; slot += 1) {
      if (!slab.isLive(slot)) continue;
      const wasOffloaded = this.#isOffloaded(slot);
      const flags = slab.half(slot, HALF.FLAGS) & ~(this.#reasked(slot) | FLOW_FLAG.OFFLOADED);
      slab.setHalf(slot, HALF.FLAGS, wasOffloaded ? flags | FLOW_FLAG.STALE : flags);
      if (wasOffloaded) this.touch(slot);
    }
    this.offloaded = 0;
  }

  /**
   * OPEN_ENDED where another policy may find the flow to be none. A connection that closes may be so because
   * of a FIN that was sent again, which no policy changes.
   */
  #reasked(slot: number): number {
    return stageOf(this.#phase(slot)) === STAGE.CLOSING ? 0 : FLOW_FLAG.OPEN_ENDED;
  }

  /** When the flow expires if it stays silent. */
  deadline(slot: number): Milliseconds {
    const timeout = this.#phaseTimeouts[this.#phase(slot)] as number;
    return this.slab.double(slot, DOUBLE.LAST_SEEN) + timeout * this.#scale;
  }

  /**
   * Takes a flow out.
   *
   * @param cause - the counter that tells why
   */
  remove(slot: number, cause: number): void {
    if (this.#removed !== undefined) this.#removed(slot, cause);
    if (isHalfOpenTcp(this.#phase(slot))) this.halfOpen -= 1;
    // What gives way to its own successor has no seal left, nor needs what is over to lose one.
    if (cause === COUNTER.replaced || cause === COUNTER.evictedCarried) this.setOffloaded(slot, false);
    else this.loseSeal(slot);
    this.#index.remove(this.hashOf(slot), slot);
    this.#wheel.cancel(slot);
    this.#dequeue(slot, stageOf(this.#phase(slot)));
    this.slab.free(slot);
    this.#rescale();
    this.#counters.add(COUNTER.removals);
    this.#counters.add(cause);
  }

  /**
   * Removes flows that have expired.
   *
   * @param budget - most flows to look at
   * @returns flows removed
   */
  expire(budget: number): number {
    this.#wheel.advance(this.#tick);
    const before = this.size;
    let looks = 0;
    for (; looks < budget; looks += 1) {
      const slot = this.#wheel.due;
      if (slot === NO_SLOT) break;
      this.#expireOrReschedule(slot);
    }
    this.#sweep((budget - looks) * SWEEP_ROWS);
    return before - this.size;
  }

  /** Hash of the key in a row, for the index. */
  hashOf(slot: number): number {
    return this.#hash.of(this.slab.words(slot), wordsAt(slot), this.slab.half(slot, HALF.KIND));
  }

  /** True when a row holds the key that is looked for, for the index. */
  matches(slot: number): boolean {
    const key = this.#wanted as FlowKey;
    return this.slab.half(slot, HALF.KIND) === key.kind && key.matches(this.slab.words(slot), wordsAt(slot));
  }

  /**
   * A flow that the kernel judges is not seen: its owner is told that it seems idle, and looks. So is a
   * connection whose SYN was answered: the acknowledgement may have been lost on its way to us alone.
   */
  #expireOrReschedule(slot: number): void {
    if (!this.#isExpired(slot)) this.#reschedule(slot);
    else if (this.#idle === undefined || !(this.#isOwned(slot) || this.#mayStand(slot)))
      this.remove(slot, COUNTER.expired);
    else {
      this.#wheel.cancel(slot);
      this.#wheel.schedule(slot, (this.#tick + (this.#isCarried(slot) ? CARRIED_MS / TICK : IDLE_TICKS)) | 0);
      this.#idle(slot);
    }
  }

  #isOffloaded(slot: number): boolean {
    return (this.slab.half(slot, HALF.FLAGS) & FLOW_FLAG.OFFLOADED) !== 0;
  }

  /** True when the owner must be asked before the flow may go. */
  #isOwned(slot: number): boolean {
    return (this.slab.half(slot, HALF.FLAGS) & (FLOW_FLAG.OFFLOADED | FLOW_FLAG.CARRIED)) !== 0;
  }

  /** True for a connection whose SYN was answered, and no more seen; in a flood of such nobody is asked. */
  #mayStand(slot: number): boolean {
    if (this.#isFlooded || !isHalfOpenTcp(this.#phase(slot))) return false;
    return (this.slab.half(slot, HALF.FLAGS) & FLOW_FLAG.REPLIED) !== 0;
  }

  /** True while flows that nobody has confirmed fill much of the table. */
  get #isFlooded(): boolean {
    return this.#unconfirmed > this.capacity * FLOOD_SHARE;
  }

  #isCarried(slot: number): boolean {
    return (this.slab.half(slot, HALF.FLAGS) & FLOW_FLAG.CARRIED) !== 0;
  }

  #isExpired(slot: number): boolean {
    const silence = this.#now - (this.slab.doubles(slot)[doublesAt(slot) + DOUBLE.LAST_SEEN] as number);
    // Most flows were seen so lately that no timeout can have run out, which saves looking theirs up.
    if (silence < this.#leastTimeout) return false;
    if (silence >= CARRIED_MS && this.#idle !== undefined && this.#isCarried(slot)) return true;
    return silence >= (this.#phaseTimeouts[this.#phase(slot)] as number) * this.#scale;
  }

  /** Sets the factor after a change of size or of timeouts. */
  #rescale(): void {
    const start = this.#timeouts["adaptive.start"];
    const end = this.#timeouts["adaptive.end"];
    if (start === 0 || this.size <= start) this.#scale = 1;
    else this.#scale = Math.max(end - this.size, 0) / (end - start);
  }

  #phase(slot: number): number {
    const { slab } = this;
    const protocol = kindProtocol(slab.half(slot, HALF.KIND));
    return phaseOf(protocol, slab.byte(slot, BYTE.STATE), slab.half(slot, HALF.FLAGS));
  }

  #isShorter(phase: number, other: number): boolean {
    return (this.#phaseTimeouts[phase] as number) < (this.#phaseTimeouts[other] as number);
  }

  #reschedule(slot: number): void {
    this.#wheel.cancel(slot);
    this.#wheel.schedule(slot, this.#deadlineTick(slot));
  }

  /** Tick of the present. */
  get #tick(): number {
    return Math.floor((this.#now - this.#epoch) / TICK) | 0;
  }

  /** First tick by which a flow has expired. */
  #deadlineTick(slot: number): number {
    const longest = this.#isCarried(slot) ? CARRIED_MS : Number.POSITIVE_INFINITY;
    const timeout = Math.min((this.#phaseTimeouts[this.#phase(slot)] as number) * this.#scale, longest);
    const lastSeen = (this.slab.doubles(slot)[doublesAt(slot) + DOUBLE.LAST_SEEN] as number) - this.#epoch;
    return (Math.floor((lastSeen + timeout) / TICK) + 1) | 0;
  }

  #enqueue(slot: number, stage: number): void {
    if (stage === STAGE.ESTABLISHED) this.#queues.leave(slot);
    else this.#queues.append(stage, slot);
    if (stage === STAGE.HALF_OPEN) this.#unconfirmed += 1;
  }

  #dequeue(slot: number, stage: number): void {
    if (this.#queues.isListed(slot)) this.#queues.remove(slot);
    if (stage === STAGE.HALF_OPEN) this.#unconfirmed -= 1;
  }

  /** Makes room for one flow; false when nobody has to give way. */
  #evict(): boolean {
    return (
      (!this.#isFlooded && this.#evictOver()) ||
      this.#evictFirst(STAGE.HALF_OPEN, COUNTER.evictedHalfOpen) ||
      this.#evictOver() ||
      this.#evictFirst(STAGE.CLOSING, COUNTER.evictedClosing)
    );
  }

  /**
   * Takes out a connection that was carried to its end; those that are not over go to the end of the list.
   */
  #evictOver(): boolean {
    if (this.#vainTick !== this.#tick) this.#vainQuestions = 0;
    this.#vainTick = this.#tick;
    while (this.#vainQuestions < VAIN_QUESTIONS) {
      const slot = this.#queues.first(CARRIED_LIST);
      if (slot === NO_SLOT) return false;
      if (this.isOver(slot)) {
        this.remove(slot, COUNTER.evictedCarried);
        return true;
      }
      this.#vainQuestions += 1;
      this.#queues.remove(slot);
      this.#queues.append(CARRIED_LIST, slot);
    }
    return false;
  }

  #evictFirst(list: number, cause: number): boolean {
    const slot = this.#queues.first(list);
    if (slot !== NO_SLOT) this.remove(slot, cause);
    return slot !== NO_SLOT;
  }

  /** Looks at as many rows as the time since the last sweep calls for. */
  #sweep(rowsMax: number): void {
    const elapsed = this.#now - this.#lastSweep;
    this.#lastSweep = this.#now;
    const { reach } = this.slab;
    const start = this.#timeouts["adaptive.start"];
    const adapting = start > 0 && this.size > start;
    if ((!adapting && this.#sweepsOwed === 0) || !(elapsed > 0)) return;
    const rows = Math.min(Math.ceil((reach * elapsed) / SWEEP_INTERVAL), reach, rowsMax);
    this.#sweepsOwed = Math.max(this.#sweepsOwed - rows, 0);
    for (let count = 0; count < rows; count += 1) {
      if (this.#sweepAt >= reach) this.#sweepAt = 0;
      const slot = this.#sweepAt;
      this.#sweepAt += 1;
      if (!this.slab.isLive(slot)) continue;
      this.#expireOrReschedule(slot); // Its timeout may be shorter than the one the wheel was told.
    }
  }
}

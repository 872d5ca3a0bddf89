/**
 * Knocking for a hostile network. What differs from the compatible mode, and is chosen so that the kernel's
 * sets can hold it to the letter (src/backend/plan/knock-sets.ts):
 *
 * - Only packets to a door or to the protected port mean anything, and of IPv6 only those without extension
 *   headers.
 * - A TCP knock is a SYN and nothing else (no ACK, RST or FIN beside it).
 * - A packet to a door that is not the next one is a wrong knock: the source begins again. Sweeping all ports
 *   in order opens nothing unless the doors are neighbours.
 * - A SYN that has counted, sent again (same source, ports and sequence number), neither counts a second time
 *   nor is a wrong knock, for `deadline` after it has counted: copies may come late, of earlier tries too.
 * - The first knock and the last are at most `deadline` apart.
 * - A source may begin `attempts` times at once, and gets back as many in `attempt_window`, steadily, as a
 *   token bucket has it; further first knocks do not count. Passing all doors fills the bucket.
 * - A source whose times have all run out is forgotten; the table is bounded besides (see source-table.ts),
 *   and open ports are given up last, so spoofed knocks cannot close them.
 * - Nothing is printed: the log and the rule's counters tell of knocks.
 */
import { type AddressWords, type Family, PROTOCOL, TCP_FLAG } from "../../base/index.ts";
import type { Packet } from "../../wire/index.ts";
import type { RuleContext } from "../rule.ts";
import { RANK, RANKS, SourceTable } from "../source-table.ts";
import { type Door, EVENT, isAtDoor, type KnockPlan, KnockRule, knockRank } from "./knock-plan.ts";

// Numbers of a source in the table.
const PASSED = 0;
const FIRST = 1;
const LAST = 2;
/** Tokens that are missing from its bucket. */
const SPENT = 3;
const FILLED_AT = 4;

/** Numbers that the table holds for each source. */
const WIDTH = 5;

/** Words that a SYN is known by: the source's address, both ports, the sequence number. */
const SYN_WORDS = 6;

/** Of a SYN that has counted: when. */
const SYN_WIDTH = 1;

/** Without extension headers (RFC 8200 section 3). */
const IPV6_HEADER_BYTES = 40;

const HANDSHAKE_FLAGS = TCP_FLAG.SYN | TCP_FLAG.ACK | TCP_FLAG.RST | TCP_FLAG.FIN;

function isOpeningSyn(packet: Packet): boolean {
  return packet.protocol === PROTOCOL.TCP && (packet.tcpFlags & HANDSHAKE_FLAGS) === TCP_FLAG.SYN;
}

function roundUp(bytes: number): number {
  return 8 * Math.ceil(bytes / 8);
}

/** The stricter PortKnocking. */
export class StrictKnocks extends KnockRule {
  /** What the table says of the source, and what it will say after the step. */
  readonly #entry = new Float64Array(WIDTH);
  /** SYNs that have counted. Asked under the lock of the table of sources, besides its own. */
  readonly #counted: SourceTable;
  readonly #syn: AddressWords = new Uint32Array(SYN_WORDS);

  /** Bytes of shared memory. @param capacity - most sources, and most SYNs */
  static bytes(capacity: number): number {
    const sources = SourceTable.bytes(capacity, WIDTH);
    return roundUp(sources) + SourceTable.bytes(capacity, SYN_WIDTH, SYN_WORDS);
  }

  constructor(plan: KnockPlan, memory: SharedArrayBuffer, capacity: number) {
    super(plan, new SourceTable(memory, capacity, WIDTH));
    const at = roundUp(SourceTable.bytes(capacity, WIDTH));
    this.#counted = new SourceTable(memory, capacity, SYN_WIDTH, { keyWords: SYN_WORDS, at });
  }

  override step(packet: Packet, context: RuleContext, keep: boolean): number {
    if (packet.family === 0) return EVENT.FALL_THROUGH;
    if (packet.family === 6 && packet.transportAt - packet.at > IPV6_HEADER_BYTES) return EVENT.FALL_THROUGH;
    const slot = this.table.find(packet.family, packet.source);
    this.#load(slot);
    this.#forgetOld(context);
    const event = this.#classify(packet, packet.family, context);
    if (keep && (event === EVENT.ADVANCE || event === EVENT.RESET || event === EVENT.REFUSED)) {
      this.#store(packet, slot, context);
      if (event === EVENT.ADVANCE) this.#noteSyn(packet, packet.family, context);
    }
    this.passed = this.#entry[PASSED] ?? 0;
    return event;
  }

  #load(slot: number): void {
    const at = slot * WIDTH;
    for (let column = 0; column < WIDTH; column += 1) {
      this.#entry[column] = slot < 0 ? 0 : (this.table.values[at + column] ?? 0);
    }
  }

  /** Takes back what the source has passed when it was too slow, or when its opening has ended. */
  #forgetOld(context: RuleContext): void {
    const { timeout, deadline, doors } = this.plan;
    const passed = this.#entry[PASSED] ?? 0;
    const late = passed < doors.length && (this.#entry[FIRST] ?? 0) + deadline < context.now;
    if (late || (this.#entry[LAST] ?? 0) + timeout < context.now) this.#entry[PASSED] = 0;
  }

  // oxlint-disable-next-line max-params -- the family once more: only here it is known to be one
  #classify(packet: Packet, family: Family, context: RuleContext): number {
    const { plan } = this;
    const passed = this.#entry[PASSED] ?? 0;
    if (passed >= plan.doors.length) {
      const wanted = packet.protocol === plan.protocol && packet.destinationPort === plan.port;
      return wanted ? EVENT.ACCEPT : EVENT.RECOGNISED;
    }
    if (!this.#isAtAnyDoor(packet)) return EVENT.FALL_THROUGH;
    if (this.#hasCounted(packet, family, context)) return EVENT.REPEATED;
    if (this.#isKnock(packet, plan.doors[passed])) return this.#advance(context);
    if (passed === 0 || isAtDoor(packet, plan.doors[passed])) return EVENT.FALL_THROUGH;
    this.#entry[PASSED] = 0;
    return this.#isKnock(packet, plan.doors[0]) ? this.#advance(context) : EVENT.RESET;
  }

  #isAtAnyDoor(packet: Packet): boolean {
    const { doors } = this.plan;
    for (let at = 0; at < doors.length; at += 1) {
      if (isAtDoor(packet, doors[at])) return true;
    }
    return false;
  }

  #isKnock(packet: Packet, door: Door | undefined): boolean {
    const { sourcePort } = this.plan;
    if (!isAtDoor(packet, door)) return false;
    if (sourcePort !== undefined && packet.sourcePort !== sourcePort) return false;
    return packet.protocol !== PROTOCOL.TCP || isOpeningSyn(packet);
  }

  #advance(context: RuleContext): number {
    const passed = this.#entry[PASSED] ?? 0;
    if (passed === 0 && !this.#mayBegin(context)) return EVENT.REFUSED;
    this.#entry[PASSED] = passed + 1;
    this.#entry[LAST] = context.now;
    if (passed + 1 >= this.plan.doors.length) this.#entry[SPENT] = 0;
    return EVENT.ADVANCE;
  }

  #mayBegin(context: RuleContext): boolean {
    const { attempts, attemptWindow } = this.plan;
    // Workers read the clock each for itself; time never runs back for a bucket.
    const elapsed = Math.max(0, context.now - (this.#entry[FILLED_AT] ?? 0));
    const spent = Math.max(0, (this.#entry[SPENT] ?? 0) - (elapsed * attempts) / attemptWindow);
    const may = spent + 1 <= attempts;
    this.#entry[SPENT] = may ? spent + 1 : spent;
    this.#entry[FILLED_AT] = Math.max(context.now, this.#entry[FILLED_AT] ?? 0);
    if (may) this.#entry[FIRST] = context.now;
    return may;
  }

  /** Writes down what a SYN is known by. */
  #readSyn(packet: Packet): void {
    for (let word = 0; word < 4; word += 1) this.#syn[word] = packet.source[word] ?? 0;
    this.#syn[4] = ((packet.sourcePort << 16) | packet.destinationPort) >>> 0;
    this.#syn[5] = packet.sequence;
  }

  // oxlint-disable-next-line max-params -- as above
  #hasCounted(packet: Packet, family: Family, context: RuleContext): boolean {
    if (this.#counted.size === 0 || !isOpeningSyn(packet)) return false;
    this.#readSyn(packet);
    this.#counted.lock();
    try {
      const slot = this.#counted.find(family, this.#syn);
      return slot >= 0 && !this.#isOver(slot, context);
    } finally {
      this.#counted.unlock();
    }
  }

  // oxlint-disable-next-line max-params -- as above
  #noteSyn(packet: Packet, family: Family, context: RuleContext): void {
    if (!isOpeningSyn(packet)) return;
    this.#readSyn(packet);
    const counted = this.#counted;
    counted.lock();
    try {
      const known = counted.find(family, this.#syn);
      const oldest = counted.oldest(RANK.LOW);
      if (known < 0 && oldest >= 0 && this.#isOver(oldest, context)) counted.remove(oldest);
      const slot = known < 0 ? counted.insert(family, this.#syn) : known;
      counted.values[slot] = context.now;
      counted.touch(slot, RANK.LOW);
    } finally {
      counted.unlock();
    }
  }

  #isOver(slot: number, context: RuleContext): boolean {
    return (this.#counted.values[slot] ?? 0) + this.plan.deadline < context.now;
  }

  #store(packet: Packet, known: number, context: RuleContext): void {
    const { table, plan } = this;
    if (packet.family === 0) return;
    if (known < 0) this.#dropExpired(context);
    const slot = known < 0 ? table.insert(packet.family, packet.source) : known;
    for (let column = 0; column < WIDTH; column += 1) {
      table.values[slot * WIDTH + column] = this.#entry[column] ?? 0;
    }
    table.touch(slot, knockRank(this.#entry[PASSED] ?? 0, plan.doors.length));
  }

  /** One source of each rank at most, so that the work per packet stays the same. */
  #dropExpired(context: RuleContext): void {
    for (const rank of RANKS) {
      const slot = this.table.oldest(rank);
      if (slot >= 0 && this.#isExpired(slot, context)) this.table.remove(slot);
    }
  }

  #isExpired(slot: number, context: RuleContext): boolean {
    const { timeout, attemptWindow } = this.plan;
    const at = slot * WIDTH;
    const last = this.table.values[at + LAST] ?? 0;
    const filledAt = this.table.values[at + FILLED_AT] ?? 0;
    return last + timeout < context.now && filledAt + attemptWindow < context.now;
  }
}

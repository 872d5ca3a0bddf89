/**
 * Knocking for a hostile network. Beyond the compatible mode:
 *
 * - A TCP knock is a SYN and nothing else (no ACK, RST or FIN beside it).
 * - A packet to a door that is not the next one is a wrong knock: the source begins again. Sweeping all ports
 *   in order opens nothing unless the doors are neighbours.
 * - The SYN counted last, sent again by its sender's TCP (same ports, same sequence number), is no wrong
 *   knock.
 * - The first knock and the last are at most `deadline` apart.
 * - A source may begin `attempts` times within `attempt_window`; further first knocks do not count. Passing
 *   all doors clears the count.
 * - A source whose times have all run out is forgotten; the table is bounded besides (see source-table.ts),
 *   and open ports are given up last, so spoofed knocks cannot close them.
 */
import { formatAddress, PROTOCOL, TCP_FLAG } from "../../base/index.ts";
import type { Packet } from "../../wire/index.ts";
import type { RuleContext } from "../rule.ts";
import { RANKS } from "../source-table.ts";
import { type Door, EVENT, isAtDoor, KnockRule, knockRank } from "./knock-plan.ts";

// Numbers of a source in the table.
const PASSED = 0;
const FIRST = 1;
const LAST = 2;
const ATTEMPTS = 3;
const WINDOW_START = 4;
const SOURCE_PORT = 5;
const SEQUENCE = 6;

/** Numbers that the table holds for each source. */
export const STRICT_WIDTH = 7;

const HANDSHAKE_FLAGS = TCP_FLAG.SYN | TCP_FLAG.ACK | TCP_FLAG.RST | TCP_FLAG.FIN;

function isOpeningSyn(packet: Packet): boolean {
  return (packet.tcpFlags & HANDSHAKE_FLAGS) === TCP_FLAG.SYN;
}

/** The stricter PortKnocking. */
export class StrictKnocks extends KnockRule {
  /** What the table says of the source, and what it will say after the step. */
  readonly #entry = new Float64Array(STRICT_WIDTH);

  override step(packet: Packet, context: RuleContext, keep: boolean): number {
    if (packet.family === 0) return EVENT.FALL_THROUGH;
    const slot = this.table.find(packet.family, packet.source);
    this.#load(slot);
    const timedOut = this.#forgetOld(context) ? EVENT.TIMED_OUT : EVENT.FALL_THROUGH;
    const event = this.#classify(packet, context);
    const changed = event === EVENT.ADVANCE || event === EVENT.RESET || event === EVENT.REFUSED;
    if (keep && (changed || timedOut !== EVENT.FALL_THROUGH)) this.#store(packet, slot, context);
    this.passed = this.#entry[PASSED] ?? 0;
    return event | timedOut;
  }

  override announce(event: number, packet: Packet, context: RuleContext): void {
    const { report } = context;
    const kind = event & ~EVENT.TIMED_OUT;
    if (event === EVENT.FALL_THROUGH || kind === EVENT.RECOGNISED || kind === EVENT.REPEATED) return;
    const source = packet.family === 0 ? "?" : formatAddress(packet.family, packet.source);
    if ((event & EVENT.TIMED_OUT) !== 0) report.print(`PortKnocking: timeout -- fall through: ${source}`);
    if (kind === EVENT.ACCEPT) report.print(`PortKnocking: accepting from ${source}`);
    if (kind === EVENT.ADVANCE) report.print(`PortKnocking: advance to ${this.passed}`);
    if (kind === EVENT.RESET) report.print(`PortKnocking: wrong knock -- reset: ${source}`);
    if (kind === EVENT.REFUSED) report.print(`PortKnocking: too many attempts: ${source}`);
  }

  #load(slot: number): void {
    const at = slot * STRICT_WIDTH;
    for (let column = 0; column < STRICT_WIDTH; column += 1) {
      this.#entry[column] = slot < 0 ? 0 : (this.table.values[at + column] ?? 0);
    }
  }

  /** Takes back what the source has passed when it was too slow, or when its opening has ended. */
  #forgetOld(context: RuleContext): boolean {
    const { timeout, deadline, doors } = this.plan;
    const passed = this.#entry[PASSED] ?? 0;
    if (passed === 0) return false;
    const late = passed < doors.length && (this.#entry[FIRST] ?? 0) + deadline < context.now;
    if (!late && (this.#entry[LAST] ?? 0) + timeout >= context.now) return false;
    this.#entry[PASSED] = 0;
    return true;
  }

  #classify(packet: Packet, context: RuleContext): number {
    const { plan } = this;
    const passed = this.#entry[PASSED] ?? 0;
    if (passed >= plan.doors.length) {
      const wanted = packet.protocol === plan.protocol && packet.destinationPort === plan.port;
      return wanted ? EVENT.ACCEPT : EVENT.RECOGNISED;
    }
    if (this.#isKnock(packet, plan.doors[passed])) return this.#advance(packet, context);
    if (this.#isRepeated(packet, plan.doors[passed - 1])) return EVENT.REPEATED;
    if (!this.#isWrongKnock(packet, passed)) return EVENT.FALL_THROUGH;
    this.#entry[PASSED] = 0;
    return this.#isKnock(packet, plan.doors[0]) ? this.#advance(packet, context) : EVENT.RESET;
  }

  #isKnock(packet: Packet, door: Door | undefined): boolean {
    const { sourcePort } = this.plan;
    if (!isAtDoor(packet, door)) return false;
    if (sourcePort !== undefined && packet.sourcePort !== sourcePort) return false;
    return packet.protocol !== PROTOCOL.TCP || isOpeningSyn(packet);
  }

  #isRepeated(packet: Packet, door: Door | undefined): boolean {
    return (
      packet.protocol === PROTOCOL.TCP &&
      isAtDoor(packet, door) &&
      isOpeningSyn(packet) &&
      packet.sourcePort === (this.#entry[SOURCE_PORT] ?? 0) &&
      packet.sequence === (this.#entry[SEQUENCE] ?? 0)
    );
  }

  /** True when the packet goes to a door, the next one excepted, and there is something to lose. */
  #isWrongKnock(packet: Packet, passed: number): boolean {
    const { doors } = this.plan;
    if (passed === 0 || isAtDoor(packet, doors[passed])) return false;
    for (let at = 0; at < doors.length; at += 1) {
      if (isAtDoor(packet, doors[at])) return true;
    }
    return false;
  }

  #advance(packet: Packet, context: RuleContext): number {
    const { plan } = this;
    if ((this.#entry[PASSED] ?? 0) === 0 && !this.#mayBegin(context)) return EVENT.REFUSED;
    this.#entry[PASSED] = (this.#entry[PASSED] ?? 0) + 1;
    this.#entry[LAST] = context.now;
    this.#entry[SOURCE_PORT] = packet.sourcePort;
    this.#entry[SEQUENCE] = packet.sequence;
    if ((this.#entry[PASSED] ?? 0) >= plan.doors.length) this.#entry[ATTEMPTS] = 0;
    return EVENT.ADVANCE;
  }

  #mayBegin(context: RuleContext): boolean {
    const { attempts, attemptWindow } = this.plan;
    if (
      (this.#entry[ATTEMPTS] ?? 0) === 0 ||
      (this.#entry[WINDOW_START] ?? 0) + attemptWindow < context.now
    ) {
      this.#entry[ATTEMPTS] = 0;
      this.#entry[WINDOW_START] = context.now;
    }
    if ((this.#entry[ATTEMPTS] ?? 0) >= attempts) return false;
    this.#entry[ATTEMPTS] = (this.#entry[ATTEMPTS] ?? 0) + 1;
    this.#entry[FIRST] = context.now;
    return true;
  }

  #store(packet: Packet, known: number, context: RuleContext): void {
    const { table, plan } = this;
    if (packet.family === 0) return;
    if (known < 0) this.#dropExpired(context);
    const slot = known < 0 ? table.insert(packet.family, packet.source) : known;
    for (let column = 0; column < STRICT_WIDTH; column += 1) {
      table.values[slot * STRICT_WIDTH + column] = this.#entry[column] ?? 0;
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
    const at = slot * STRICT_WIDTH;
    const last = this.table.values[at + LAST] ?? 0;
    const windowStart = this.table.values[at + WINDOW_START] ?? 0;
    return last + timeout < context.now && windowStart + attemptWindow < context.now;
  }
}

/**
 * Knocking as PyWall does it, step by step:
 *
 * 1. What is known of the source is forgotten when its last knock is older than `timeout`.
 * 2. When all doors are passed, a packet to the protected port is accepted, whatever its flags and source
 *    port; the time is not renewed, so the port stays open for `timeout` after the last knock and no longer.
 *    Any other packet goes on to the next rule.
 * 3. A packet to the next door from the right source port counts, whatever its flags: one door further, the
 *    time is renewed, the packet dropped.
 * 4. Every other packet goes on to the next rule and changes nothing: wrong and repeated knocks do no harm.
 */
import { formatAddress } from "../../base/index.ts";
import type { Packet } from "../../wire/index.ts";
import type { RuleContext } from "../rule.ts";
import { EVENT, isAtDoor, KnockRule, knockRank } from "./knock-plan.ts";

// Numbers of a source in the table.
const PASSED = 0;
const LAST = 1;

/** Numbers that the table holds for each source. */
export const COMPATIBLE_WIDTH = 2;

/** PyWall's PortKnocking. */
export class CompatibleKnocks extends KnockRule {
  override step(packet: Packet, context: RuleContext, keep: boolean): number {
    const { table, plan } = this;
    if (packet.family === 0) return EVENT.FALL_THROUGH;
    let slot = table.find(packet.family, packet.source);
    let timedOut: number = EVENT.FALL_THROUGH;
    if (slot >= 0 && (table.values[slot * COMPATIBLE_WIDTH + LAST] ?? 0) + plan.timeout < context.now) {
      if (keep) table.remove(slot);
      slot = -1;
      timedOut = EVENT.TIMED_OUT;
    }
    this.passed = slot < 0 ? 0 : (table.values[slot * COMPATIBLE_WIDTH + PASSED] ?? 0);
    const event = this.#classify(packet);
    if (event === EVENT.ADVANCE) {
      this.passed += 1;
      if (keep) this.#remember(packet, slot, context);
    }
    return event | timedOut;
  }

  override announce(event: number, packet: Packet, context: RuleContext): void {
    const { report } = context;
    const source = packet.family === 0 ? "?" : formatAddress(packet.family, packet.source);
    if ((event & EVENT.TIMED_OUT) !== 0) report.print(`PortKnocking: timeout -- fall through: ${source}`);
    switch (event & ~EVENT.TIMED_OUT) {
      case EVENT.ACCEPT:
        report.print(`PortKnocking: accepting from ${source}`);
        break;
      case EVENT.RECOGNISED:
        report.print(`PortKnocking: fall through from recognized ip: ${source}`);
        break;
      case EVENT.ADVANCE:
        report.print(`PortKnocking: advance to ${this.passed}`);
        break;
      default:
        report.print("PortKnocking: unrecognized -- fall-through");
    }
  }

  #classify(packet: Packet): number {
    const { plan, passed } = this;
    if (passed >= plan.doors.length) {
      const wanted = packet.protocol === plan.protocol && packet.destinationPort === plan.port;
      return wanted ? EVENT.ACCEPT : EVENT.RECOGNISED;
    }
    const knocks = isAtDoor(packet, plan.doors[passed]) && packet.sourcePort === plan.sourcePort;
    return knocks ? EVENT.ADVANCE : EVENT.FALL_THROUGH;
  }

  #remember(packet: Packet, known: number, context: RuleContext): void {
    const { table, plan } = this;
    if (packet.family === 0) return;
    const slot = known < 0 ? table.insert(packet.family, packet.source) : known;
    table.values[slot * COMPATIBLE_WIDTH + PASSED] = this.passed;
    table.values[slot * COMPATIBLE_WIDTH + LAST] = context.now;
    table.touch(slot, knockRank(this.passed, plan.doors.length));
  }
}

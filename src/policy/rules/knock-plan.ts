/** What knocking is about: doors, the protected port, and the questions that both modes ask of a packet. */
import { type Milliseconds, type Port, PROTOCOL, type Verdict, VERDICT } from "../../base/index.ts";
import type { Packet } from "../../wire/index.ts";
import { NEEDS, type RuleContext, VerdictRule } from "../rule.ts";
import { RANK, type Rank, type SourceTable } from "../source-table.ts";

/** A port that is knocked on. */
export interface Door {
  /** IANA number. */
  readonly protocol: number;
  readonly port: Port;
}

/** A PortKnocking rule's arguments, in the units of the packet path. */
export interface KnockPlan {
  /** IANA number of the protected port's protocol. */
  readonly protocol: number;
  /** The protected port; no number when there is none. */
  readonly port: Port;
  /** Where knocks must come from; `undefined` is anywhere in strict mode and nowhere in compatible mode. */
  readonly sourcePort: Port | undefined;
  readonly timeout: Milliseconds;
  readonly doors: readonly Door[];
  readonly deadline: Milliseconds;
  readonly attempts: number;
  readonly attemptWindow: Milliseconds;
}

/** What a packet means to the rule. Events can stand together with {@link EVENT.TIMED_OUT}. */
export const EVENT = {
  FALL_THROUGH: 0,
  /** A knock on the next door. */
  ADVANCE: 1,
  /** The port is open and this packet goes to it. */
  ACCEPT: 2,
  /** The port is open and this packet goes elsewhere. */
  RECOGNISED: 3,
  /** A knock that has counted, sent again. */
  REPEATED: 4,
  /** A knock on a door that is not the next one. */
  RESET: 5,
  /** A first knock of a source that has begun too often. */
  REFUSED: 6,
  /** What was known of the source was too old. */
  TIMED_OUT: 8,
} as const;

const EVENT_BITS = 7;

/** True when a packet goes to a door. */
export function isAtDoor(packet: Packet, door: Door | undefined): boolean {
  return door !== undefined && packet.protocol === door.protocol && packet.destinationPort === door.port;
}

function verdictOf(event: number): Verdict | undefined {
  switch (event & EVENT_BITS) {
    case EVENT.ACCEPT:
      return VERDICT.ACCEPT;
    case EVENT.ADVANCE:
    case EVENT.REPEATED:
      return VERDICT.DROP;
    default:
      return undefined;
  }
}

/** What is worth keeping: open ports most, then sources on their way, then those with one knock. */
export function knockRank(next: number, doors: number): Rank {
  if (next >= doors) return RANK.HIGH;
  return next > 1 ? RANK.MIDDLE : RANK.LOW;
}

/** Both modes: table and lock around one step of the machine. */
export abstract class KnockRule extends VerdictRule {
  override readonly asksFlow: boolean = false;
  override readonly needs: number = NEEDS.TRANSPORT;
  readonly plan: KnockPlan;
  readonly table: SourceTable;
  /** Doors that the source of the last packet has passed. */
  passed = 0;

  constructor(plan: KnockPlan, table: SourceTable) {
    super();
    this.plan = plan;
    this.table = table;
  }

  /**
   * One step, under the lock.
   *
   * @param packet - any packet with a transport header
   * @param context - tells the time; a number with a fraction would be boxed when it is handed on
   * @param keep - true to remember what follows, false to leave the table as it is
   * @returns an event, see {@link EVENT}
   */
  abstract step(packet: Packet, context: RuleContext, keep: boolean): number;

  /** Tells of an event on standard output; nothing by default. */
  announce?(event: number, packet: Packet, context: RuleContext): void;

  override decide(packet: Packet, context: RuleContext): Verdict | undefined {
    const event = this.#guardedStep(packet, context, true);
    if (context.report.printing) this.announce?.(event, packet, context);
    return verdictOf(event);
  }

  override peekVerdict(packet: Packet, context: RuleContext): Verdict | undefined {
    return verdictOf(this.#guardedStep(packet, context, false));
  }

  override explain(packet: Packet, context: RuleContext): string {
    const event = this.#guardedStep(packet, context, false) & EVENT_BITS;
    const { doors, protocol, port } = this.plan;
    const name = protocol === PROTOCOL.TCP ? "TCP" : "UDP";
    const door = doors[this.passed];
    const next =
      door === undefined ? "" : `${door.protocol === PROTOCOL.TCP ? "TCP" : "UDP"} port ${door.port}`;
    switch (event) {
      case EVENT.ACCEPT:
        return `all ${doors.length} doors are passed: ${name} port ${port} is open for this source`;
      case EVENT.RECOGNISED:
        return `${name} port ${port} is open for this source, but the packet does not go there`;
      case EVENT.ADVANCE:
        return `knocks on door ${this.passed} of ${doors.length}`;
      case EVENT.REPEATED:
        return `repeats a knock that has counted; ${this.passed} of ${doors.length} doors are passed`;
      case EVENT.RESET:
        return "knocks on a wrong door: the source has to begin again";
      case EVENT.REFUSED:
        return "the source has begun too often and has to wait";
      default:
        return (
          `${this.passed} of ${doors.length} doors are ` +
          `passed, and this is no knock on the next one (${next})`
        );
    }
  }

  #guardedStep(packet: Packet, context: RuleContext, keep: boolean): number {
    const { table } = this;
    if (table.size === 0 && !isAtDoor(packet, this.plan.doors[0])) {
      this.passed = 0;
      return EVENT.FALL_THROUGH;
    }
    table.lock();
    try {
      return this.step(packet, context, keep);
    } finally {
      table.unlock();
    }
  }
}

/** A plan executed the way the kernel would: chains, jumps, the first line that fits. */
import {
  type ConntrackState,
  conntrackStateNumber,
  type HookName,
  PROTOCOL,
  TCP_FLAG,
} from "../base/index.ts";
import type {
  KernelPlan,
  KernelTest,
  KnockSets,
  LineAction,
  Match,
  PlanChain,
  PlanLine,
} from "../backend/index.ts";
import type { AddressTable } from "../tables/index.ts";
import type { Packet } from "../wire/index.ts";

/** Names of the packet's interfaces; `""` for none. */
export interface PacketInterfaces {
  readonly inInterface: string;
  readonly outInterface: string;
}

/** True when a packet's name of an interface fits. */
function nameFits(
  name: string,
  test: Extract<KernelTest, { field: "inInterface" | "outInterface" }>,
): boolean {
  return test.isOpen ? name.startsWith(test.name) : name === test.name;
}

function portFits(
  packet: Packet,
  port: number,
  test: { low: number; high: number; negated: boolean },
): boolean {
  // Reading what is not there ends the rule.
  if (!packet.hasPorts) return false;
  return (port >= test.low && port <= test.high) !== test.negated;
}

function icmpFits(packet: Packet, field: number, test: { value: number; negated: boolean }): boolean {
  const isIcmp = packet.protocol === PROTOCOL.ICMP || packet.protocol === PROTOCOL.ICMPV6;
  return isIcmp && (field === test.value) !== test.negated;
}

function ownerFits(packet: Packet, test: Extract<KernelTest, { field: "userId" | "groupId" }>): boolean {
  if (packet.userId < 0 && packet.groupId < 0) return false;
  return (packet[test.field] === test.id) !== test.negated;
}

function addressFits(
  packet: Packet,
  test: Extract<KernelTest, { field: "source" | "destination" }>,
): boolean {
  if (packet.family !== test.prefix.family) return false;
  return test.prefix.contains(packet.family, packet[test.field]) !== test.negated;
}

/** The kernel always has a state; a packet without one was never there. */
function isInState(states: readonly ConntrackState[], packet: Packet): boolean {
  return states.some((state) => conntrackStateNumber(state) === packet.conntrackState);
}

/** Whether an address of a packet is in a set of a table. */
type TableAnswer = (test: Extract<KernelTest, { field: "table" }>, packet: Packet) => boolean;

// oxlint-disable-next-line max-params -- what a packet is, and what is known besides
function testHolds(
  test: KernelTest,
  packet: Packet,
  interfaces: PacketInterfaces,
  tables: TableAnswer,
): boolean {
  if ("prefix" in test) return addressFits(packet, test);
  if ("protocols" in test) return test.protocols.includes(packet.protocol) !== test.negated;
  if ("low" in test) return portFits(packet, packet[test.field], test);
  if ("name" in test) return nameFits(interfaces[test.field], test) !== test.negated;
  if ("id" in test) return ownerFits(packet, test);
  if ("table" in test) return packet.family === test.family && tables(test, packet) !== test.negated;
  if ("states" in test) return isInState(test.states, packet) !== test.negated;
  if ("bits" in test) return ((~packet.mark & test.bits) === 0) !== test.negated;
  return "value" in test ? icmpFits(packet, packet[test.field], test) : packet.family === test.family;
}

/** What the kernel does with a packet, and by which line; `undefined` line where there is no chain. */
export interface WalkEnd {
  readonly action: LineAction["kind"];
  readonly line: PlanLine | undefined;
}

/** Whose bucket it is, for the packets of all sources. */
const EVERYBODY = "";

const HANDSHAKE_FLAGS = TCP_FLAG.SYN | TCP_FLAG.ACK | TCP_FLAG.RST | TCP_FLAG.FIN;

/** Sets of sources as the kernel holds them for one rule about knocks, where no time passes. */
class KnockWalk {
  readonly #sets: KnockSets;
  readonly #attempts: number;
  /** Doors passed, by source. */
  readonly #passed = new Map<string, number>();
  readonly #tries = new Map<string, number>();
  readonly #counted = new Set<string>();

  constructor(sets: KnockSets, attempts: number) {
    this.#sets = sets;
    this.#attempts = attempts;
  }

  /** True when a packet that goes to the protected port, or to a door, is let in, or is a knock. */
  isMeant(packet: Packet, isAtDoor: boolean): boolean {
    const source = packet.source.join();
    const passed = this.#passed.get(source) ?? 0;
    const isOpen = passed >= this.#sets.doors.length;
    return isAtDoor && !isOpen ? this.#knocks(packet, source, passed) : isOpen && !isAtDoor;
  }

  #knocks(packet: Packet, source: string, passed: number): boolean {
    const { doors, sourcePort = packet.sourcePort } = this.#sets;
    const isTcp = packet.protocol === PROTOCOL.TCP;
    const isSyn = isTcp && (packet.tcpFlags & HANDSHAKE_FLAGS) === TCP_FLAG.SYN;
    const syn = [source, packet.sourcePort, packet.destinationPort, packet.sequence].join(" ");
    if (isSyn && this.#counted.has(syn)) return true;
    const isKnock = (isSyn || !isTcp) && packet.sourcePort === sourcePort;
    const isAt = (door: (typeof doors)[number] | undefined): boolean =>
      door !== undefined &&
      PROTOCOL[door.protocol] === packet.protocol &&
      door.port === packet.destinationPort;
    const note = isSyn ? syn : "";
    if (isAt(doors[passed])) return isKnock && this.#step(source, passed, note);
    this.#passed.delete(source);
    return isKnock && isAt(doors[0]) && this.#step(source, 0, note);
  }

  #step(source: string, passed: number, syn: string): boolean {
    const tries = this.#tries.get(source) ?? 0;
    if (passed === 0 && tries >= this.#attempts) return false;
    if (passed === 0) this.#tries.set(source, tries + 1);
    this.#counted.add(syn);
    this.#passed.set(source, passed + 1);
    if (passed + 1 >= this.#sets.doors.length) this.#tries.delete(source);
    return true;
  }
}

/** Walks packets through a plan, all at one moment. */
export class PlanWalk {
  readonly #plan: KernelPlan;
  /** Tokens taken, by limit and source. */
  readonly #taken = new Map<string, number>();
  readonly #knocks = new Map<string, KnockWalk>();

  readonly #tables: ReadonlyMap<string, AddressTable>;

  /** @param tables - those of the policy */
  constructor(plan: KernelPlan, tables: readonly AddressTable[] = []) {
    this.#plan = plan;
    this.#tables = new Map(tables.map((table) => [table.name, table]));
  }

  /** True when a packet fits a match. */
  fits(match: Match, packet: Packet, interfaces: PacketInterfaces): boolean {
    const answer: TableAnswer = ({ table, side, family, list }, { source, destination }) => {
      const asked = this.#tables.get(table);
      const entry = asked?.find(family, side === "source" ? source : destination, { now: 0 }) ?? -1;
      if (asked === undefined || entry < 0) return false;
      return asked.mayEnd(entry) ? list === "ask" : list === "in" && !asked.isNegated(entry);
    };
    return match.every((test) => testHolds(test, packet, interfaces, answer));
  }

  /** True when a packet is one of those that a limit means, or a rule about knocks. */
  #isMeant({ meter, knock, origin, action }: PlanLine, packet: Packet): boolean {
    const { values = {} } = this.#plan.policy.chains[origin.chain]?.rules[origin.rule] ?? {};
    if (knock !== undefined) {
      const walk = this.#knocks.get(knock.name) ?? new KnockWalk(knock, Number(values["attempts"]));
      this.#knocks.set(knock.name, walk);
      return walk.isMeant(packet, action.kind === "drop");
    }
    if (meter === undefined) return true;
    const { rate, burst } = values as { readonly rate: number; readonly burst?: number };
    const key = `${meter.name} ${meter.by === "source" ? packet.source.join() : EVERYBODY}`;
    const taken = this.#taken.get(key) ?? 0;
    const isOver = taken >= (burst ?? Math.ceil(rate));
    if (!isOver) this.#taken.set(key, taken + 1);
    return isOver === (meter.fits === "over");
  }

  /**
   * @param packet - whole, no fragment, without a fault
   * @returns `accept`, `drop`, `reject` or `userspace`, and the line
   */
  walk(hook: HookName, packet: Packet, interfaces: PacketInterfaces): WalkEnd {
    const chains = this.#plan.hooks.find((each) => each.hook === hook)?.chains ?? [];
    const fits = (match: Match): boolean => this.fits(match, packet, interfaces);
    const isIn = (region: "tracked" | "inspected"): boolean => this.#plan.regions[region].parts.some(fits);
    const goesUp = ({ except }: PlanLine): boolean => except !== undefined && isIn(except);
    const [start] = chains;
    if (start === undefined) return { action: isIn("tracked") ? "userspace" : "accept", line: undefined };
    const find = (chain: number): PlanChain | undefined => chains.find((each) => each.chain === chain);
    const run = (chain: PlanChain | undefined): WalkEnd | undefined => {
      for (const line of chain?.lines ?? []) {
        const { action, match } = line;
        if (!fits(match)) continue;
        if (goesUp(line)) return { action: "userspace", line };
        if (!this.#isMeant(line, packet)) continue;
        if (action.kind === "return") return undefined;
        if (action.kind !== "jump" && action.kind !== "goto") return { action: action.kind, line };
        const end = run(find(action.chain));
        if (end !== undefined || action.kind === "goto") return end;
      }
      return undefined;
    };
    const atEnd = (line: PlanLine): WalkEnd | undefined => {
      if (goesUp(line)) return { action: "userspace", line };
      return line.action.kind === "goto" ? run(find(line.action.chain)) : { action: line.action.kind, line };
    };
    const end = run(start) ?? atEnd(start.end);
    if (end === undefined) throw new Error("the plan lets a packet fall through");
    return end;
  }
}

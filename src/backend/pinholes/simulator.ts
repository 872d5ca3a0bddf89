/**
 * A packet filter that is no filter: it holds the sets and judges the packets that it is shown.
 *
 * It keeps to the words of PinholeBackend like the others, and so serves as their oracle, for tests of
 * everything above, and for trying things out without a kernel. Time is what the caller says.
 */
import { FirewallError, type Milliseconds, type Port } from "../../base/index.ts";
import {
  type BackendAbilities,
  BoxIndex,
  type Cut,
  type DesiredState,
  type Drift,
  type Element,
  type Endpoint,
  type ElementRole,
  ELEMENT_ROLES,
  FLOWS_NOTED_MAX,
  hostEndpoint,
  type KernelPlan,
  type Overrun,
  type PacketFacts,
  type Pair,
  type PinholeBackend,
  type PreparedPlan,
  type Restoration,
  type StandingElement,
  type Traffic,
  type TranslationWay,
} from "../../pinhole/index.ts";
import { LimitMeter } from "./limit-meter.ts";

const ABILITIES: BackendAbilities = {
  isAtomic: true,
  expires: true,
  counts: true,
  limits: ["pps", "bps", "burst", "newPerSec", "quotaBytes"],
  translates: true,
  expansionMax: 64,
};

/** What becomes of a packet: `none` when no set holds it. */
export type SimulatedVerdict = "accept" | "drop" | "none";

/** What becomes of a packet that begins a connection. */
export interface SimulatedPassage {
  readonly verdict: SimulatedVerdict;
  /** As it leaves. */
  readonly packet: PacketFacts;
}

interface Held {
  readonly element: StandingElement;
  packets: number;
  bytes: number;
}

/** Called before each change; what it throws is what the filter says. */
export type Intercept = (plan: KernelPlan, occasion: "commit" | "restore") => void;

function pairOf({ element: { box } }: Held): Pair {
  return { protocol: box.protocol, near: box.source, far: box.destination };
}

function pairOfPacket(packet: PacketFacts): Pair {
  const { family, protocol, source, destination } = packet;
  return {
    protocol,
    near: hostEndpoint(family, source, packet.sourcePort),
    far: hostEndpoint(family, destination, packet.destinationPort),
  };
}

/** The port that a target says; undefined when the packet's stays. */
function portOf(target: Endpoint | undefined): Port | undefined {
  return target === undefined || target.isAnyPort ? undefined : target.ports.low;
}

/** The simulator. */
export class SimulatedPinholes implements PinholeBackend {
  readonly name = "simulator";
  readonly abilities: BackendAbilities = ABILITIES;
  readonly #held: Map<string, Held> = new Map();
  readonly #index: Readonly<Record<ElementRole, BoxIndex<Held>>>;
  readonly #meters: Map<number, LimitMeter> = new Map();
  readonly #intercept: Intercept;
  readonly #listeners: ((drift: Drift) => void)[] = [];
  #overruns: Overrun[] = [];
  #generation: number | undefined;
  #mustRestore = true;

  /** @param intercept - stands between plans and the filter, to make it fail */
  constructor(intercept: Intercept = () => undefined) {
    this.#intercept = intercept;
    this.#index = Object.fromEntries(ELEMENT_ROLES.map((role) => [role, new BoxIndex(pairOf)])) as Record<
      ElementRole,
      BoxIndex<Held>
    >;
  }

  /** Generation in force; undefined before the first. */
  get generation(): number | undefined {
    return this.#generation;
  }

  /** Keys of everything that it holds. */
  get keys(): string[] {
    return [...this.#held.keys()].sort();
  }

  async restore(desired: DesiredState): Promise<Restoration> {
    await Promise.resolve();
    const wanted = new Map([...desired.elements].map((element) => [element.key, element]));
    const { now, generation } = desired;
    const put = [...wanted.values()];
    this.#intercept({ now, generation, put, remove: [], putLimits: [], removeLimits: [] }, "restore");
    const removed = this.keys.filter((key) => !wanted.has(key));
    const held = this.#held.size;
    const added: string[] = [];
    const renewed: string[] = [];
    for (const element of wanted.values()) {
      const found = this.#held.get(element.key);
      if (found === undefined) added.push(element.key);
      else if (found.element.deadline !== element.deadline) renewed.push(element.key);
      this.#put(element);
    }
    for (const key of removed) this.#remove(key);
    this.#meters.clear();
    for (const { number, limits } of desired.limits) {
      this.#meters.set(number, new LimitMeter(limits, desired.now));
    }
    const found = this.#generation;
    this.#generation = desired.generation;
    this.#mustRestore = false;
    return { found, held, added, renewed, removed };
  }

  prepare(plan: KernelPlan): PreparedPlan {
    return { plan };
  }

  async commit({ plan }: PreparedPlan): Promise<void> {
    await Promise.resolve();
    if (this.#mustRestore) {
      throw new FirewallError("BACKEND_DRIFTED", "The pinholes must be restored before they change.");
    }
    this.#intercept(plan, "commit");
    for (const { key } of plan.remove) this.#remove(key);
    for (const element of plan.put) this.#put(element);
    for (const number of plan.removeLimits) this.#meters.delete(number);
    for (const { number, limits } of plan.putLimits) {
      this.#meters.set(number, new LimitMeter(limits, plan.now));
    }
    this.#generation = plan.generation;
  }

  rollback(_prepared: PreparedPlan): void {}

  traffic(elements: readonly Element[]): Promise<Traffic[]> {
    const counts = elements.map(({ key }) => this.#held.get(key));
    return Promise.resolve(counts.map((held) => ({ packets: held?.packets ?? 0, bytes: held?.bytes ?? 0 })));
  }

  overruns(): Promise<Overrun[]> {
    const taken = this.#overruns;
    this.#overruns = [];
    return Promise.resolve(taken);
  }

  cut(_cut: Cut): Promise<number> {
    return Promise.resolve(0);
  }

  watch(listener: (drift: Drift) => void): void {
    this.#listeners.push(listener);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /**
   * Does what a stranger does who deletes elements behind our back.
   *
   * @param keys - of the elements; when absent, everything goes, the mark of the generation too
   */
  tamper(keys?: readonly string[]): void {
    if (keys === undefined) {
      this.#generation = undefined;
      this.#mustRestore = true;
    }
    const gone = keys ?? this.keys;
    for (const key of gone) this.#remove(key);
    for (const listener of this.#listeners) {
      listener({ culprit: "stranger (1)", what: `${gone.length} elements deleted` });
    }
  }

  /**
   * Judges a packet.
   *
   * @param bytes - its length, IP header included
   */
  judge(packet: PacketFacts, now: Milliseconds, bytes = 0): SimulatedVerdict {
    const pair = pairOfPacket(packet);
    if (this.#find("block", pair, now, bytes) !== undefined) return "drop";
    const role = packet.opensTcp ? "setup" : "pass";
    if (this.#find(role, pair, now, bytes) !== undefined) return "accept";
    const limited = this.#find(`${role}-limited`, pair, now, bytes);
    if (limited === undefined) return "none";
    const limit = this.#meters.get(limited.limiter)?.exceeded(bytes, packet.opensTcp, now);
    if (limit === undefined) return "accept";
    if (this.#overruns.length < FLOWS_NOTED_MAX) this.#overruns.push({ limit, packet, packets: 1 });
    return "drop";
  }

  /**
   * Sends a packet that begins a connection through.
   *
   * @param bytes - its length, IP header included
   * @returns what becomes of it, and the packet as it leaves
   */
  forward(packet: PacketFacts, now: Milliseconds, bytes = 0): SimulatedPassage {
    const to = this.#targetOf("dnat", packet, now);
    const arrived: PacketFacts = {
      ...packet,
      destination: to?.prefix.words ?? packet.destination,
      destinationPort: portOf(to) ?? packet.destinationPort,
    };
    const verdict = this.judge(arrived, now, bytes);
    const from = this.#targetOf("snat", arrived, now) ?? this.#targetOf("snat-sent", packet, now);
    const left = {
      ...arrived,
      source: from?.prefix.words ?? arrived.source,
      sourcePort: portOf(from) ?? arrived.sourcePort,
    };
    return { verdict, packet: left };
  }

  #targetOf(way: TranslationWay, packet: PacketFacts, now: Milliseconds): Endpoint | undefined {
    const pair = pairOfPacket(packet);
    const held = this.#find(way, pair, now, 0) ?? this.#find(`${way}-host`, pair, now, 0);
    return held?.target;
  }

  #find(role: ElementRole, pair: Pair, now: Milliseconds, bytes: number): StandingElement | undefined {
    const held = this.#index[role].meeting(pair).find(({ element }) => element.deadline > now);
    if (held === undefined) return undefined;
    held.packets += 1;
    held.bytes += bytes;
    return held.element;
  }

  #put(element: StandingElement): void {
    const former = this.#held.get(element.key);
    this.#remove(element.key);
    const held: Held = { element, packets: former?.packets ?? 0, bytes: former?.bytes ?? 0 };
    this.#held.set(element.key, held);
    this.#index[element.role].add(held);
  }

  #remove(key: string): void {
    const held = this.#held.get(key);
    if (held === undefined) return;
    this.#held.delete(key);
    this.#index[held.element.role].remove(held);
  }
}

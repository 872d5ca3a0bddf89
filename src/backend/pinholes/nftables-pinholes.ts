/**
 * Pinholes in nftables.
 *
 * One plan is one transaction over netlink: elements leave, elements come, and the mark of the generation
 * moves on, or nothing of it happens. The text language is used only for what is rare: chains, rules, and a
 * set when the first element of its kind comes; it comes before the transaction, empty, and so changes
 * nothing for packets. Elements carry their lease as a lifetime of their own, so they end on time even when
 * we are dead.
 */
import { FirewallError } from "../../base/index.ts";
import { TABLE_FAMILY } from "../../netlink/index.ts";
import {
  type BackendAbilities,
  type Cut,
  type DesiredState,
  type Drift,
  type Element,
  type KernelPlan,
  type Overrun,
  type PinholeBackend,
  type PreparedPlan,
  type Restoration,
  type StandingElement,
  type Traffic,
} from "../../pinhole/index.ts";
import { NETLINK_PROTOCOL, NetlinkSocket, Nftables } from "../../system/index.ts";
import { encodeElement } from "./box-key.ts";
import { type ChainPlan, checkPlan } from "./chain-plan.ts";
import { limitText, setName, setText, structureText } from "./chain-text.ts";
import { DriftMonitor } from "./drift-monitor.ts";
import { FlowCutter } from "./flow-cutter.ts";
import { type KernelFeatures, probeFeatures, probeTable } from "./kernel-features.ts";
import { SetCatalogue } from "./set-catalogue.ts";
import { SetChanges } from "./set-changes.ts";
import { compareSets, readState } from "./set-comparison.ts";
import { restoreLimits } from "./limit-comparison.ts";
import { type LimitMap, limitMapName, overrunOfMap } from "./limit-objects.ts";
import { LimitRegister } from "./limit-register.ts";
import { type OverrunSet, overrunName, takeOverruns } from "./overrun-sets.ts";
import { attempt, failureOf } from "./plan-failure.ts";
import { readTraffic } from "./set-traffic.ts";

/** Longest transaction, in bytes: half a million elements. */
const REQUEST_MAX_BYTES = 1 << 28;

/** From this length on, a transaction is not heard of by our own monitor: about a thousand elements. */
const UNHEARD_FROM_BYTES = 65_536;

/**
 * Up to this many ports become single ports. From here on to change one interval costs less than so many
 * elements; a packet finds single ports sooner whatever their number. bench/pinhole-expansion.mjs draws the
 * curve.
 */
const EXPANSION_MAX = 128;

const ABILITIES: BackendAbilities = {
  isAtomic: true,
  expires: true,
  counts: true,
  limits: ["pps", "bps", "burst", "newPerSec", "quotaBytes"],
  translates: true,
  expansionMax: EXPANSION_MAX,
};

interface Ready extends PreparedPlan {
  readonly changes: SetChanges;
}

/** Pinholes in a chain of nftables. */
export class NftablesPinholes implements PinholeBackend {
  readonly name = "nftables";
  readonly abilities: BackendAbilities = ABILITIES;
  readonly #plan: ChainPlan;
  readonly #socket: NetlinkSocket;
  readonly #nftables: Nftables;
  readonly #features: KernelFeatures;
  readonly #cutter: FlowCutter;
  readonly #monitor: DriftMonitor;
  readonly #catalogue: SetCatalogue = new SetCatalogue();
  readonly #register: LimitRegister;
  /** Names of the maps of limits that exist. */
  readonly #limitMaps: Set<string> = new Set();
  /** Where refused packets are noted, by name. */
  readonly #overrunSets: Map<string, OverrunSet> = new Map();
  /** Generation in force; undefined before the first restoration and after something drifted. */
  #generation: number | undefined;

  private constructor(
    plan: ChainPlan,
    socket: NetlinkSocket,
    nftables: Nftables,
    features: Partial<KernelFeatures>,
  ) {
    this.#plan = plan;
    this.#register = new LimitRegister(plan);
    this.#socket = socket;
    this.#nftables = nftables;
    this.#cutter = FlowCutter.open();
    this.#monitor = DriftMonitor.open(plan, socket.port);
    const probe = probeTable(plan);
    const found = this.#monitor.learn(probe.name, () => probeFeatures(probe, socket, nftables));
    this.#features = { ...found, ...features };
  }

  /**
   * Takes hold of a chain, in the calling thread's network namespace. Nothing changes before
   * {@link NftablesPinholes.restore}.
   *
   * @param features - what shall not be tried on this kernel, whatever it can do; absent: it is found out
   * @throws {FirewallError} `CHAIN_NAME_INVALID`, `NFTABLES_MISSING`, `NETLINK_UNAVAILABLE`, or
   *   `NFTABLES_REFUSED` when we may not change the rules
   */
  static open(plan: ChainPlan, features: Partial<KernelFeatures> = {}): NftablesPinholes {
    checkPlan(plan);
    const socket = NetlinkSocket.open(NETLINK_PROTOCOL.NETFILTER);
    socket.allowRequests(REQUEST_MAX_BYTES);
    return new NftablesPinholes(plan, socket, Nftables.open(), features);
  }

  /** @throws {FirewallError} `BACKEND_REFUSED`, `BACKEND_UNAVAILABLE`, `NFTABLES_REFUSED` */
  restore(desired: DesiredState): Promise<Restoration> {
    return attempt(() => this.#restore(desired));
  }

  /** @throws {FirewallError} `BACKEND_REFUSED` when there is no room for a range */
  prepare(plan: KernelPlan): PreparedPlan {
    try {
      const ready: Ready = { plan, changes: this.#prepare(plan) };
      return ready;
    } catch (error) {
      this.#takeBack();
      throw error;
    }
  }

  commit(prepared: PreparedPlan): Promise<void> {
    return attempt(() => this.#commit(prepared as Ready));
  }

  rollback(_prepared: PreparedPlan): void {
    this.#takeBack();
  }

  traffic(elements: readonly Element[]): Promise<Traffic[]> {
    return attempt(() =>
      readTraffic(this.#socket, elements, (element) => {
        const set = this.#catalogue.find(element);
        const isHeld = this.#catalogue.has(set);
        const table = { family: TABLE_FAMILY.INET, name: this.#plan.table };
        return isHeld ? { table, name: setName(this.#plan, set), shape: set.shape } : undefined;
      }),
    );
  }

  overruns(): Promise<Overrun[]> {
    return attempt(() => takeOverruns(this.#plan, this.#socket, [...this.#overrunSets.values()]));
  }

  cut(cut: Cut): Promise<number> {
    return this.#cutter.cut(cut);
  }

  watch(listener: (drift: Drift) => void): void {
    this.#monitor.start(listener);
  }

  async close(): Promise<void> {
    this.#monitor.close();
    await this.#cutter.close();
    this.#socket.close();
    this.#nftables.close();
  }

  #restore(desired: DesiredState): Restoration {
    this.#catalogue.clear();
    this.#register.clear();
    const state = readState(this.#plan, this.#socket);
    for (const set of state.sets) this.#catalogue.add(set);
    this.#limitMaps.clear();
    this.#overrunSets.clear();
    this.#nftables.run(structureText(this.#plan, state.sets, state.limitMaps));
    for (const map of state.limitMaps) this.#addMap(map);
    const changes = new SetChanges(this.#plan, this.#features);
    const comparison = compareSets(state, desired, this.#catalogue);
    restoreLimits(state, [...desired.limits], comparison.present, {
      plan: this.#plan,
      register: this.#register,
      catalogue: this.#catalogue,
      changes,
    });
    for (const { set, facts } of comparison.surplus) changes.remove(set, facts);
    for (const element of [...comparison.missing, ...comparison.stale]) {
      this.#put(changes, element, desired.now);
    }
    this.#send(changes, state.generation, desired.generation);
    return {
      found: state.generation,
      held: state.held,
      added: comparison.missing,
      renewed: comparison.stale,
      removed: comparison.surplus.map(({ name }) => name),
    };
  }

  #prepare(plan: KernelPlan): SetChanges {
    const changes = new SetChanges(this.#plan, this.#features);
    for (const limits of plan.putLimits) this.#register.begin(changes, limits);
    for (const element of plan.remove) this.#remove(changes, element);
    for (const element of plan.put) this.#put(changes, element, plan.now);
    for (const number of plan.removeLimits) this.#register.end(changes, number);
    return changes;
  }

  #commit({ plan, changes }: Ready): void {
    if (this.#generation === undefined) {
      throw new FirewallError("BACKEND_DRIFTED", "The pinholes must be restored before they change.");
    }
    this.#send(changes, this.#generation, plan.generation);
  }

  #takeBack(): void {
    this.#catalogue.takeBack();
    this.#register.takeBack();
  }

  #remove(changes: SetChanges, element: Element): void {
    const set = this.#catalogue.release(element);
    if (set.shape.isInterval && set.layer === 0) return;
    const facts = encodeElement(set.shape, element);
    changes.remove(set, facts);
    if (element.role === "pass-limited") this.#register.release(changes, element, set, facts);
  }

  #put(changes: SetChanges, element: StandingElement, now: number): void {
    const set = this.#catalogue.place(element);
    const facts = encodeElement(set.shape, element);
    const isTimed = element.deadline !== Number.POSITIVE_INFINITY;
    changes.put(set, facts, isTimed ? element.deadline - now : undefined);
    if (element.role === "pass-limited") this.#register.subject(changes, element, set, facts);
  }

  /**
   * Makes sets and maps that are wanted for the first time, then sends everything else as one transaction.
   */
  #send(changes: SetChanges, from: number | undefined, to: number): void {
    for (const set of changes.filledSets) {
      if (this.#catalogue.has(set)) continue;
      this.#nftables.run(setText(this.#plan, set));
      this.#catalogue.add(set);
    }
    for (const map of changes.filledMaps) {
      const name = limitMapName(this.#plan, map);
      if (this.#limitMaps.has(name)) continue;
      this.#nftables.run(limitText(this.#plan, map));
      this.#addMap(map);
    }
    const request = changes.encode(from, to);
    if (request.length < UNHEARD_FROM_BYTES) this.#transact(request);
    else this.#monitor.unheard(this.#socket, () => this.#transact(request));
    this.#generation = to;
    this.#catalogue.settle();
    this.#register.settle();
  }

  /** Notes that a map of limits exists, and with it what notes those who exceed them. */
  #addMap(map: LimitMap): void {
    this.#limitMaps.add(limitMapName(this.#plan, map));
    const overrun = overrunOfMap(map);
    this.#overrunSets.set(overrunName(this.#plan, overrun), overrun);
  }

  #transact(request: Uint8Array): void {
    const { answers } = this.#socket.exchange(request);
    const refused = answers.find((answer) => answer.errno !== 0);
    if (refused === undefined) {
      if (answers.length > 0) return;
      throw new FirewallError(
        "BACKEND_UNAVAILABLE",
        "The kernel does not answer whether a change is in force.",
      );
    }
    const failure = failureOf(refused);
    if (failure.code === "BACKEND_DRIFTED") this.#generation = undefined;
    throw failure;
  }
}

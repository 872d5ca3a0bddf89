/**
 * Pinholes in nftables.
 *
 * One plan is one transaction over netlink: elements leave, elements come, and the mark of the generation
 * moves on, or nothing of it happens. The text language is used only for what is rare: chains, rules, and a
 * set when the first element of its kind comes; it comes before the transaction, empty, and so changes
 * nothing for packets. Elements carry their lease as a lifetime of their own, so they end on time even when
 * we are dead.
 */
import { FirewallError, type Milliseconds } from "../../base/index.ts";
import { encodeElementsDump, TABLE_FAMILY } from "../../netlink/index.ts";
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
import { Foresight } from "./foresight.ts";
import { type KernelFeatures, probeFeatures, probeTable } from "./kernel-features.ts";
import { setSuffix, shapeOf } from "./set-shape.ts";
import { SetCatalogue } from "./set-catalogue.ts";
import { SetChanges } from "./set-changes.ts";
import { ElementAccount, type KindAccount, placeOf } from "./element-account.ts";
import { type HeldOutline, type HeldStructure, readOutline, readStructure } from "./held-structure.ts";
import { describe, type Fault, type Findings, inspect, inspectAtRest } from "./inspection.ts";
import { restoreLimits } from "./limit-comparison.ts";
import { type LimitMap, limitMapName, overrunOfMap, parseObjectName } from "./limit-objects.ts";
import { LimitRegister } from "./limit-register.ts";
import { faultName, mendAll, type MendingParts, putAgain } from "./mending.ts";
import { type OverrunSet, overrunName, takeOverruns } from "./overrun-sets.ts";
import { attempt, failureOf, targetFailure } from "./plan-failure.ts";
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

function removedNames({ strangers }: Findings): string[] {
  return Array.from(strangers.values(), ({ set, facts }) => describe(set, facts));
}

/**
 * What the kernel refuses may stand against what an interrupted list did not name: no pinhole is to blame.
 */
function withoutCulprit(cause: unknown): unknown {
  if (!(cause instanceof FirewallError) || cause.code !== "BACKEND_REFUSED") return cause;
  const message = `The sets change faster than they can be read: ${cause.message}`;
  return new FirewallError("BACKEND_UNAVAILABLE", message, { cause });
}

/** From one generation to the next. */
interface Step {
  /** Undefined when there is no mark. */
  readonly from: number | undefined;
  readonly to: number;
  /** When lifetimes were counted, on the clock of the deadlines. */
  readonly now: Milliseconds;
}

/** Pinholes in a chain of nftables. */
export class NftablesPinholes implements PinholeBackend {
  readonly name = "nftables";
  readonly abilities: BackendAbilities = ABILITIES;
  readonly #plan: ChainPlan;
  readonly #socket: NetlinkSocket;
  /** For long lists, which other requests must not wait for. */
  readonly #lists: NetlinkSocket = NetlinkSocket.open(NETLINK_PROTOCOL.NETFILTER);
  readonly #nftables: Nftables;
  readonly #features: KernelFeatures;
  readonly #cutter: FlowCutter;
  readonly #monitor: DriftMonitor;
  readonly #catalogue: SetCatalogue = new SetCatalogue();
  readonly #register: LimitRegister;
  readonly #account: ElementAccount = new ElementAccount();
  /** The audit that is on its way, or was the last. */
  #auditing: Promise<unknown> = Promise.resolve();
  /** What is being read, or was, for the first restoration. */
  #foresight: Foresight | undefined;
  /** Counts restorations: what an audit found before one counts no more. */
  #restorations = 0;
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

  /** @throws {FirewallError} `BACKEND_UNAVAILABLE` */
  foresee(): void {
    const { sets } = readOutline(this.#plan, this.#socket);
    const { nameOf } = this.#inspectionParts(() => 0);
    const requests = sets.map(nameOf).map(({ table, name }) => encodeElementsDump(table, name));
    this.#foresight = new Foresight(this.#lists, requests);
  }

  /** @throws {FirewallError} `BACKEND_REFUSED`, `BACKEND_UNAVAILABLE`, `NFTABLES_REFUSED` */
  restore(desired: DesiredState): Promise<Restoration> {
    this.#restorations += 1;
    // What shall be in force is told as of now, and the audit that is on its way may take long.
    const began = performance.now();
    const clock = (): Milliseconds => desired.now + performance.now() - began;
    return attempt(async () => {
      await this.#auditing;
      return this.#restore(desired, clock);
    });
  }

  /**
   * The rules are put right at once. When a set or map is gone, everything is left to
   * {@link NftablesPinholes.restore}. One at a time.
   *
   * @throws {FirewallError} `BACKEND_REFUSED`, `BACKEND_UNAVAILABLE`, `NFTABLES_REFUSED`
   */
  audit(clock: () => Milliseconds): Promise<Restoration | undefined> {
    const audit = attempt(() => this.#audit(clock));
    this.#auditing = audit.catch(() => undefined);
    return audit;
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
    await Promise.all([this.#cutter.close(), this.#auditing, this.#foresight?.done]);
    this.#socket.close();
    this.#lists.close();
    this.#nftables.close();
  }

  async #restore(desired: DesiredState, clock: () => Milliseconds): Promise<Restoration> {
    this.#generation = undefined;
    this.#account.clear();
    const elements = this.#enter(desired.elements);
    const limits = [...desired.limits];
    const foresight = await this.#takeForesight();
    const structure = readStructure(this.#plan, this.#socket);
    this.#makeStructure(structure);
    const parts = this.#inspectionParts(() => foresight.backdate(clock()));
    const findings = await inspectAtRest(structure.sets, { ...parts, lists: foresight });
    this.#learn(structure);
    const changes = new SetChanges(this.#plan, this.#features);
    restoreLimits(structure, limits, this.#adopt(elements), {
      plan: this.#plan,
      register: this.#register,
      account: this.#account,
      catalogue: this.#catalogue,
      changes,
    });
    for (const { set, facts } of findings.strangers.values()) changes.remove(set, facts);
    const now = clock();
    const put = (fault: Fault): string => {
      const element = elements.get(fault.kind)?.[fault.kind.rowOf(fault.key) ?? -1];
      if (element === undefined) putAgain(changes, fault, now);
      else this.#put(changes, element, now);
      return element?.key ?? faultName(fault);
    };
    const [added, renewed] = [findings.missing.map(put), findings.stale.map(put)];
    try {
      this.#send(changes, { from: structure.generation, to: desired.generation, now });
    } catch (error) {
      throw findings.isInterrupted ? withoutCulprit(error) : error;
    }
    return {
      found: structure.generation,
      held: findings.held,
      added,
      renewed,
      removed: removedNames(findings),
    };
  }

  /** What was read ahead. Our own changes of the structure come behind it, or they would interrupt it. */
  async #takeForesight(): Promise<Foresight> {
    const foresight = this.#foresight ?? new Foresight(this.#lists, []);
    await foresight.done;
    this.#foresight = undefined;
    return foresight;
  }

  /** Notes what there is, and nothing of what it holds. */
  #learn({ sets, limitMaps }: HeldStructure): void {
    this.#catalogue.clear();
    this.#register.clear();
    this.#limitMaps.clear();
    this.#overrunSets.clear();
    for (const set of sets) this.#catalogue.add(set);
    for (const map of limitMaps) this.#addMap(map);
  }

  /**
   * Enters what shall be in force into the account. Returns, by kind and row, those of which the account does
   * not say everything.
   */
  #enter(desired: Iterable<StandingElement>): Map<KindAccount, StandingElement[]> {
    const elements = new Map<KindAccount, StandingElement[]>();
    for (const element of desired) {
      const shape = shapeOf(element.box);
      const kind = this.#account.of({ role: element.role, shape });
      const row = kind.put(encodeElement(shape, element), 0, element.deadline);
      if (!shape.isInterval && element.role !== "pass-limited" && element.target === undefined) continue;
      let rows = elements.get(kind);
      if (rows === undefined) elements.set(kind, (rows = []));
      rows[row] = element;
    }
    return elements;
  }

  /** Tells the catalogue where what is in force is. Returns those elements for which limits count. */
  #adopt(elements: ReadonlyMap<KindAccount, readonly StandingElement[]>): StandingElement[] {
    const limited: StandingElement[] = [];
    for (const [account, rows] of elements) {
      const { kind } = account;
      for (const [row, element] of rows.entries()) {
        if (!account.isSeen(row)) continue;
        this.#catalogue.adopt(element, { ...kind, layer: account.layerOf(row) });
        if (kind.role === "pass-limited") limited.push(element);
      }
    }
    return limited;
  }

  #inspectionParts(clock: () => Milliseconds, isWanted = (): boolean => true): MendingParts {
    const table = { family: TABLE_FAMILY.INET, name: this.#plan.table };
    return {
      lists: this.#lists,
      socket: this.#socket,
      account: this.#account,
      clock,
      isWanted,
      nameOf: ({ limit, ...set }) => {
        const { shape, layer } = set;
        const map = limit === undefined ? undefined : { kind: limit, shape, layer };
        return { table, name: map === undefined ? setName(this.#plan, set) : limitMapName(this.#plan, map) };
      },
      isLimit: (object) => parseObjectName(this.#plan, object) !== undefined,
      begin: () => new SetChanges(this.#plan, this.#features),
      transact: (changes, now) => {
        this.#transact(changes.encode(this.#generation, this.#generation ?? 0));
        this.#account.apply(changes, now);
      },
    };
  }

  async #audit(clock: () => Milliseconds): Promise<Restoration | undefined> {
    if (this.#generation === undefined) return undefined;
    const outline = readOutline(this.#plan, this.#socket);
    if (!this.#holdsOutline(outline)) return undefined;
    const { generation, sets, limitMaps } = outline;
    this.#makeStructure(outline);
    const restorations = this.#restorations;
    const isCurrent = (): boolean => restorations === this.#restorations && this.#generation !== undefined;
    const parts = this.#inspectionParts(clock, isCurrent);
    const table = { family: TABLE_FAMILY.INET, name: this.#plan.table };
    const found = await inspect([...sets, ...limitMaps.map(placeOf)], parts, table);
    const mended = await mendAll(found, parts);
    return mended === undefined ? undefined : { found: generation, held: found.held, ...mended };
  }

  /** Makes our chains and rules, whatever of them is there already. */
  #makeStructure({ sets, limitMaps }: HeldOutline): void {
    try {
      this.#nftables.run(structureText(this.#plan, sets, limitMaps));
    } catch (error) {
      throw targetFailure(this.#plan, this.#nftables) ?? error;
    }
  }

  /** True when all our sets and maps are there. */
  #holdsOutline({ generation, sets, limitMaps }: HeldOutline): boolean {
    const names = new Set(sets.map(setSuffix));
    const maps = new Set(limitMaps.map((map) => limitMapName(this.#plan, map)));
    const hasAllSets = [...this.#catalogue.sets].every((set) => names.has(setSuffix(set)));
    return (
      generation === this.#generation && hasAllSets && [...this.#limitMaps].every((map) => maps.has(map))
    );
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
    this.#send(changes, { from: this.#generation, to: plan.generation, now: plan.now });
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
  #send(changes: SetChanges, { from, to, now }: Step): void {
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
    this.#account.apply(changes, now);
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

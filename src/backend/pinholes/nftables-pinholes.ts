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
import { type ElementFacts, SetBatch, type SetName, TABLE_FAMILY } from "../../netlink/index.ts";
import type {
  BackendAbilities,
  Cut,
  DesiredState,
  Drift,
  Element,
  KernelPlan,
  PinholeBackend,
  PreparedPlan,
  Restoration,
  StandingElement,
  Traffic,
} from "../../pinhole/index.ts";
import { NETLINK_PROTOCOL, NetlinkSocket, Nftables } from "../../system/index.ts";
import { type ChainPlan, checkPlan, markName, setName, setText, structureText } from "./chain-text.ts";
import { encodeGeneration } from "./generation-mark.ts";
import { type KernelFeatures, probeFeatures } from "./kernel-features.ts";
import { SetCatalogue } from "./set-catalogue.ts";
import { compareSets, readState } from "./set-comparison.ts";
import { attempt, failureOf } from "./plan-failure.ts";
import { encodeBox, type SetIdentity } from "./set-shape.ts";

/** Longest transaction, in bytes: half a million elements. */
const REQUEST_MAX_BYTES = 1 << 28;

/** Up to this many ports become single ports; measured, bench/pinholes. */
const EXPANSION_MAX = 64;

const ABILITIES: BackendAbilities = {
  isAtomic: true,
  expires: true,
  counts: true,
  limits: [],
  translates: false,
  expansionMax: EXPANSION_MAX,
};

/** What a transaction does to one set. */
interface SetChanges {
  readonly set: SetIdentity;
  readonly removed: ElementFacts[];
  readonly put: ElementFacts[];
}

interface Ready extends PreparedPlan {
  readonly changes: ReadonlyMap<string, SetChanges>;
}

/** Pinholes in a chain of nftables. */
export class NftablesPinholes implements PinholeBackend {
  readonly name = "nftables";
  readonly abilities: BackendAbilities = ABILITIES;
  readonly #plan: ChainPlan;
  readonly #socket: NetlinkSocket;
  readonly #nftables: Nftables;
  readonly #features: KernelFeatures;
  readonly #catalogue: SetCatalogue = new SetCatalogue();
  /** Generation in force; undefined before the first restoration and after something drifted. */
  #generation: number | undefined;

  private constructor(plan: ChainPlan, socket: NetlinkSocket, nftables: Nftables) {
    this.#plan = plan;
    this.#socket = socket;
    this.#nftables = nftables;
    this.#features = probeFeatures(plan, socket, nftables);
  }

  /**
   * Takes hold of a chain, in the calling thread's network namespace. Nothing changes before
   * {@link NftablesPinholes.restore}.
   *
   * @throws {FirewallError} `CHAIN_NAME_INVALID`, `NFTABLES_MISSING`, `NETLINK_UNAVAILABLE`, or
   *   `NFTABLES_REFUSED` when we may not change the rules
   */
  static open(plan: ChainPlan): NftablesPinholes {
    checkPlan(plan);
    const socket = NetlinkSocket.open(NETLINK_PROTOCOL.NETFILTER);
    socket.allowRequests(REQUEST_MAX_BYTES);
    return new NftablesPinholes(plan, socket, Nftables.open());
  }

  /** @throws {FirewallError} `BACKEND_REFUSED`, `BACKEND_UNAVAILABLE`, `NFTABLES_REFUSED` */
  restore(desired: DesiredState): Promise<Restoration> {
    return attempt(() => this.#restore(desired));
  }

  /** @throws {FirewallError} `BACKEND_REFUSED` when there is no room for a range */
  prepare(plan: KernelPlan): PreparedPlan {
    const changes = new Map<string, SetChanges>();
    try {
      for (const element of plan.remove) this.#remove(changes, element);
      for (const element of plan.put) this.#put(changes, element, plan.now);
    } catch (error) {
      this.#catalogue.takeBack();
      throw error;
    }
    const ready: Ready = { plan, changes };
    return ready;
  }

  commit(prepared: PreparedPlan): Promise<void> {
    return attempt(() => this.#commit(prepared as Ready));
  }

  rollback(_prepared: PreparedPlan): void {
    this.#catalogue.takeBack();
  }

  traffic(elements: readonly Element[]): Promise<Traffic[]> {
    return attempt(() => elements.map(() => ({ packets: 0, bytes: 0 })));
  }

  cut(_cut: Cut): Promise<number> {
    return Promise.resolve(0);
  }

  watch(_listener: (drift: Drift) => void): void {}

  close(): Promise<void> {
    this.#socket.close();
    this.#nftables.close();
    return Promise.resolve();
  }

  #name(name: string): SetName {
    return { table: { family: TABLE_FAMILY.INET, name: this.#plan.table }, name };
  }

  #restore(desired: DesiredState): Restoration {
    this.#catalogue.clear();
    const state = readState(this.#plan, this.#socket);
    for (const set of state.sets) this.#catalogue.add(set);
    this.#nftables.run(structureText(this.#plan, state.sets));
    const comparison = compareSets(state, desired, this.#catalogue);
    const changes = new Map<string, SetChanges>();
    for (const { set, facts } of comparison.surplus) this.#changesOf(changes, set).removed.push(facts);
    for (const element of [...comparison.missing, ...comparison.stale]) {
      this.#put(changes, element, desired.now);
    }
    this.#send(changes, state.generation, desired.generation);
    this.#catalogue.settle();
    return {
      found: state.generation,
      held: state.held,
      added: comparison.missing,
      renewed: comparison.stale,
      removed: comparison.surplus.map(({ name }) => name),
    };
  }

  #commit({ plan, changes }: Ready): void {
    if (this.#generation === undefined) {
      throw new FirewallError("BACKEND_DRIFTED", "The pinholes must be restored before they change.");
    }
    this.#send(changes, this.#generation, plan.generation);
    this.#catalogue.settle();
  }

  #remove(changes: Map<string, SetChanges>, element: Element): void {
    const set = this.#catalogue.release(element);
    if (set.shape.isInterval && set.layer === 0) return;
    this.#changesOf(changes, set).removed.push(encodeBox(set.shape, element.box));
  }

  #put(changes: Map<string, SetChanges>, element: StandingElement, now: number): void {
    const set = this.#catalogue.place(element);
    const facts = encodeBox(set.shape, element.box);
    const change = this.#changesOf(changes, set);
    const isTimed = element.deadline !== Number.POSITIVE_INFINITY;
    // A lifetime cannot be taken back from an element, and older kernels cannot change one.
    if (!isTimed || !this.#features.renews) change.removed.push(facts);
    change.put.push(isTimed ? { ...facts, timeoutMs: element.deadline - now } : facts);
  }

  #changesOf(changes: Map<string, SetChanges>, set: SetIdentity): SetChanges {
    const name = setName(this.#plan, set);
    const known = changes.get(name);
    if (known !== undefined) return known;
    const fresh: SetChanges = { set, removed: [], put: [] };
    changes.set(name, fresh);
    return fresh;
  }

  /** Makes sets that are wanted for the first time, then sends everything else as one transaction. */
  #send(changes: ReadonlyMap<string, SetChanges>, from: number | undefined, to: number): void {
    for (const { set, put } of changes.values()) {
      if (put.length === 0 || this.#catalogue.has(set)) continue;
      this.#nftables.run(setText(this.#plan, set));
      this.#catalogue.add(set);
    }
    this.#transact(this.#encode(changes, from, to));
    this.#generation = to;
  }

  #encode(changes: ReadonlyMap<string, SetChanges>, from: number | undefined, to: number): Uint8Array {
    const batch = new SetBatch(1);
    const mark = this.#name(markName(this.#plan));
    if (from !== undefined) batch.delete(mark, [{ key: encodeGeneration(from) }]);
    for (const [name, { removed }] of changes) this.#encodeRemoval(batch, this.#name(name), removed);
    for (const [name, { put }] of changes) batch.put(this.#name(name), put);
    batch.put(mark, [{ key: encodeGeneration(to) }]);
    return batch.end();
  }

  #encodeRemoval(batch: SetBatch, set: SetName, elements: readonly ElementFacts[]): void {
    if (this.#features.destroys) return batch.destroy(set, elements);
    // What has expired meanwhile could not be removed; what is put first surely can.
    batch.put(set, elements);
    batch.delete(set, elements);
  }

  #transact(request: Uint8Array): void {
    const refused = this.#socket.exchange(request).answers.find((answer) => answer.errno !== 0);
    if (refused === undefined) return;
    const failure = failureOf(refused);
    if (failure.code === "BACKEND_DRIFTED") this.#generation = undefined;
    throw failure;
  }
}

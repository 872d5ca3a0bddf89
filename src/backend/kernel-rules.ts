/**
 * Our rules in the kernel, from first packet to last.
 *
 * Order matters at both ends. Start: the queues are bound, then {@link KernelRules.install}. Stop:
 * {@link KernelRules.stopQueueing}, the workers answer what still waits, {@link KernelRules.remove}, then the
 * queues are closed. So no packet ever meets a queue without a listener, unless the listener was killed; then
 * the policy's choice (`bypass`) decides, until {@link removeLeftovers} takes the table away.
 *
 * Everything is in one table of our own. Other tables are neither read nor written.
 */
import { invariant } from "../base/index.ts";
import {
  NftablesBatch,
  type QueueExpression,
  type QueueRange,
  RejectMarks,
  TABLE_FAMILY,
  type TableName,
} from "../netlink/index.ts";
import { NETLINK_PROTOCOL, NetlinkSocket, Nftables } from "../system/index.ts";
import { expectedResetText } from "./answer-text.ts";
import {
  endedElementsText,
  endedRemovalText,
  endedText,
  type EndedFate,
  type ExpectedReset,
} from "./ended-text.ts";
import type { KernelPlan } from "./plan/kernel-plan.ts";
import { knockSetsRemoval, knockSetsText } from "./plan/knock-sets.ts";
import { meterRemoval, meterText } from "./plan/meter.ts";
import { type LineCount, readCounts, readTallies, type Tally } from "./plan/plan-counters.ts";
import { type PlanForm, type PlanText, planText } from "./plan/plan-text.ts";
import { tallyTexts } from "./plan/table-lines.ts";
import {
  type TableContents,
  tableSetChange,
  type TableSetContents,
  tableSetContents,
  withoutLateRanges,
} from "./plan/table-set.ts";
import { renewalText } from "./seal-text.ts";
import { queueChains, switchText, type TablePlan, tableText, tellingText } from "./table-text.ts";

/** Name of our table unless somebody wants another. */
export const DEFAULT_TABLE = "postern";

/** Priority of our queueing chains unless somebody wants another: behind filter chains, which have 0. */
export const DEFAULT_PRIORITY = 5;

/** What the kernel shall do for us. */
export interface RulesPlan extends TablePlan {
  /**
   * Where packets go, and what becomes of them without a listener. With classes this is the range of the
   * first; those of the others follow, each as long.
   */
  readonly queues: QueueRange;
}

function ours(table: string): TableName {
  return { family: TABLE_FAMILY.INET, name: table };
}

/** Does one thing with a netlink socket in the calling thread's network namespace. */
function withSocket<Result>(work: (socket: NetlinkSocket) => Result): Result {
  const socket = NetlinkSocket.open(NETLINK_PROTOCOL.NETFILTER);
  try {
    return work(socket);
  } finally {
    socket.close();
  }
}

/**
 * Removes our table, whoever left it there, and with it everything Postern ever puts into the kernel.
 *
 * @param table - the table's name
 * @returns false when there was none
 * @throws {FirewallError} `NETLINK_REFUSED` when the kernel does not allow it
 */
export function removeLeftovers(table: string = DEFAULT_TABLE): boolean {
  const batch = new NftablesBatch(1);
  batch.deleteTable(ours(table));
  return withSocket((socket) => socket.attempt(batch.end(), `Cannot remove the table ${table}`, "ENOENT"));
}

/** Chains of a plan that are in the kernel. */
interface BuiltPlan extends Omit<PlanText, "text"> {
  readonly number: number;
  /** Address tables it asks. */
  readonly tables: readonly string[];
  /** What the sets of these tables hold. */
  readonly held: Map<string, ReadonlyMap<string, number>>;
  /** Limits and knocks it asks. */
  readonly lasting: readonly Lasting[];
}

/** What the kernel remembers for a rule, and goes on remembering under a plan that has the same rule. */
interface Lasting {
  /** The same for the same rule of each plan. */
  readonly name: string;
  /** Empty, to stand in a table block. */
  readonly text: string;
  /** The commands that take it away. */
  readonly removal: string;
}

function lastingOf(table: string, { meters, knocks }: KernelPlan): Lasting[] {
  return [
    ...meters.map((meter) => ({
      name: meter.name,
      text: meterText(meter),
      removal: meterRemoval(table, meter),
    })),
    ...knocks.map((sets) => ({
      name: sets.name,
      text: knockSetsText(sets),
      removal: knockSetsRemoval(table, sets),
    })),
  ];
}

/** What a plan does not ask. */
function lastingBeside(plan: BuiltPlan | undefined, lasting: readonly Lasting[]): Lasting[] {
  const names = new Set(plan?.lasting.map(({ name }) => name));
  return lasting.filter(({ name }) => !names.has(name));
}

/** Runs commands as one transaction. */
function runNftables(commands: string): void {
  const nftables = Nftables.open();
  try {
    nftables.run(commands);
  } finally {
    nftables.close();
  }
}

/** Our rules, installed. */
export class KernelRules {
  readonly #plan: TablePlan;
  readonly #table: string;
  #installed = true;
  /** Plans are numbered from 1. */
  #planCount = 0;
  /** Address tables that have tallies. */
  readonly #tallied = new Set<string>();
  /** Chains of the plan in force; none while everything goes to userspace. */
  #inForce: BuiltPlan | undefined;
  #prepared: BuiltPlan | undefined;
  #tellsStates: boolean;
  /** True while there are chains for ended connections. */
  #stopsEnded = false;

  private constructor(plan: TablePlan) {
    this.#plan = plan;
    this.#table = plan.table;
    this.#tellsStates = plan.tellsStates === true;
  }

  /**
   * Puts our rules in place, in the calling thread's network namespace. The queues must be bound.
   *
   * @param plan - what shall be judged, and where
   * @param expression - how this kernel is told to queue; see probe.ts
   * @throws {FirewallError} `NFTABLES_REFUSED`, `NETLINK_REFUSED` or `NFTABLES_MISSING`; then nothing is left
   *   behind
   */
  static install(plan: RulesPlan, expression: QueueExpression): KernelRules {
    runNftables(tableText(plan));
    const rules = new KernelRules(plan);
    try {
      rules.#startQueueing(plan.queues, expression);
    } catch (error) {
      rules.remove();
      throw error;
    }
    return rules;
  }

  /**
   * Lets TCP resets of our own making pass unjudged for a moment.
   *
   * @param resets - from whom to whom
   * @throws {FirewallError} `NFTABLES_REFUSED` when somebody has removed our table
   */
  expectResets(resets: readonly ExpectedReset[]): void {
    runNftables(resets.map((reset) => expectedResetText(this.#table, reset)).join("\n"));
  }

  /**
   * Stops what ends of connections send, for a while; see ended-text.ts.
   *
   * @param ends - each as a reset would be addressed to it
   * @throws {FirewallError} `NFTABLES_REFUSED` when somebody has removed our table; nothing is changed then
   */
  stopEnded(ends: readonly ExpectedReset[], fate: EndedFate): void {
    if (ends.length === 0) return;
    const lead = this.#stopsEnded ? "" : endedText(this.#table);
    runNftables(`${lead}${endedElementsText(this.#table, ends, fate)}`);
    this.#stopsEnded = true;
  }

  /** Forgets all ended connections. @throws {FirewallError} `NFTABLES_REFUSED` as above */
  forgetEnded(): void {
    if (!this.#stopsEnded) return;
    this.#stopsEnded = false;
    runNftables(endedRemovalText(this.#table));
  }

  /**
   * Makes packets that go up tell their state in the kernel's connection tracking, or no longer; see
   * CONNTRACK_MARK. To be called before a policy that asks for it is in force, and after the last one was.
   *
   * @throws {FirewallError} `NFTABLES_REFUSED`; nothing is changed then
   */
  tellStates(isTelling: boolean): void {
    if (isTelling === this.#tellsStates) return;
    runNftables(tellingText(this.#plan, isTelling));
    this.#tellsStates = isTelling;
  }

  /** True while packets that go up tell their state. */
  get isTellingStates(): boolean {
    return this.#tellsStates;
  }

  /**
   * Builds the chains of a plan beside those in force; no packet comes to them yet.
   *
   * @param tables - what is in the address tables of the plan's policy
   * @throws {FirewallError} `NFTABLES_REFUSED`; nothing is changed then
   */
  preparePlan(
    plan: KernelPlan,
    form: Omit<PlanForm, "number" | "seals" | "markMask">,
    tables: readonly TableContents[] = [],
  ): void {
    invariant(this.#prepared === undefined, "one plan is prepared at a time");
    const number = this.#planCount + 1;
    const { markMask, seals } = this.#plan;
    const { text, ...built } = planText(plan, { ...form, number, seals: seals !== undefined, markMask });
    const fresh = plan.tables.filter((name) => !this.#tallied.has(name));
    const lasting = lastingOf(this.#table, plan);
    const begun = lastingBeside(this.#inForce, lasting).map((each) => each.text);
    const all = [...fresh.flatMap(tallyTexts), ...begun, text];
    runNftables(`table inet ${this.#table} {\n${all.join("\n")}\n}\n`);
    for (const name of fresh) this.#tallied.add(name);
    this.#planCount = number;
    this.#prepared = { number, ...built, tables: plan.tables, held: new Map(), lasting };
    try {
      this.#fill(this.#prepared, tables);
    } catch (error) {
      this.rollbackPlan();
      throw error;
    }
  }

  /** Names of the address tables that the kernel asks by itself, by the plan in force. */
  get tables(): readonly string[] {
    return this.#inForce?.tables ?? [];
  }

  /**
   * Tells the kernel what is in address tables, in one transaction: it is in force when this returns.
   *
   * @param tables - all that have changed; those that the kernel does not ask are passed over
   * @throws {FirewallError} `NFTABLES_REFUSED`; nothing is changed then
   */
  changeTables(tables: readonly TableContents[]): void {
    if (this.#inForce !== undefined) this.#fill(this.#inForce, tables);
  }

  /**
   * What the kernel has counted for address tables since they were first asked there.
   *
   * @returns by the names of tallyName
   * @throws {FirewallError} `NFTABLES_REFUSED` when somebody has removed our table
   */
  readTallies(): ReadonlyMap<string, Tally> {
    if (this.#tallied.size === 0) return new Map();
    const nftables = Nftables.open();
    try {
      return readTallies(nftables.run(`list counters table inet ${this.#table}`, { json: true }));
    } finally {
      nftables.close();
    }
  }

  #fill(plan: BuiltPlan, tables: readonly TableContents[]): void {
    const wanted = tables
      .filter(({ name }) => plan.tables.includes(name))
      .flatMap((contents) => tableSetContents(plan.number, contents));
    this.#write(plan, wanted);
    const late = wanted.flatMap((each) => withoutLateRanges(each) ?? []);
    this.#write(plan, late);
  }

  #write(plan: BuiltPlan, wanted: readonly TableSetContents[]): void {
    const commands = wanted.flatMap((each) =>
      tableSetChange(this.#table, plan.held.get(each.set) ?? new Map(), each),
    );
    if (commands.length > 0) runNftables(`${commands.join("\n")}\n`);
    for (const { set, ranges } of wanted) plan.held.set(set, ranges);
  }

  /**
   * Puts the prepared plan in force, or, when none is prepared, sends everything to userspace; the chains of
   * the plan before are taken away. All in one transaction, so each packet meets one of the two.
   */
  commitPlan(): void {
    const next = this.#prepared;
    const old = this.#inForce;
    if (next === undefined && old === undefined) return;
    const lead = switchText(this.#plan, (hook) => next?.entries.get(hook));
    runNftables(`${lead}${this.#removal(old, next)}`);
    this.#inForce = next;
    this.#prepared = undefined;
  }

  /** Takes back {@link KernelRules.preparePlan}. */
  rollbackPlan(): void {
    const built = this.#prepared;
    this.#prepared = undefined;
    if (built !== undefined) runNftables(this.#removal(built, this.#inForce));
  }

  /**
   * What the kernel has judged by the plan in force; nothing while everything goes to userspace.
   *
   * @throws {FirewallError} `NFTABLES_REFUSED` when somebody has removed our table
   */
  readCounts(): LineCount[] {
    if (this.#inForce === undefined) return [];
    const nftables = Nftables.open();
    const list = (): string => nftables.run(`list table inet ${this.#table}`, { json: true });
    try {
      return readCounts(list, this.#inForce.counted);
    } finally {
      nftables.close();
    }
  }

  /** True while the kernel judges what it can. */
  get hasPlan(): boolean {
    return this.#inForce !== undefined;
  }

  /**
   * Chains refer to maps, sets and each other, and maps to chains: so chains are emptied before the first
   * goes. What another plan asks too stays.
   */
  #removal(built: BuiltPlan | undefined, beside: BuiltPlan | undefined): string {
    if (built === undefined) return "";
    const { chains, maps, sets } = built;
    const commands = [
      ...chains.map((name) => `flush chain inet ${this.#table} ${name}`),
      ...maps.map((name) => `delete map inet ${this.#table} ${name}`),
      ...sets.map((name) => `delete set inet ${this.#table} ${name}`),
      ...chains.map((name) => `delete chain inet ${this.#table} ${name}`),
      ...lastingBeside(beside, built.lasting).map(({ removal }) => removal),
    ];
    return `${commands.join("\n")}\n`;
  }

  /**
   * Puts another generation of seals in force, which voids those of every other. No packet may be on its way
   * with a wish to be sealed.
   *
   * @throws {FirewallError} `NFTABLES_REFUSED` when somebody has removed our table
   */
  renewSeals(generation: number): void {
    const { table, markMask, seals } = this.#plan;
    if (seals === undefined) return;
    runNftables(renewalText(table, { ...seals, generation }, new RejectMarks(markMask)));
  }

  /** Takes the queueing rule out, in one step for all hooks: from here on packets pass unjudged. */
  stopQueueing(): void {
    const batch = new NftablesBatch(1);
    for (const chain of queueChains(this.#plan.classing)) batch.flushChain(ours(this.#table), chain);
    withSocket((socket) => socket.attempt(batch.end(), "Cannot take the queueing rule out", "ENOENT"));
  }

  /**
   * Removes our table. The rule set is as it was before.
   *
   * @returns false when somebody else had removed it
   */
  remove(): boolean {
    invariant(this.#installed, "rules are removed once");
    this.#installed = false;
    return removeLeftovers(this.#table);
  }

  #startQueueing(queues: QueueRange, expression: QueueExpression): void {
    const batch = new NftablesBatch(1);
    for (const [at, chain] of queueChains(this.#plan.classing).entries()) {
      const range = { ...queues, first: queues.first + at * queues.count };
      batch.appendQueueRule(ours(this.#table), chain, range, expression);
    }
    withSocket((socket) => socket.request(batch.end(), "Cannot send packets to the queue"));
  }
}

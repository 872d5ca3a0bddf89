/**
 * Pinholes in iptables and ipset: for machines whose rule set is made with these.
 *
 * Elements that sets can hold cost the same however many there are; what they cannot hold becomes a rule, and
 * packets ask rules one by one. Three programs are told, one after the other, so a packet may meet half of a
 * commit: this filter is not atomic, and says so. When one of them refuses, what the others did is undone.
 */
import { type Family, FirewallError, type Milliseconds } from "../../base/index.ts";
import type {
  BackendAbilities,
  Cut,
  DesiredState,
  Drift,
  Element,
  KernelPlan,
  Overrun,
  PinholeBackend,
  PreparedPlan,
  Restoration,
  StandingElement,
  Traffic,
} from "../../pinhole/index.ts";
import { FlowCutter } from "../pinholes/flow-cutter.ts";
import { IptablesScript, ruleName, type Spot, spotOf, timeoutSeconds } from "./iptables-script.ts";
import {
  checkTarget,
  createLine,
  deleteLine,
  type HeldSets,
  markLines,
  readRules,
  readSets,
  tellIpset,
  tellIptables,
} from "./kernel-scripts.ts";
import { entryRules, type IptablesPlan, PURPOSES, setRule, targetChain } from "./rule-text.ts";
import { COLOURS, type IpSet, type IpSetEntry, tupleEntries } from "./spot.ts";
import { TupleColours } from "./tuple-colours.ts";

const ABILITIES: BackendAbilities = {
  isAtomic: false,
  expires: true,
  counts: true,
  limits: [],
  translates: false,
  expansionMax: 64,
};

const FAMILIES: readonly Family[] = [4, 6];

/** A lifetime may be wrong by this much, in seconds, before it is put right: ipset counts whole ones. */
const LIFETIME_TOLERANCE = 2;

/** How often the sets are looked at, in milliseconds. */
const LOOK_MS = 1000;

/** Of a chain: XT_EXTENSION_MAXNAMELEN without its end. */
const NAME_MAX = 28;

/** Ours lends its name to sets, whose suffixes need the rest of their 31 characters. */
const OWN_NAME_MAX = 15;

/** @throws {FirewallError} `CHAIN_NAME_INVALID` for what iptables' language would misread */
function checkName(what: string, name: string, lengthMax: number): void {
  if (/^[A-Za-z][A-Za-z0-9_]*$/.test(name) && name.length <= lengthMax) return;
  const message = `"${name}" is no name for ${what}: use a letter, then up to ${lengthMax - 1} letters, digits and "_".`;
  throw new FirewallError("CHAIN_NAME_INVALID", message, { details: { chain: name } });
}

interface Ready extends PreparedPlan {
  readonly script: IptablesScript;
}

/** Pinholes in a chain of iptables. */
export class IptablesPinholes implements PinholeBackend {
  readonly name = "iptables";
  readonly abilities: BackendAbilities = ABILITIES;
  readonly #plan: IptablesPlan;
  readonly #cutter: FlowCutter;
  readonly #wall: () => Milliseconds;
  readonly #colours: TupleColours = new TupleColours();
  readonly #standing: Map<string, StandingElement> = new Map();
  /** Suffixes of sets that exist and are asked. */
  readonly #sets: Set<string> = new Set();
  /**
   * What wall time is when the clock of the deadlines is 0: fixed, so that a rule is named the same later.
   */
  #epoch: Milliseconds = 0;
  #isRestored = false;
  #timer: NodeJS.Timeout | undefined;

  private constructor(plan: IptablesPlan, cutter: FlowCutter, wall: () => Milliseconds) {
    this.#plan = plan;
    this.#cutter = cutter;
    this.#wall = wall;
  }

  /**
   * Takes hold of a chain. Live connections are ended in the calling thread's network namespace; the programs
   * run where the plan's launcher puts them. Nothing changes before {@link IptablesPinholes.restore}.
   *
   * @param wall - Unix time in milliseconds; leases of rules count on it
   * @throws {FirewallError} `NETLINK_UNAVAILABLE`, `CHAIN_NAME_INVALID`
   */
  static open(plan: IptablesPlan, wall: () => Milliseconds = Date.now): IptablesPinholes {
    checkName("our chain", plan.chain, OWN_NAME_MAX);
    checkName("a target", targetChain(plan) ?? "ACCEPT", NAME_MAX);
    return new IptablesPinholes(plan, FlowCutter.open(), wall);
  }

  async restore(desired: DesiredState): Promise<Restoration> {
    try {
      return await this.#restore(desired);
    } catch (error) {
      throw translate(error);
    }
  }

  prepare(plan: KernelPlan): PreparedPlan {
    if (plan.putLimits.length > 0) {
      throw new FirewallError("BACKEND_REFUSED", "iptables cannot limit single pinholes. Ask for no limits.");
    }
    const script = this.#newScript(plan.now);
    for (const { key } of plan.remove) {
      const standing = this.#standing.get(key);
      if (standing !== undefined) script.remove(standing);
    }
    for (const element of plan.put) script.put(element, this.#standing.get(element.key));
    const ready: Ready = { plan, script };
    return ready;
  }

  async commit(prepared: PreparedPlan): Promise<void> {
    const { plan, script } = prepared as Ready;
    if (!this.#isRestored) {
      throw new FirewallError("BACKEND_DRIFTED", "The pinholes must be restored before they change.");
    }
    try {
      await this.#makeSets([...script.wanted.values()]);
      await this.#tell(script, plan.generation);
    } catch (error) {
      await this.#undo(plan);
      throw translate(error);
    }
    this.#colours.settle();
    for (const { key } of plan.remove) this.#standing.delete(key);
    for (const element of plan.put) this.#standing.set(element.key, element);
  }

  rollback(_prepared: PreparedPlan): void {
    this.#colours.takeBack();
  }

  async traffic(elements: readonly Element[]): Promise<Traffic[]> {
    const { sets } = await readSets(this.#plan);
    const rules = (await Promise.all(FAMILIES.map((family) => readRules(this.#plan, family)))).flat();
    const byName = new Map(rules.map((rule) => [rule.name, rule]));
    return elements.map((element) => {
      const spot = this.#spotOf(element);
      // Of the two sets of a tuple the second is asked only when the first has the packet.
      const last = spot === "rule" ? undefined : spot.at(-1);
      const held =
        last === undefined
          ? byName.get(ruleName(element))
          : sets.get(last.set.suffix)?.entries.get(last.entry);
      return { packets: held?.packets ?? 0, bytes: held?.bytes ?? 0 };
    });
  }

  /** It has no limits. */
  overruns(): Promise<Overrun[]> {
    return Promise.resolve([]);
  }

  cut(cut: Cut): Promise<number> {
    return this.#cutter.cut(cut);
  }

  watch(listener: (drift: Drift) => void): void {
    const look = async (): Promise<void> => {
      const what = await this.#findDrift();
      if (what === undefined) return;
      this.#isRestored = false;
      listener({ culprit: "", what });
    };
    this.#timer = setInterval(() => void look().catch(() => undefined), LOOK_MS);
    this.#timer.unref();
  }

  close(): Promise<void> {
    clearInterval(this.#timer);
    return this.#cutter.close();
  }

  #newScript(now: Milliseconds): IptablesScript {
    return new IptablesScript(this.#plan, this.#colours, { now, wall: this.#epoch + now });
  }

  #spotOf(element: Element): Spot {
    return spotOf(element, this.#colours.find(element));
  }

  /** Rules first: what they stand for is not in the sets. */
  async #tell(script: IptablesScript, generation: number): Promise<void> {
    for (const family of FAMILIES) await tellIptables(this.#plan, family, script.rules[family]);
    await tellIpset(this.#plan, [...script.ipset, ...markLines(this.#plan, generation)]);
  }

  /** Takes back what was said of a plan that failed half-way, as far as it was said. */
  async #undo(plan: KernelPlan): Promise<void> {
    this.#colours.takeBack();
    const elements = [...this.#standing.values()];
    const generation = plan.generation - 1;
    await this.#restore({ now: plan.now, generation, elements, limits: [] });
  }

  async #makeSets(groups: readonly (readonly IpSet[])[]): Promise<void> {
    for (const sets of groups) {
      const [first] = sets;
      if (first === undefined || sets.every(({ suffix }) => this.#sets.has(suffix))) continue;
      await tellIpset(
        this.#plan,
        sets.map((set) => createLine(this.#plan, set)),
      );
      await tellIptables(this.#plan, first.family, [setRule(this.#plan, sets)]);
      for (const { suffix } of sets) this.#sets.add(suffix);
    }
  }

  async #restore(desired: DesiredState): Promise<Restoration> {
    this.#isRestored = false;
    for (const family of FAMILIES) await checkTarget(this.#plan, family);
    const held = await readSets(this.#plan);
    const rules = (await Promise.all(FAMILIES.map((family) => readRules(this.#plan, family)))).flat();
    this.#epoch = this.#wall() - desired.now;
    const elements = [...desired.elements];
    this.#adoptColours(elements, held);
    const script = this.#newScript(desired.now);
    const report = this.#compare(elements, held, new Set(rules.map(({ name }) => name)), script);
    await this.#makeChains(held, elements, script);
    await this.#makeSets([...script.wanted.values()]);
    await tellIpset(this.#plan, [...script.ipset, ...markLines(this.#plan, desired.generation)]);
    this.#colours.settle();
    this.#standing.clear();
    for (const element of elements) this.#standing.set(element.key, element);
    this.#isRestored = true;
    const entries = [...held.sets.values()].reduce((sum, set) => sum + set.entries.size, 0);
    return { found: held.generation, held: entries + rules.length, ...report };
  }

  /** Tuples stay in the colour in which they are. */
  #adoptColours(elements: readonly StandingElement[], held: HeldSets): void {
    this.#colours.clear();
    const isHeld = ({ set, entry }: IpSetEntry): boolean =>
      held.sets.get(set.suffix)?.entries.has(entry) === true;
    for (const element of elements) {
      for (let colour = 0; colour < COLOURS; colour += 1) {
        if (tupleEntries(element, colour).every(isHeld) && this.#colours.take(element, colour)) break;
      }
    }
  }

  /** Fills the script with what is missing or stale in the sets, and takes out what nobody asked for. */
  #compare(
    elements: readonly StandingElement[],
    held: HeldSets,
    ruleNames: ReadonlySet<string>,
    script: IptablesScript,
  ): Pick<Restoration, "added" | "renewed" | "removed"> {
    const added: string[] = [];
    const renewed: string[] = [];
    const known = new Set<string>();
    for (const element of elements) {
      const spot = spotOf(element, this.#colours.place(element));
      if (spot === "rule") {
        const name = ruleName(element);
        known.add(name);
        if (!ruleNames.has(name)) added.push(element.key);
        continue;
      }
      const entries = spot.map(({ set, entry }) => held.sets.get(set.suffix)?.entries.get(entry));
      for (const { set, entry } of spot) known.add(`${set.suffix} ${entry}`);
      const seconds = timeoutSeconds(element.deadline, this.#wall() - this.#epoch);
      if (entries.includes(undefined)) added.push(element.key);
      else if (entries.every((entry) => Math.abs((entry?.left ?? 0) - seconds) < LIFETIME_TOLERANCE))
        continue;
      else renewed.push(element.key);
      script.put(element, undefined);
    }
    const strangers = [...held.sets.values()].flatMap(({ set, entries }) =>
      [...entries.keys()]
        .map((entry) => ({ set, entry }))
        .filter((one) => !known.has(`${set.suffix} ${one.entry}`)),
    );
    for (const stranger of strangers) script.ipset.unshift(deleteLine(this.#plan, stranger));
    const rules = [...ruleNames].filter((name) => !known.has(name));
    return {
      added,
      renewed,
      removed: [...strangers.map(({ set, entry }) => `${set.suffix} ${entry}`), ...rules],
    };
  }

  /**
   * Our chains with all their rules, in one step for each family: packets meet the old ones or the new ones.
   */
  async #makeChains(
    held: HeldSets,
    elements: readonly StandingElement[],
    script: IptablesScript,
  ): Promise<void> {
    this.#sets.clear();
    const pairs = new Map<string, IpSet[]>();
    for (const { set } of held.sets.values()) {
      this.#sets.add(set.suffix);
      const group = set.suffix.replace(/(t\d)[sd]$/, "$1");
      pairs.set(group, [...(pairs.get(group) ?? []), set]);
    }
    for (const family of FAMILIES) {
      const chains = [this.#plan.chain, ...PURPOSES.map((purpose) => `${this.#plan.chain}-${purpose}`)];
      const rules = elements
        .filter((element) => element.box.source.family === family && this.#spotOf(element) === "rule")
        .map((element) => script.ruleOf(element));
      const asked = [...pairs.values()].filter(([first]) => first?.family === family);
      await tellIptables(this.#plan, family, [
        ...chains.map((chain) => `:${chain} - [0:0]`),
        ...entryRules(this.#plan),
        ...rules,
        ...asked.map((sets) => setRule(this.#plan, sets)),
      ]);
    }
  }

  async #findDrift(): Promise<string | undefined> {
    if (!this.#isRestored) return undefined;
    const { sets } = await readSets(this.#plan);
    const now = this.#wall() - this.#epoch;
    for (const element of this.#standing.values()) {
      const spot = this.#spotOf(element);
      if (spot === "rule" || element.deadline <= now + LOOK_MS) continue;
      const isHeld = spot.every(({ set, entry }) => sets.get(set.suffix)?.entries.has(entry) === true);
      if (!isHeld) return "entries of sets were deleted";
    }
    return undefined;
  }
}

/** A failure of one of the programs in the words that the model understands. */
function translate(error: unknown): unknown {
  if (!(error instanceof FirewallError)) return error;
  const { code, message, details } = error;
  if (code !== "COMMAND_FAILED") return error;
  const isGone = /does not exist|No chain\/target\/match|doesn't exist/.test(message);
  const isBusy = /Resource temporarily unavailable|xtables lock/.test(message);
  const failure = isGone ? "BACKEND_DRIFTED" : isBusy ? "BACKEND_UNAVAILABLE" : "BACKEND_REFUSED";
  return new FirewallError(failure, message, { details, cause: error });
}

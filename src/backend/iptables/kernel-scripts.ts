/** What is said to ipset, iptables and ip6tables, and what they say they hold. */
import { type Family, FirewallError } from "../../base/index.ts";
import { runCommand } from "../../system/index.ts";
import { type IptablesPlan, ipSetName, PROGRAMS, targetChain } from "./rule-text.ts";
import { type IpSet, type IpSetEntry, parseIpSet } from "./spot.ts";

/** Entries of one set, at most. */
const ENTRIES_MAX = 1_048_576;

/**
 * Suffix of the set that says which generation is in force: one address whose last 64 bits are the number.
 */
const MARK_SUFFIX = "gen";

const WORD = 0x1_0000_0000;

/** One entry that is held. */
export interface HeldEntry {
  /** Seconds until it ends by itself; 0 for never. */
  readonly left: number;
  readonly packets: number;
  readonly bytes: number;
}

/** What the kernel holds of ours. */
export interface HeldSets {
  readonly generation: number | undefined;
  readonly sets: ReadonlyMap<
    string,
    { readonly set: IpSet; readonly entries: ReadonlyMap<string, HeldEntry> }
  >;
}

/** A line that puts an entry into a set, or gives it another lifetime. */
export function addLine(plan: IptablesPlan, { set, entry }: IpSetEntry, timeoutSeconds: number): string {
  return `add ${ipSetName(plan, set)} ${entry} timeout ${timeoutSeconds}`;
}

/** A line that takes an entry out. */
export function deleteLine(plan: IptablesPlan, { set, entry }: IpSetEntry): string {
  return `del ${ipSetName(plan, set)} ${entry}`;
}

/** A line that makes a set. */
export function createLine(plan: IptablesPlan, set: IpSet): string {
  const { ipsetFamily } = PROGRAMS[set.family];
  const options = `family ${ipsetFamily} maxelem ${ENTRIES_MAX} timeout 0 counters`;
  return `create ${ipSetName(plan, set)} ${set.type} ${options}`;
}

function group(value: number): string {
  return `${Math.floor(value / 0x10000).toString(16)}:${(value % 0x10000).toString(16)}`;
}

/** Lines that note the generation. */
export function markLines(plan: IptablesPlan, generation: number): string[] {
  const name = `${plan.chain}-${MARK_SUFFIX}`;
  const address = `fd00:0:0:0:${group(Math.floor(generation / WORD))}:${group(generation % WORD)}`;
  return [`create ${name} hash:ip family inet6`, `flush ${name}`, `add ${name} ${address}`];
}

function readMark(text: string): number {
  const groups = text.split("::");
  const words = (groups.length === 1 ? text : (groups[1] ?? "")).split(":").slice(-4);
  return words.reduce((value, word) => value * 0x10000 + Number.parseInt(word === "" ? "0" : word, 16), 0);
}

/** Tells ipset. It stops at the first line that it cannot do; what came before stays done. */
export async function tellIpset(plan: IptablesPlan, lines: readonly string[]): Promise<void> {
  if (lines.length === 0) return;
  await runCommand([...(plan.launcher ?? []), "ipset", "-exist", "restore"], `${lines.join("\n")}\n`);
}

/** Tells iptables: all lines or none, and no other chain is touched. */
export async function tellIptables(
  plan: IptablesPlan,
  family: Family,
  lines: readonly string[],
): Promise<void> {
  if (lines.length === 0) return;
  const program = `${PROGRAMS[family].tables}-restore`;
  const input = `*filter\n${lines.join("\n")}\nCOMMIT\n`;
  await runCommand([...(plan.launcher ?? []), program, "--noflush", "--wait"], input);
}

/**
 * Looks whether there is a chain for what pinholes permit. Rules name it only when there are pinholes, so it
 * would be missed by the first of them.
 *
 * @throws {FirewallError} `BACKEND_DRIFTED` when there is none
 */
export async function checkTarget(plan: IptablesPlan, family: Family): Promise<void> {
  const chain = targetChain(plan);
  if (chain === undefined) return;
  const program = PROGRAMS[family].tables;
  try {
    await runCommand([...(plan.launcher ?? []), program, "--wait", "-S", chain]);
  } catch (cause) {
    const message = `${program} has no chain "${chain}" for what pinholes permit. Make it first: ${program} -N ${chain}`;
    throw new FirewallError("BACKEND_DRIFTED", message, { details: { chain, program }, cause });
  }
}

/** Reads our sets. */
export async function readSets(plan: IptablesPlan): Promise<HeldSets> {
  const text = await runCommand([...(plan.launcher ?? []), "ipset", "save"]);
  const sets = new Map<string, { set: IpSet; entries: Map<string, HeldEntry> }>();
  let generation: number | undefined;
  for (const line of text.split("\n")) {
    const [word, name = "", entry = "", ...rest] = line.split(" ");
    if (!name.startsWith(`${plan.chain}-`)) continue;
    const suffix = name.slice(plan.chain.length + 1);
    const set = parseIpSet(suffix);
    if (suffix === MARK_SUFFIX && word === "add") generation = readMark(entry);
    if (set === undefined) continue;
    if (word === "create") sets.set(suffix, { set, entries: new Map() });
    if (word === "add") sets.get(suffix)?.entries.set(entry, readOptions(rest));
  }
  return { generation, sets };
}

function readOptions(words: readonly string[]): HeldEntry {
  const value = (name: string): number => {
    const at = words.indexOf(name);
    return at < 0 ? 0 : Number(words[at + 1]);
  };
  return { left: value("timeout"), packets: value("packets"), bytes: value("bytes") };
}

/** A rule that is held, by its comment. */
export interface HeldRule {
  readonly name: string;
  readonly packets: number;
  readonly bytes: number;
}

/** Reads the rules that stand for elements. */
export async function readRules(plan: IptablesPlan, family: Family): Promise<HeldRule[]> {
  const program = `${PROGRAMS[family].tables}-save`;
  const text = await runCommand([...(plan.launcher ?? []), program, "-c", "-t", "filter"]);
  const rules: HeldRule[] = [];
  for (const line of text.split("\n")) {
    const [, packets, bytes, name] = /^\[(\d+):(\d+)\] -A (?:\S+) .*--comment "?([^\s"]+)"?/.exec(line) ?? [];
    if (name === undefined || !line.includes(` -A ${plan.chain}-`)) continue;
    rules.push({ name, packets: Number(packets), bytes: Number(bytes) });
  }
  return rules;
}

/**
 * Our part of the rule set in nftables' language.
 *
 * Everything hangs below one chain, whose name the administrator chooses and which his rules jump to. A
 * packet that we have no opinion about returns to him. Where nobody jumps to us we make a table of our own
 * with base chains that do.
 *
 * ```
 * CHAIN ─┬─ CHAIN-v4 ─┬─ CHAIN-v4-block           one rule for each set: in it? drop
 *        │            ├─ CHAIN-v4-setup           TCP SYN; in a set? the target, or CHAIN-v4-limited
 *        │            └─ CHAIN-v4-pass            all else; the same
 *        └─ CHAIN-v6 ─ …
 * ```
 *
 * What translates addresses is in translation-text.ts.
 *
 * Chains begin empty. A set and the rule that asks it come with the first element that needs it, so packets
 * pay for nothing that nobody uses. Every name begins with the chain's, and nothing else of the table is read
 * or written.
 */
import type { Family, HookName } from "../../base/index.ts";
import type { ElementRole } from "../../pinhole/index.ts";
import { hexadecimal } from "../hexadecimal.ts";
import type { ChainPlan } from "./chain-plan.ts";
import { type LimitMap, limitMapText } from "./limit-objects.ts";
import { type SetIdentity, setSuffix, shapeExpression, shapeType } from "./set-shape.ts";
import {
  translationChains,
  translationMapText,
  translationRole,
  translationText,
} from "./translation-text.ts";

/** Version of this arrangement. A table that says another number is built anew. */
export const LAYOUT = 1;

const FAMILIES: readonly Family[] = [4, 6];

/** Chains of each family. */
const PURPOSES = ["block", "setup", "pass", "limited"] as const;

/** The chain of a family and a purpose. */
function chainName(plan: ChainPlan, family: Family, purpose?: string): string {
  return `${plan.chain}-v${family}${purpose === undefined ? "" : `-${purpose}`}`;
}

/** Name of a set of ours. */
export function setName(plan: ChainPlan, set: SetIdentity): string {
  return `${plan.chain}-${setSuffix(set)}`;
}

/** Name of the set that says which generation is in force. */
export function markName(plan: ChainPlan): string {
  return `${plan.chain}-generation`;
}

/** Nobody but us says that a pinhole permits a packet. */
function clearingRule({ mark }: ChainPlan, chain: string): string {
  return mark === undefined ? "" : `add rule ${chain} meta mark set meta mark and ${hexadecimal(~mark)}\n`;
}

/** What becomes of a permitted packet. */
function permission(plan: ChainPlan): string {
  const verdict = plan.target === undefined || plan.target === "accept" ? "accept" : `goto ${plan.target}`;
  return plan.mark === undefined
    ? verdict
    : `meta mark set meta mark or ${hexadecimal(plan.mark)} ${verdict}`;
}

function familyChains(plan: ChainPlan, family: Family): string {
  const names = [chainName(plan, family), ...PURPOSES.map((purpose) => chainName(plan, family, purpose))];
  return names.map((name) => `	chain ${name} {\n	}`).join("\n");
}

/**
 * The transaction that makes our chains and rules, whatever of them is there already, and leaves what sets
 * hold alone.
 *
 * @param sets - sets that exist, or shall
 * @param limitMaps - maps of limits that exist, or shall
 */
export function structureText(
  plan: ChainPlan,
  sets: readonly SetIdentity[],
  limitMaps: readonly LimitMap[],
): string {
  const asked = [...sets].sort((a, b) => rank(a) - rank(b));
  const hasTranslations = sets.some((set) => translationRole(set) !== undefined);
  const chains = [...ourChains(plan), ...(hasTranslations ? translationChains(plan) : [])];
  const maps = limitMaps.map((map) => limitText(plan, map, "add")).join("");
  return `add table inet ${plan.table}
table inet ${plan.table} {
	set ${markName(plan)} {
		type mark . mark . mark
	}
${FAMILIES.map((family) => familyChains(plan, family)).join("\n")}
	chain ${plan.chain} {
	}
}
${hasTranslations ? translationText(plan) : ""}${chains
  .map((chain) => `flush chain inet ${plan.table} ${chain}\n`)
  .join("")}${asked.map((set) => contentText(plan, set, "add")).join("")}${maps}${rulesText(plan)}`;
}

/** Sets without limits are asked first. */
function rank(set: SetIdentity): number {
  return set.role.endsWith("-limited") ? 1 : 0;
}

function ourChains(plan: ChainPlan): string[] {
  const families = FAMILIES.flatMap((family) => [
    chainName(plan, family),
    ...PURPOSES.map((purpose) => chainName(plan, family, purpose)),
  ]);
  return [plan.chain, ...families];
}

function rulesText(plan: ChainPlan): string {
  const rule = (chain: string, text: string): string => `add rule inet ${plan.table} ${chain} ${text}\n`;
  const families = FAMILIES.flatMap((family) => {
    const name = (purpose?: string): string => chainName(plan, family, purpose);
    return [
      rule(name(), `jump ${name("block")}`),
      rule(name(), `tcp flags & (syn | ack) == syn goto ${name("setup")}`),
      rule(name(), `goto ${name("pass")}`),
      rule(name("limited"), permission(plan)),
    ];
  });
  const entry = `meta nfproto vmap { ipv4 : goto ${chainName(plan, 4)}, ipv6 : goto ${chainName(plan, 6)} }`;
  const hooks = (plan.hooks ?? []).map((hook) => hookChain(plan, hook)).join("");
  return `${rule(plan.chain, entry)}${families.join("")}${hooks}`;
}

/** A base chain of a table that is ours. */
function hookChain(plan: ChainPlan, hook: HookName): string {
  const name = `inet ${plan.table} ${plan.chain}-${hook.toLowerCase()}`;
  const otherwise = plan.otherwise === "drop" ? `add rule ${name} drop\n` : "";
  return `add chain ${name} { type filter hook ${hook.toLowerCase()} priority ${plan.priority ?? 0}; policy accept; }
flush chain ${name}
${clearingRule(plan, name)}add rule ${name} jump ${plan.chain}
${otherwise}`;
}

/** The chain whose rules ask the sets of a role. */
function askingChain(plan: ChainPlan, family: Family, role: ElementRole): string {
  return chainName(plan, family, role.replace("-limited", ""));
}

function verdictOf(plan: ChainPlan, family: Family, role: ElementRole): string {
  if (role === "block") return "drop";
  return role.endsWith("-limited") ? `goto ${chainName(plan, family, "limited")}` : permission(plan);
}

/**
 * The commands that make a set and the rule that asks it.
 */
export function setText(plan: ChainPlan, set: SetIdentity): string {
  const isTranslating = translationRole(set) !== undefined;
  return (isTranslating ? translationText(plan) : "") + contentText(plan, set, placeOf(set));
}

function contentText(plan: ChainPlan, set: SetIdentity, place: "add" | "insert"): string {
  const { shape, role } = set;
  const translating = translationRole(set);
  if (translating !== undefined) return translationMapText(plan, setName(plan, set), shape, translating);
  const name = setName(plan, set);
  const flags = shape.isInterval ? "interval, timeout" : "timeout";
  const rule = `${shapeExpression(shape)} @${name} ${verdictOf(plan, shape.family, role)}`;
  return `add set inet ${plan.table} ${name} { type ${shapeType(shape)}; flags ${flags}; counter; }
${place} rule inet ${plan.table} ${askingChain(plan, shape.family, role)} ${rule}
`;
}

/** Before all rules of its chain, where sets without limits belong, or behind them. */
function placeOf(set: SetIdentity): "add" | "insert" {
  return set.role.endsWith("-limited") ? "add" : "insert";
}

/**
 * The commands that make a map of limits and the rule that asks it.
 *
 * @param place - `insert`: before the rule that lets pass what is within its limits
 */
export function limitText(plan: ChainPlan, map: LimitMap, place: "add" | "insert" = "insert"): string {
  return limitMapText(plan, map, place, chainName(plan, map.shape.family, "limited"));
}

/**
 * Chains and maps that translate addresses, in nftables' language.
 *
 * Base chains of our own come with the first map, a little before those of the administrator at the same
 * hooks, so that what a pinhole says of a packet counts before a masquerade that is meant for all others.
 *
 * ```
 * prerouting  ─► CHAIN-nat-prerouting  ─► CHAIN-vN-dnat ─► one rule for each map
 * postrouting ─► CHAIN-nat-postrouting ─► CHAIN-vN-snat ─► one rule for each map
 * ```
 */
import type { Family } from "../../base/index.ts";
import { TRANSLATION_ROLES, type TranslationRole } from "../../pinhole/index.ts";
import type { ChainPlan } from "./chain-plan.ts";
import { type Field, FIELD_TEXT, type SetIdentity, type SetShape, shapeType } from "./set-shape.ts";

const FAMILIES: readonly Family[] = [4, 6];

/** Where each kind of translation happens, and when; both names are nftables' own. */
const HOOKS = {
  dnat: { hook: "prerouting", priority: "dstnat - 5" },
  snat: { hook: "postrouting", priority: "srcnat - 5" },
} as const;

const WAYS = ["dnat", "snat"] as const;
type Way = (typeof WAYS)[number];

/** Protocols whose ports the kernel translates. */
const PORT_PROTOCOLS = "{ tcp, udp, udplite, sctp, dccp }";

/** The role of a map that translates; undefined for a set that filters. */
export function translationRole({ role }: Pick<SetIdentity, "role">): TranslationRole | undefined {
  return TRANSLATION_ROLES.find((one) => one === role);
}

function wayOf(role: TranslationRole): Way {
  return role.startsWith("dnat") ? "dnat" : "snat";
}

function ruleChain(plan: ChainPlan, family: Family, way: Way): string {
  return `${plan.chain}-v${family}-${way}`;
}

/** Chains with the rules that ask the maps. */
export function translationChains(plan: ChainPlan): string[] {
  return FAMILIES.flatMap((family) => WAYS.map((way) => ruleChain(plan, family, way)));
}

/** The commands that make the chains, whatever of them is there already; rules that ask maps stay. */
export function translationText(plan: ChainPlan): string {
  const table = `inet ${plan.table}`;
  const chains = translationChains(plan).map((chain) => `add chain ${table} ${chain}\n`);
  const bases = WAYS.map((way) => {
    const { hook, priority } = HOOKS[way];
    const name = `${table} ${plan.chain}-nat-${hook}`;
    const [four, six] = [ruleChain(plan, 4, way), ruleChain(plan, 6, way)];
    return `add chain ${name} { type nat hook ${hook} priority ${priority}; policy accept; }
flush chain ${name}
add rule ${name} meta nfproto vmap { ipv4 : goto ${four}, ipv6 : goto ${six} }
`;
  });
  return chains.join("") + bases.join("");
}

function changesPort(role: TranslationRole): boolean {
  return !role.endsWith("-host");
}

/** What the keys of a map lead to, in nftables' language. */
function dataType(family: Family, role: TranslationRole): string {
  const address = family === 4 ? "ipv4_addr" : "ipv6_addr";
  return changesPort(role) ? `${address} . inet_service` : address;
}

function networkWord(family: Family): "ip" | "ip6" {
  return family === 4 ? "ip" : "ip6";
}

/** What a packet is looked up by. Where it was sent to, only its connection still knows. */
function lookedUp({ family, fields }: SetShape, role: TranslationRole): string {
  const sent: Partial<Record<Field, string>> = role.startsWith("snat-sent")
    ? { daddr: `ct original ${networkWord(family)} daddr`, dport: "ct original proto-dst" }
    : {};
  return fields.map((field) => sent[field] ?? FIELD_TEXT[family][field].expression).join(" . ");
}

/** The commands that make a map and the rule that asks it. The chains must be there. */
export function translationMapText(
  plan: ChainPlan,
  name: string,
  shape: SetShape,
  role: TranslationRole,
): string {
  const { family } = shape;
  const way = wayOf(role);
  const flags = shape.isInterval ? "interval, timeout" : "timeout";
  // nftables takes a port that a connection remembers for one only where the protocol has ports.
  const asksPort = role.startsWith("snat-sent") && shape.fields.includes("dport");
  const protocols = changesPort(role) || asksPort ? `meta l4proto ${PORT_PROTOCOLS} ` : "";
  const network = networkWord(family);
  const type = `${shapeType(shape)} : ${dataType(family, role)}`;
  return `add map inet ${plan.table} ${name} { type ${type}; flags ${flags}; }
add rule inet ${plan.table} ${ruleChain(plan, family, way)} ${protocols}${way} ${network} to ${lookedUp(shape, role)} map @${name}
`;
}

/** What SIMCO says, in words of the command line and for people. */
import { familyBits, formatAddress } from "../base/index.ts";
import type { EndpointSpec } from "../client/index.ts";
import {
  type AddressTuple,
  type Capabilities,
  DIRECTION,
  type Message,
  type Notice,
  RESERVED_PARITY,
} from "../simco/index.ts";
import { endpointText, protocolText } from "./pinhole-text.ts";

/** Which way packets may go, in words. */
export const DIRECTION_WORDS = { in: DIRECTION.IN, out: DIRECTION.OUT, both: DIRECTION.BOTH } as const;

/** Parity of reserved ports, in words. */
export const PARITY_WORDS = {
  any: RESERVED_PARITY.ANY,
  odd: RESERVED_PARITY.ODD,
  even: RESERVED_PARITY.EVEN,
} as const;

/** Arrows from our side to theirs. */
const ARROWS: Readonly<Record<number, string>> = {
  [DIRECTION.IN]: "<-",
  [DIRECTION.OUT]: "->",
  [DIRECTION.BOTH]: "<->",
};

function specOf({ family, address, prefix, port, count }: AddressTuple): EndpointSpec {
  const ports = port === 0 ? {} : { ports: [port, port + count - 1] as const };
  if (address === undefined) return { family };
  const network = prefix === familyBits(family) ? {} : { prefix };
  return { family, address: formatAddress(family, address), ...network, ...ports };
}

function endText(end: AddressTuple | undefined): string {
  return end === undefined ? "-" : endpointText(specOf(end));
}

/** A rule's facts, as programs and people read them. */
export interface RuleReport {
  readonly rule: number;
  readonly state: "reserved" | "enabled" | "disabled" | "ended";
  readonly group?: number;
  /** Seconds. */
  readonly lifetime?: number;
  readonly protocol?: string;
  readonly direction?: "in" | "out" | "both";
  readonly internal?: string;
  readonly inside?: string;
  readonly outside?: string;
  readonly external?: string;
  readonly owner?: string;
}

const STATES: Readonly<Partial<Record<Message["name"], RuleReport["state"]>>> = {
  PRR_REPLY: "reserved",
  PRS_REPLY: "reserved",
  PER_REPLY: "enabled",
  PES_REPLY: "enabled",
  PDR_REPLY: "disabled",
  PDS_REPLY: "disabled",
};

const SIDES = ["internal", "inside", "outside", "external"] as const;

/** What a reply says of a rule. */
export function ruleReport(reply: Message & { readonly rule: number }): RuleReport {
  const fields: Readonly<Partial<Record<string, unknown>>> = { ...reply };
  const ends = SIDES.flatMap((side) => {
    const end = fields[side] as AddressTuple | undefined;
    return end === undefined ? [] : [[side, end] as const];
  });
  const [first] = ends;
  const direction = Object.entries(DIRECTION_WORDS).find(
    ([, number]) => "enable" in reply && reply.enable.direction === number,
  )?.[0] as RuleReport["direction"] | undefined;
  return {
    rule: reply.rule,
    state: STATES[reply.name] ?? "ended",
    ...("group" in reply && reply.group !== undefined ? { group: reply.group } : {}),
    ...("lifetime" in reply ? { lifetime: reply.lifetime } : {}),
    ...(first === undefined ? {} : { protocol: protocolText(first[1].protocol) }),
    ...(direction === undefined ? {} : { direction }),
    ...Object.fromEntries(ends.map(([side, end]) => [side, endText(end)])),
    ...("owner" in reply ? { owner: reply.owner } : {}),
  };
}

/** `rule 4097  enabled  udp 10.1.8.3:5004 <- 192.0.2.100:6004  300 s  group 81  agent-1`. */
export function ruleText(report: RuleReport): string {
  const { rule, state, group, lifetime, protocol = "", owner = "" } = report;
  const words = [
    `rule ${rule}`,
    state,
    `${protocol} ${flowText(report)}`.trim(),
    keptText(report),
    lifetime === undefined ? "" : `${lifetime} s`,
    group === undefined ? "" : `group ${group}`,
    owner,
  ];
  return `${words.filter((word) => word !== "").join("  ")}\n`;
}

function flowText({ state, direction = "both", internal, external }: RuleReport): string {
  const arrow = state === "disabled" ? "-x-" : (ARROWS[DIRECTION_WORDS[direction]] ?? "");
  return internal === undefined ? "" : `${internal} ${arrow} ${external}`;
}

/** What the middlebox keeps for the rule, where that is something else than the ends themselves. */
function keptText({ outside, inside, internal, external }: RuleReport): string {
  return [
    ...(outside === undefined || outside === internal ? [] : [`outside ${outside}`]),
    ...(inside === undefined || inside === external ? [] : [`inside ${inside}`]),
  ].join(", ");
}

function versionsText(families: Capabilities["internalFamilies"]): string {
  return families.length === 0 ? "none" : families.map((family) => `IPv${family}`).join(" and ");
}

/** What a middlebox can do. */
export function capabilitiesText(capabilities: Capabilities): string {
  const { isFilter, translates, translatesTwice, disables, isPersistent, lifetimeMax } = capabilities;
  const { internalWildcards, externalWildcards, portWildcards, internalFamilies, externalFamilies } =
    capabilities;
  const nat = translatesTwice ? "translation, also twice" : "translation";
  const kinds = [
    ...(isFilter ? ["packet filter"] : []),
    ...(translates ? [nat] : []),
    ...(disables ? ["disable rules"] : []),
  ];
  const wildcards = [
    ...(internalWildcards ? ["our addresses"] : []),
    ...(externalWildcards ? ["their addresses"] : []),
    ...(portWildcards ? ["ports"] : []),
  ];
  return [
    `middlebox         ${kinds.join(", ")}`,
    `may be left open  ${wildcards.length === 0 ? "nothing" : wildcards.join(", ")}`,
    `inside, outside   ${versionsText(internalFamilies)}, ${versionsText(externalFamilies)}`,
    `longest lifetime  ${lifetimeMax} s`,
    `after a restart   rules are ${isPersistent ? "there again" : "gone"}\n`,
  ].join("\n");
}

/** A notification in a line. */
export function noticeText(notice: Notice): string {
  if (notice.name === "BFM") return "the middlebox could not read a message\n";
  if (notice.name === "AST") return "the middlebox ends the session\n";
  const { rule, lifetime } = notice;
  return lifetime === 0 ? `rule ${rule}  ended\n` : `rule ${rule}  ${lifetime} s\n`;
}

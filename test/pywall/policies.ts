/** The policies of PyWall's integration and acceptance suites, as objects. */
import { knockingRules, TWO_DOORS } from "../knocking.ts";

/** A policy file as JSON. */
export type PolicyObject = Readonly<Record<string, unknown>>;

/** The ports that the suites call unregistered. */
export const UNREGISTERED = { lo: 49_151, hi: 65_535 } as const;

/** The side of a packet that a policy looks at for unregistered ports. */
export type UnregisteredEnd = "src" | "dst" | "either";

function rangeRule(protocol: string, ends: readonly ("src" | "dst")[]): PolicyObject {
  const bounds = ends.flatMap((end) => [
    [`${end}_lo`, UNREGISTERED.lo],
    [`${end}_hi`, UNREGISTERED.hi],
  ]);
  return { name: "PortRangeRule", protocol, ...Object.fromEntries(bounds), action: "DROP" };
}

/** Drops TCP and UDP with an unregistered source port, destination port, or either of them. */
export function blockUnregistered(end: UnregisteredEnd): PolicyObject {
  const ends = end === "either" ? (["src", "dst"] as const) : [end];
  const rules = ends.flatMap((each) => ["TCP", "UDP"].map((protocol) => rangeRule(protocol, [each])));
  return { default_chain: "ACCEPT", INPUT: rules };
}

/** One address rule and a default, as in the six IP rule scenarios. */
export function addressPolicy(
  rule: "SourceIPRule" | "DestinationIPRule",
  network: string,
  verdicts: { readonly action: string; readonly fallback: string },
): PolicyObject {
  return {
    default_chain: verdicts.fallback,
    INPUT: [{ name: rule, cidr_range: network, action: verdicts.action }],
  };
}

/** The knock of PyWall's suite; unlike there, the protected port is the one that is tried. */
export const PORT_KNOCKING: PolicyObject = { default_chain: "ACCEPT", INPUT: knockingRules(TWO_DOORS) };

/** Puts rules before those of a policy. */
export function withFirst(policy: PolicyObject, rules: readonly PolicyObject[]): PolicyObject {
  return { ...policy, INPUT: [...rules, ...(policy["INPUT"] as readonly PolicyObject[])] };
}

/** PyWall's acceptance policies let the SSH that controls the hosts pass first. */
export const ACCEPT_SSH: readonly PolicyObject[] = [
  { name: "PortRule", protocol: "TCP", src_port: 22, action: "ACCEPT" },
  { name: "PortRule", protocol: "TCP", dst_port: 22, action: "ACCEPT" },
];

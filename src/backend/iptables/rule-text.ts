/** Our rules in the language of iptables. */
import type { Family } from "../../base/index.ts";
import { ANY_PROTOCOL, type Box, type Element, type FilterRole, type Endpoint } from "../../pinhole/index.ts";
import { filterRole, type IpSet } from "./spot.ts";

/** Where our chain is, and what happens there. */
export interface IptablesPlan {
  /** Name of our chain in the table `filter`, at most 15 characters; the administrator jumps to it. */
  readonly chain: string;
  /** What happens to a packet that a pinhole permits: a chain of that table, or `accept` (the default). */
  readonly target?: string;
  /** What stands before every command: `["ip", "netns", "exec", "name"]`. */
  readonly launcher?: readonly string[];
}

/** Chains beside ours. */
export const PURPOSES = ["block", "setup", "pass"] as const;
type Purpose = (typeof PURPOSES)[number];

/** The chain whose rules stand for the elements of a role. */
export function roleChain(plan: IptablesPlan, role: FilterRole): string {
  return `${plan.chain}-${role.replace("-limited", "")}`;
}

/** The administrator's chain for what pinholes permit; undefined when it is accepted. */
export function targetChain({ target = "accept" }: IptablesPlan): string | undefined {
  return target.toLowerCase() === "accept" ? undefined : target;
}

function verdict(plan: IptablesPlan, role: FilterRole): string {
  return role === "block" ? "-j DROP" : `-j ${targetChain(plan) ?? "ACCEPT"}`;
}

/** Rules of our own chain: where each packet is asked about. */
export function entryRules(plan: IptablesPlan): string[] {
  const chain = (purpose: Purpose): string => `${plan.chain}-${purpose}`;
  return [
    `-A ${plan.chain} -j ${chain("block")}`,
    `-A ${plan.chain} -p tcp -m tcp --tcp-flags SYN,ACK SYN -g ${chain("setup")}`,
    `-A ${plan.chain} -g ${chain("pass")}`,
  ];
}

/** Name of a set in the kernel. */
export function ipSetName(plan: IptablesPlan, set: IpSet): string {
  return `${plan.chain}-${set.suffix}`;
}

/**
 * The rule that asks a set, or a pair of them.
 *
 * @param sets - one, or the two of a tuple
 */
export function setRule(plan: IptablesPlan, sets: readonly IpSet[]): string {
  const role = sets[0]?.role ?? "pass";
  const matches = sets.map((set) => `-m set --match-set ${ipSetName(plan, set)} ${set.fields}`);
  return `-I ${roleChain(plan, role)} ${matches.join(" ")} ${verdict(plan, role)}`;
}

function addressMatch(option: "-s" | "-d", endpoint: Endpoint): string {
  return endpoint.isAnyAddress ? "" : ` ${option} ${endpoint.prefix.toString()}`;
}

function portMatch(option: "--sports" | "--dports", { ports, isAnyPort }: Endpoint): string {
  if (isAnyPort) return "";
  const range = ports.low === ports.high ? `${ports.low}` : `${ports.low}:${ports.high}`;
  return ` -m multiport ${option} ${range}`;
}

function boxMatch({ protocol, source, destination }: Box): string {
  const protocolMatch = protocol === ANY_PROTOCOL ? "" : ` -p ${protocol}`;
  return (
    addressMatch("-s", source) +
    addressMatch("-d", destination) +
    protocolMatch +
    portMatch("--sports", source) +
    portMatch("--dports", destination)
  );
}

/** A last second as iptables' `time` match wants it, in UTC. */
function stopTime(deadlineAt: number): string {
  return new Date(deadlineAt).toISOString().slice(0, 19);
}

/** Largest year of iptables' `time` match. */
const TIME_MAX = Date.UTC(2038, 0, 19);

/**
 * The rule that stands for an element. It dies with its lease, by the wall clock.
 *
 * @param deadlineAt - Unix time in milliseconds; Infinity for never
 * @param name - by which it is known again, in its comment
 */
export function elementRule(plan: IptablesPlan, element: Element, deadlineAt: number, name: string): string {
  const time = deadlineAt < TIME_MAX ? ` -m time --datestop ${stopTime(deadlineAt)}` : "";
  const comment = ` -m comment --comment ${name}`;
  const chain = roleChain(plan, filterRole(element));
  return `-A ${chain}${boxMatch(element.box)}${time}${comment} ${verdict(plan, filterRole(element))}`;
}

/** Names of the programs, and of ipset's family, for a family. */
export const PROGRAMS: Readonly<Record<Family, { readonly tables: string; readonly ipsetFamily: string }>> = {
  4: { tables: "iptables", ipsetFamily: "inet" },
  6: { tables: "ip6tables", ipsetFamily: "inet6" },
};

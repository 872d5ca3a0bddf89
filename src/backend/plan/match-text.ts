/** What the kernel asks of a packet, in nftables' language. */
import { hexadecimal } from "../hexadecimal.ts";
import type { KernelTest, Match } from "./kernel-test.ts";
import { tableSetName } from "./table-set.ts";

function range(low: number, high: number): string {
  return low === high ? String(low) : `${low}-${high}`;
}

function oneOf(numbers: readonly number[]): string {
  return numbers.length === 1 ? String(numbers[0]) : `{ ${numbers.join(", ")} }`;
}

/** What each test reads; addresses by their family, ICMP by place: its words would ask for a family too. */
const EXPRESSIONS: Readonly<
  Record<Exclude<KernelTest["field"], "source" | "destination" | "mark" | "table">, string>
> = {
  family: "meta nfproto",
  protocol: "meta l4proto",
  sourcePort: "th sport",
  destinationPort: "th dport",
  inInterface: "iifname",
  outInterface: "oifname",
  userId: "meta skuid",
  groupId: "meta skgid",
  conntrack: "ct state",
  icmpType: "@th,0,8",
  icmpCode: "@th,8,8",
};

function expressionText(test: KernelTest): string {
  if (test.field === "table") {
    return `${test.family === 4 ? "ip" : "ip6"} ${test.side === "source" ? "saddr" : "daddr"}`;
  }
  if (test.field === "mark") return `meta mark & ${hexadecimal(test.bits)}`;
  if (test.field !== "source" && test.field !== "destination") return EXPRESSIONS[test.field];
  return `${test.prefix.family === 4 ? "ip" : "ip6"} ${test.field === "source" ? "saddr" : "daddr"}`;
}

function valueText(test: KernelTest, plan: number): string {
  if (test.field === "table") return `@${tableSetName(plan, test.table, test.list, test.family)}`;
  if ("prefix" in test) return test.prefix.toString();
  if ("protocols" in test) return oneOf(test.protocols);
  if ("low" in test) return range(test.low, test.high);
  if ("name" in test) return `"${test.name}${test.isOpen ? "*" : ""}"`;
  if ("id" in test) return String(test.id);
  // A list without braces is compared as bits, a set is searched; but a list cannot be negated.
  if ("states" in test) return test.negated ? `{ ${test.states.join(", ")} }` : test.states.join();
  if ("bits" in test) return hexadecimal(test.bits);
  return "value" in test ? String(test.value) : `ipv${test.family}`;
}

function testText(test: KernelTest, plan: number): string {
  const isNegated = test.field !== "family" && test.negated;
  const sign = isNegated ? "!= " : test.field === "mark" ? "== " : "";
  return `${expressionText(test)} ${sign}${valueText(test, plan)}`;
}

/** Tests in nftables' words. @param plan - number of the plan whose sets are meant */
export function matchText(match: Match, plan: number): string {
  return match.map((test) => `${testText(test, plan)} `).join("");
}

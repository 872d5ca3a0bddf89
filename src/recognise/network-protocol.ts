/**
 * Protocols that the IP header names, or that need no recogniser: ICMP and its kinds, and others without
 * ports.
 */
import { CONFIDENCE, type Recognition } from "./recogniser.ts";

const ICMP = 1;
const ICMPV6 = 58;

/** ICMP types (IANA ICMP Type Numbers). */
const ICMP_KINDS: ReadonlyMap<number, string> = new Map([
  [0, "echo reply"],
  [3, "destination unreachable"],
  [4, "source quench"],
  [5, "redirect"],
  [8, "echo request"],
  [9, "router advertisement"],
  [10, "router solicitation"],
  [11, "time exceeded"],
  [12, "parameter problem"],
  [13, "timestamp request"],
  [14, "timestamp reply"],
  [17, "address mask request"],
  [18, "address mask reply"],
]);

/** ICMPv6 types (IANA ICMPv6 Parameters). */
const ICMPV6_KINDS: ReadonlyMap<number, string> = new Map([
  [1, "destination unreachable"],
  [2, "packet too big"],
  [3, "time exceeded"],
  [4, "parameter problem"],
  [128, "echo request"],
  [129, "echo reply"],
  [130, "multicast listener query"],
  [131, "multicast listener report"],
  [132, "multicast listener done"],
  [133, "router solicitation"],
  [134, "router advertisement"],
  [135, "neighbor solicitation"],
  [136, "neighbor advertisement"],
  [137, "redirect"],
  [143, "multicast listener report, version 2"],
]);

/** IP protocol numbers that stand for a protocol by themselves (IANA), and whether it hides its payload. */
const PROTOCOLS: ReadonlyMap<number, readonly [name: string, encrypted: boolean]> = new Map([
  [2, ["IGMP", false]],
  [47, ["GRE", false]],
  [50, ["IPsec", true]],
  [51, ["IPsec", false]],
  [88, ["EIGRP", false]],
  [89, ["OSPF", false]],
  [103, ["PIM", false]],
  [112, ["VRRP", false]],
  [113, ["PGM", false]],
  [132, ["SCTP", false]],
]);

function recognition(protocol: string, encrypted: boolean, kind?: string): Recognition {
  const facts = kind === undefined ? {} : { kind };
  return { protocol, confidence: CONFIDENCE.CERTAIN, encrypted, server: -1, layers: [protocol], facts };
}

/**
 * What an ICMP or ICMPv6 packet is.
 *
 * @param version6 - true for ICMPv6
 * @param type - of the message
 */
export function icmpRecognition(version6: boolean, type: number): Recognition {
  const kind = (version6 ? ICMPV6_KINDS : ICMP_KINDS).get(type) ?? `type ${type}`;
  return recognition(version6 ? "ICMPv6" : "ICMP", false, kind);
}

/**
 * What a flow without ports is.
 *
 * @param protocol - IANA number
 * @returns `undefined` when the number names nothing known
 */
export function protocolRecognition(protocol: number): Recognition | undefined {
  if (protocol === ICMP || protocol === ICMPV6)
    return recognition(protocol === ICMP ? "ICMP" : "ICMPv6", false);
  const known = PROTOCOLS.get(protocol);
  return known && recognition(known[0], known[1]);
}

/** Transport protocols by the names that lists and filters use: those of `/etc/protocols`. */

const NAMES = {
  icmp: 1,
  igmp: 2,
  ipip: 4,
  tcp: 6,
  udp: 17,
  dccp: 33,
  ipv6: 41,
  gre: 47,
  esp: 50,
  ah: 51,
  "ipv6-icmp": 58,
  ospf: 89,
  pim: 103,
  vrrp: 112,
  l2tp: 115,
  sctp: 132,
  udplite: 136,
} as const satisfies Record<string, number>;

/** Other names that people write. */
const ALIASES = { icmp6: 58, icmpv6: 58 } as const satisfies Record<string, number>;

const NUMBERS: ReadonlyMap<string, number> = new Map([...Object.entries(NAMES), ...Object.entries(ALIASES)]);
const BY_NUMBER: ReadonlyMap<number, string> = new Map(
  Object.entries(NAMES).map(([name, number]) => [number, name]),
);

/** Name of a protocol, its number where it has none here. */
export function protocolName(protocol: number): string {
  return BY_NUMBER.get(protocol) ?? String(protocol);
}

/** Number of a protocol, by its name in any case. */
export function protocolNumber(name: string): number | undefined {
  return NUMBERS.get(name.toLowerCase());
}

/** All names, for messages. */
export const PROTOCOL_NAMES: readonly string[] = [...NUMBERS.keys()];

/** True when a protocol's flows are echoes, told apart by identifiers and not by ports. */
export function isIcmp(protocol: number): boolean {
  return protocol === NAMES.icmp || protocol === NAMES["ipv6-icmp"];
}

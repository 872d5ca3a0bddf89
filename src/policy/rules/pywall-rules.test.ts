/** PyWall's 62 unit cases by their names, each on real packets, and each again over IPv6. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PROTOCOL } from "../../base/index.ts";
import { PolicyProbe, type ProbePacket } from "../../testing/policy-probe.ts";

interface Addresses {
  readonly network: string;
  readonly inside: string;
  readonly outside: string;
  readonly local: string;
}

const FAMILIES: Readonly<Record<string, Addresses>> = {
  IPv4: { network: "192.0.2.0/24", inside: "192.0.2.77", outside: "198.51.100.1", local: "203.0.113.9" },
  IPv6: { network: "2001:db8:1::/48", inside: "2001:db8:1::77", outside: "2001:db8:2::1", local: "fd00::9" },
};

type Transport = "TCP" | "UDP";
type Case = readonly [name: string, packet: Partial<ProbePacket>, matches: boolean];

const OTHER = { TCP: "UDP", UDP: "TCP" } as const;

function transport(protocol: Transport, sourcePort: number, destinationPort: number): Partial<ProbePacket> {
  return { protocol: PROTOCOL[protocol], sourcePort, destinationPort };
}

/** One rule, and the packets it must match or not. */
interface RuleCases {
  readonly rule: { readonly [argument: string]: unknown };
  readonly cases: readonly Case[];
}

/** PortRule with source port 1000 and destination port 2000, or one of the two. */
function portCases(own: Transport): RuleCases[] {
  const rule = (ports: object): RuleCases["rule"] => ({ name: "PortRule", protocol: own, ...ports });
  const p = own.toLowerCase();
  const source = { src_port: 1000 };
  const destination = { dst_port: 2000 };
  return [
    {
      rule: rule(source),
      cases: [
        [`${p} filter with ${OTHER[own].toLowerCase()} packet`, transport(OTHER[own], 1000, 2000), false],
        [`${p} filter with ${p} matching src port`, transport(own, 1000, 7), true],
        [`${p} filter ${p} packet wrong src port`, transport(own, 1001, 7), false],
      ],
    },
    {
      rule: rule(destination),
      cases: [
        [`${p} filter ${p} packet matching dst port`, transport(own, 7, 2000), true],
        [`${p} filter ${p} packet wrong dst port`, transport(own, 7, 2001), false],
      ],
    },
    {
      rule: rule({ ...source, ...destination }),
      cases: [
        [`${p} filter ${p} packet matching src and dst`, transport(own, 1000, 2000), true],
        [`${p} filter ${p} packet right src wrong dst`, transport(own, 1000, 2001), false],
        [`${p} filter ${p} packet wrong src right dst`, transport(own, 1001, 2000), false],
        [`${p} filter ${p} packet wrong src wrong dst`, transport(own, 1001, 2001), false],
      ],
    },
  ];
}

/** PortRangeRule with source ports 1000-1010 and destination ports 2000-2010; bounds are included. */
function rangeCases(own: Transport): RuleCases[] {
  const rule = (ranges: object): RuleCases["rule"] => ({ name: "PortRangeRule", protocol: own, ...ranges });
  const p = own.toLowerCase();
  const source = { src_lo: 1000, src_hi: 1010 };
  const destination = { dst_lo: 2000, dst_hi: 2010 };
  return [
    {
      rule: rule(source),
      cases: [
        [`${p} filter ${OTHER[own].toLowerCase()} packet`, transport(OTHER[own], 1005, 7), false],
        [`${p} filter ${p} packet in src range`, transport(own, 1000, 7), true],
        [`${p} filter ${p} packet out src range`, transport(own, 1011, 7), false],
      ],
    },
    {
      rule: rule(destination),
      cases: [
        [`${p} filter ${p} packet in dst range`, transport(own, 7, 2010), true],
        [`${p} filter ${p} packet out dst range`, transport(own, 7, 1999), false],
      ],
    },
    {
      rule: rule({ ...source, ...destination }),
      cases: [
        [`${p} filter ${p} packet in src range and dst range`, transport(own, 1010, 2000), true],
        [`${p} filter ${p} packet in src range not dst range`, transport(own, 1010, 2011), false],
        [`${p} filter ${p} packet in dst range not src range`, transport(own, 999, 2010), false],
        [`${p} filter ${p} packet not in src range or dst range`, transport(own, 999, 2011), false],
      ],
    },
  ];
}

function addressCases({ network, inside, outside }: Addresses): RuleCases[] {
  const sides = [
    ["SourceIPRule", "source"],
    ["DestinationIPRule", "destination"],
  ] as const;
  return sides.flatMap(([name, side]) => [
    {
      rule: { name, cidr_range: network },
      cases: [
        [`${name} in range`, { [side]: inside }, true],
        [`${name} out of range`, { [side]: outside }, false],
      ],
    },
    {
      // Without a length the network is one address.
      rule: { name, cidr_range: inside },
      cases: [
        [`${name} without cidr range`, { [side]: inside }, true],
        [`${name} without cidr range, its neighbour`, { [side]: outside }, false],
      ],
    },
  ]);
}

/** IPPortRule: TCP to ports 2000-2010, with networks for none, one or both of the ends. */
function addressPortCases({ network, inside, outside }: Addresses): RuleCases[] {
  const ports = { name: "IPPortRule", protocol: "TCP", dst_lo: 2000, dst_hi: 2010 };
  const right = transport("TCP", 7, 2005);
  const wrong = transport("TCP", 7, 2011);
  const udp = transport("UDP", 7, 2005);
  const from = { source: inside };
  const notFrom = { source: outside };
  const to = { destination: inside };
  const notTo = { destination: outside };
  return [
    {
      rule: ports,
      cases: [
        ["port rule only match", right, true],
        ["port rule only mismatch", wrong, false],
      ],
    },
    {
      rule: { ...ports, src_ip: network },
      cases: [
        ["port and src rule both match", { ...right, ...from }, true],
        ["port and src rule port fails", { ...udp, ...from }, false],
        ["port and src rule src fails", { ...right, ...notFrom }, false],
        ["port and src rule both fail", { ...udp, ...notFrom }, false],
      ],
    },
    {
      rule: { ...ports, dst_ip: network },
      cases: [
        ["port and dst rule both match", { ...right, ...to }, true],
        ["port and dst rule port fails", { ...udp, ...to }, false],
        ["port and dst rule dst fails", { ...right, ...notTo }, false],
        ["port and dst rule both fail", { ...udp, ...notTo }, false],
      ],
    },
    {
      rule: { ...ports, src_ip: network, dst_ip: network },
      cases: [
        ["port src and dst rule all match", { ...right, ...from, ...to }, true],
        ["port src and dst rule port fails", { ...wrong, ...from, ...to }, false],
        ["port src and dst rule src fails", { ...right, ...notFrom, ...to }, false],
        ["port src and dst rule dst fails", { ...right, ...from, ...notTo }, false],
        ["port src and dst rule port and src fail", { ...wrong, ...notFrom, ...to }, false],
        ["port src and dst rule port and dst fail", { ...wrong, ...from, ...notTo }, false],
        ["port src and dst rule src and dst fail", { ...right, ...notFrom, ...notTo }, false],
        ["port src and dst rule all fail", { ...wrong, ...notFrom, ...notTo }, false],
      ],
    },
  ];
}

const tcpCases: RuleCases = {
  rule: { name: "TCPRule" },
  cases: [
    ["tcp rule, udp packet", transport("UDP", 1, 2), false],
    ["tcp rule, tcp packet", transport("TCP", 1, 2), true],
  ],
};

function allCases(addresses: Addresses): RuleCases[] {
  return [
    ...addressCases(addresses),
    ...portCases("UDP"),
    ...portCases("TCP"),
    ...rangeCases("UDP"),
    ...rangeCases("TCP"),
    ...addressPortCases(addresses),
    tcpCases,
  ];
}

for (const [family, addresses] of Object.entries(FAMILIES)) {
  describe(`PyWall's unit cases over ${family}`, () => {
    const base = { source: addresses.outside, destination: addresses.local, protocol: PROTOCOL.TCP };
    for (const { rule, cases } of allCases(addresses)) {
      for (const [name, packet, matches] of cases) {
        test(name, () => {
          const probe = new PolicyProbe({ INPUT: [{ ...rule, action: "DROP" }] });
          assert.equal(probe.judge({ ...base, ...packet }), matches ? "DROP" : "ACCEPT");
          const inverted = new PolicyProbe({ INPUT: [{ ...rule, action: "DROP", not: true }] });
          assert.equal(inverted.judge({ ...base, ...packet }), matches ? "ACCEPT" : "DROP");
        });
      }
    }
  });
}

test("the table holds all 62 cases, and two for the neighbours of single addresses", () => {
  for (const addresses of Object.values(FAMILIES)) {
    const names = allCases(addresses).flatMap(({ cases }) => cases.map(([name]) => name));
    assert.equal(new Set(names).size, 62 + 2);
  }
});

describe("forms of a network", () => {
  const forms: readonly (readonly [string, string, boolean])[] = [
    ["10.1.2.3/8", "10.200.0.1", true],
    ["10.1.2.3/255.0.0.0", "10.200.0.1", true],
    ["10/8", "10.9.9.9", true],
    ["10/8", "11.9.9.9", false],
    ["0.0.0.0/0", "203.0.113.4", true],
    ["2001:db8::1/32", "2001:db8:ffff::", true],
    ["::/0", "2001:db8::1", true],
    ["::/0", "203.0.113.4", false],
    ["::ffff:203.0.113.4", "203.0.113.4", false],
  ];
  for (const [range, source, matches] of forms) {
    test(`${range} ${matches ? "has" : "has not"} ${source}`, () => {
      const probe = new PolicyProbe({ INPUT: [{ name: "SourceIPRule", cidr_range: range, action: "DROP" }] });
      const destination = source.includes(":") ? "fd00::1" : "192.0.2.1";
      assert.equal(probe.judge({ source, destination, protocol: PROTOCOL.UDP }), matches ? "DROP" : "ACCEPT");
    });
  }
});

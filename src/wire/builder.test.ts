import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FirewallError, PROTOCOL, TCP_FLAG } from "../base/index.ts";
import { GOLDEN_PACKETS } from "../testing/golden-packets.ts";
import {
  buildIcmpError,
  buildPacket,
  decodePacket,
  encodeTcpOptions,
  FRAGMENT,
  ICMP_TYPE,
  ICMPV6_TYPE,
  IPV6_EXTENSION,
  Ipv4View,
  Ipv6View,
  isChecksumRight,
  Packet,
  type PacketFields,
} from "./index.ts";

const V4 = { source: "192.0.2.1", destination: "198.51.100.7" } as const;
const V6 = { source: "2001:db8::1", destination: "2001:db8::2" } as const;
const UDP = { protocol: PROTOCOL.UDP, sourcePort: 5353, destinationPort: 53 } as const;
const TCP = {
  protocol: PROTOCOL.TCP,
  sourcePort: 40_000,
  destinationPort: 443,
  sequence: 0xffff_fffe,
  acknowledgement: 7,
  flags: TCP_FLAG.SYN | TCP_FLAG.ACK,
  window: 64_240,
  timeToLive: 57,
  tcpOptions: encodeTcpOptions({
    maximumSegmentSize: 1460,
    sackPermitted: true,
    timestamps: [0x1122_3344, 0x5566_7788],
    windowScale: 7,
  }),
} as const;

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

function hex(bytes: Uint8Array | DataView): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
}

function decode(octets: Uint8Array): Packet {
  const packet = new Packet();
  decodePacket(packet, new DataView(octets.buffer), 0, octets.length);
  return packet;
}

test("a TCP segment over IPv4 is byte for byte the one that another program makes", () => {
  const { tcpOptions, ...rest } = TCP;
  // scapy puts the padding before the window scale.
  const options = tcpOptions.slice();
  options.set([1, 3, 3, 7], 16);
  const built = buildPacket({
    ...V4,
    ...rest,
    tcpOptions: options,
    identification: 0xbeef,
    dontFragment: true,
    trafficClass: 0x10,
    payload: text("hello"),
  });
  assert.equal(hex(built), hex(GOLDEN_PACKETS.tcpIpv4));
});

test("a TCP segment over IPv6 is byte for byte the one that another program makes", () => {
  const options = TCP.tcpOptions.slice();
  options.set([1, 3, 3, 7], 16);
  const payload = text("hello");
  const built = buildPacket({
    ...V6,
    ...TCP,
    tcpOptions: options,
    flowLabel: 0x1_2345,
    trafficClass: 0xb8,
    payload,
  });
  assert.equal(hex(built), hex(GOLDEN_PACKETS.tcpIpv6));
});

const GOLDEN: readonly [keyof typeof GOLDEN_PACKETS, PacketFields][] = [
  ["udpIpv4", { ...V4, ...UDP, identification: 1, payload: text("abc") }],
  [
    "udpIpv4Options",
    { ...V4, ...UDP, identification: 1, payload: text("abc"), ipOptions: Uint8Array.of(0x94, 4, 0, 0) },
  ],
  [
    "echoIpv4",
    {
      ...V4,
      protocol: PROTOCOL.ICMP,
      identification: 1,
      icmpIdentifier: 0x1234,
      icmpSequence: 9,
      payload: text("ping"),
    },
  ],
  [
    "echoIpv6",
    { ...V6, protocol: PROTOCOL.ICMPV6, icmpIdentifier: 0x1234, icmpSequence: 9, payload: text("ping") },
  ],
  [
    "laterFragmentIpv4",
    { ...V4, protocol: PROTOCOL.UDP, identification: 77, fragmentOffset: 16, payload: text("aaaaa") },
  ],
  [
    "laterFragmentIpv6",
    {
      ...V6,
      protocol: PROTOCOL.UDP,
      identification: 0xdead_beef,
      fragmentOffset: 16,
      payload: text("aaaaa"),
    },
  ],
  [
    "sctpIpv4",
    {
      ...V4,
      protocol: PROTOCOL.SCTP,
      identification: 1,
      sourcePort: 5000,
      destinationPort: 36_412,
      payload: Uint8Array.from(Buffer.from("01000014000000010001a000000a000a00000001", "hex")),
    },
  ],
];

for (const [name, fields] of GOLDEN) {
  test(`${name} is byte for byte what another program makes`, () => {
    assert.equal(hex(buildPacket(fields)), hex(GOLDEN_PACKETS[name]));
  });
}

test("an ICMP error is byte for byte what another program makes", () => {
  const quoted = new Uint8Array(GOLDEN_PACKETS.udpIpv4.buffer);
  const type = ICMP_TYPE.DESTINATION_UNREACHABLE;
  const built = buildIcmpError({ source: "203.0.113.9", destination: V4.source, type, code: 1, quoted });
  // scapy numbers its packets 1; the header checksum follows.
  new DataView(built.buffer).setUint16(4, 1);
  new DataView(built.buffer).setUint16(10, 0x7cb6);
  assert.equal(hex(built), hex(GOLDEN_PACKETS.unreachableIpv4));
});

test("an ICMP error quotes no more than fits the smallest packets", () => {
  const quoted = buildPacket({ ...V4, ...UDP, payload: new Uint8Array(3000) });
  const type = ICMP_TYPE.TIME_EXCEEDED;
  assert.equal(
    buildIcmpError({ source: "203.0.113.9", destination: V4.source, type, code: 0, quoted }).length,
    576,
  );
  const big = { source: "2001:db8::9", destination: V6.source, type: ICMPV6_TYPE.PACKET_TOO_BIG, code: 0 };
  assert.equal(buildIcmpError({ ...big, rest: 1280, quoted }).length, 1280);
});

test("a UDP checksum that comes out as zero is sent as all ones", () => {
  // The payload is chosen so that all words add up to 0xffff.
  const payload = new Uint8Array(2);
  const built = buildPacket({ ...V4, ...UDP, payload });
  payload.set(built.subarray(26, 28));
  const zero = buildPacket({ ...V4, ...UDP, payload });
  assert.equal(hex(zero.subarray(26, 28)), "ffff");
  assert.equal(isChecksumRight(decode(zero)), true);
});

test("addresses that are none, or of two families, are refused", () => {
  const code = (error: unknown): string => (error instanceof FirewallError ? error.code : "");
  assert.throws(
    () => buildPacket({ ...V4, source: "192.0.2.256", protocol: 6 }),
    (error) => code(error) === "PACKET_ADDRESS",
  );
  assert.throws(
    () => buildPacket({ ...V4, source: "::1", protocol: 6 }),
    (error) => code(error) === "PACKET_FAMILY",
  );
});

const port = fc.nat(0xffff);
const word = fc.integer({ min: 0, max: 0xffff_ffff });
const common = fc.record({
  sourcePort: port,
  destinationPort: port,
  sequence: word,
  acknowledgement: word,
  flags: fc.nat(0xff),
  window: port,
  timeToLive: fc.nat(255),
  trafficClass: fc.nat(255),
  identification: port,
  icmpIdentifier: port,
  icmpSequence: port,
  verificationTag: word,
  coverageBytes: fc.constantFrom(0, 8),
  payload: fc.uint8Array({ maxLength: 200 }),
  protocol: fc.constantFrom(...Object.values(PROTOCOL), 47),
});
const extension = fc.record({
  type: fc.constantFrom(
    IPV6_EXTENSION.HOP_BY_HOP,
    IPV6_EXTENSION.ROUTING,
    IPV6_EXTENSION.AUTHENTICATION,
    IPV6_EXTENSION.DESTINATION,
  ),
  data: fc.uint8Array({ maxLength: 40 }),
});
const addresses = fc.constantFrom(V4, V6);

function checkRoundTrip(fields: PacketFields, packet: Packet): void {
  const { protocol } = fields;
  assert.equal(packet.fault, undefined);
  assert.equal(packet.protocol, protocol);
  assert.equal(packet.timeToLive, fields.timeToLive);
  assert.equal(packet.payloadBytes, fields.payload?.length);
  const { bytes, payloadAt, end } = packet;
  assert.deepEqual(new Uint8Array(bytes.buffer, payloadAt, end - payloadAt), fields.payload);
  if (packet.hasPorts) {
    assert.deepEqual(
      [packet.sourcePort, packet.destinationPort],
      [fields.sourcePort, fields.destinationPort],
    );
  }
  if (packet.isTcp) {
    assert.deepEqual([packet.sequence, packet.acknowledgement], [fields.sequence, fields.acknowledgement]);
    assert.deepEqual([packet.tcpFlags, packet.window], [fields.flags, fields.window]);
  }
  if (protocol === PROTOCOL.ICMP || protocol === PROTOCOL.ICMPV6) {
    assert.equal(packet.icmpIdentifier, fields.icmpIdentifier);
  }
}

test("what is built is decoded again, and its checksums are right", () => {
  fc.assert(
    fc.property(addresses, common, fc.array(extension, { maxLength: 7 }), (ends, fields, extensions) => {
      const built = { ...ends, ...fields, extensions };
      const packet = decode(buildPacket(built));
      checkRoundTrip(built, packet);
      assert.equal(isChecksumRight(packet), true);
    }),
    { numRuns: 500 },
  );
});

test("a checksum covers every byte of a packet but a hop limit", () => {
  fc.assert(
    fc.property(
      addresses,
      common,
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
      (ends, fields, where, change) => {
        const whole = fields.protocol === PROTOCOL.UDPLITE ? { ...fields, coverageBytes: 0 } : fields;
        const octets = buildPacket({ ...ends, ...whole });
        const packet = decode(octets);
        const transport = octets.length - packet.transportAt;
        if (fields.protocol === 47 || transport === 0) return;
        const at = packet.transportAt + (where % transport);
        octets[at] = (octets[at] ?? 0) ^ change;
        const right = isChecksumRight(decode(octets));
        // A change may also make a fault, or take the checksum away: zero means none for UDP over IPv4.
        const field = new DataView(octets.buffer).getUint16(packet.transportAt + 6);
        const none = fields.protocol === PROTOCOL.UDP && packet.family === 4 && field === 0;
        assert.equal(right === true, none);
      },
    ),
    { numRuns: 500 },
  );
});

test("the views read what was written", () => {
  const v4 = new DataView(
    buildPacket({ ...V4, ...UDP, identification: 5, dontFragment: true, trafficClass: 3 }).buffer,
  );
  const ipv4 = new Ipv4View();
  assert.equal(ipv4.bind(v4, 0, v4.byteLength), undefined);
  assert.deepEqual(
    [
      ipv4.headerBytes,
      ipv4.totalBytes,
      ipv4.identification,
      ipv4.dontFragment,
      ipv4.moreFragments,
      ipv4.typeOfService,
    ],
    [20, 28, 5, true, false, 3],
  );
  const v6 = new DataView(buildPacket({ ...V6, ...UDP, flowLabel: 0xabcde, trafficClass: 0xb8 }).buffer);
  const ipv6 = new Ipv6View();
  assert.equal(ipv6.bind(v6, 0, v6.byteLength), undefined);
  assert.deepEqual(
    [ipv6.payloadBytes, ipv6.flowLabel, ipv6.trafficClass, ipv6.nextHeader, ipv6.hopLimit],
    [8, 0xabcde, 0xb8, PROTOCOL.UDP, 64],
  );
});

test("first and later fragments are told apart", () => {
  for (const ends of [V4, V6]) {
    const first = decode(buildPacket({ ...ends, ...UDP, moreFragments: true, payload: new Uint8Array(24) }));
    assert.equal(first.fragment, FRAGMENT.FIRST);
    assert.equal(first.destinationPort, 53);
    const later = decode(buildPacket({ ...ends, ...UDP, fragmentOffset: 32, payload: new Uint8Array(24) }));
    assert.deepEqual([later.fragment, later.fragmentOffset, later.hasPorts], [FRAGMENT.LATER, 32, false]);
    assert.equal(isChecksumRight(first), undefined);
  }
});

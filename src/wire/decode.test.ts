import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PROTOCOL, TCP_FLAG } from "../base/index.ts";
import { fromHex, GOLDEN_PACKETS, type GoldenPacket } from "../testing/golden-packets.ts";
import {
  buildPacket,
  decodePacket,
  decodeQuoted,
  FRAGMENT,
  IcmpView,
  Ipv4View,
  Ipv6Extensions,
  Ipv6View,
  Packet,
  type PacketFault,
  SctpView,
  TcpOptions,
  TcpView,
  UdpView,
} from "./index.ts";

const V4 = { source: "192.0.2.1", destination: "198.51.100.7" } as const;
const V6 = { source: "2001:db8::1", destination: "2001:db8::2" } as const;

/** Everything that decoding says of a packet, as plain values; offsets are relative to `at`. */
function meaning(packet: Packet): Record<string, unknown> {
  const { bytes: _, source, destination, at, end, transportAt, payloadAt, ...rest } = packet;
  return {
    ...rest,
    source: [...source],
    destination: [...destination],
    end: end - at,
    transportAt: transportAt - at,
    payloadAt: payloadAt - at,
    sourceText: packet.sourceText,
    destinationText: packet.destinationText,
  };
}

function decoded(bytes: DataView, wireBytes = bytes.byteLength): Packet {
  const packet = new Packet();
  decodePacket(packet, bytes, 0, bytes.byteLength, wireBytes);
  return packet;
}

function cut(bytes: DataView, length: number): DataView {
  return new DataView(bytes.buffer.slice(0, length));
}

function octets(bytes: DataView): Uint8Array {
  return new Uint8Array(bytes.buffer);
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer);
}

const TCP_MEANING = {
  protocol: PROTOCOL.TCP,
  timeToLive: 57,
  sourcePort: 40_000,
  destinationPort: 443,
  sequence: 0xffff_fffe,
  acknowledgement: 7,
  tcpFlags: TCP_FLAG.SYN | TCP_FLAG.ACK,
  window: 64_240,
  payloadBytes: 5,
};
const UDP_MEANING = {
  protocol: PROTOCOL.UDP,
  timeToLive: 64,
  sourcePort: 5353,
  destinationPort: 53,
  payloadBytes: 3,
};

const GOLDEN_MEANINGS: Record<GoldenPacket, Partial<Packet>> = {
  tcpIpv4: { ...TCP_MEANING, family: 4, identification: 0xbeef, transportAt: 20, payloadAt: 60 },
  tcpIpv6: { ...TCP_MEANING, family: 6, identification: 0, transportAt: 40, payloadAt: 80 },
  udpIpv4: { ...UDP_MEANING, family: 4, transportAt: 20, payloadAt: 28 },
  udpIpv4Options: { ...UDP_MEANING, family: 4, transportAt: 24, payloadAt: 32 },
  udpIpv6Extensions: { ...UDP_MEANING, family: 6, transportAt: 88, payloadAt: 96 },
  firstFragmentIpv6: {
    ...UDP_MEANING,
    family: 6,
    fragment: FRAGMENT.FIRST,
    identification: 0xdead_beef,
    payloadBytes: 8,
  },
  laterFragmentIpv6: {
    protocol: PROTOCOL.UDP,
    fragment: FRAGMENT.LATER,
    fragmentOffset: 16,
    identification: 0xdead_beef,
    sourcePort: 0,
    transportAt: 48,
    payloadBytes: 5,
  },
  firstFragmentIpv4: {
    ...UDP_MEANING,
    family: 4,
    fragment: FRAGMENT.FIRST,
    identification: 77,
    payloadBytes: 8,
  },
  laterFragmentIpv4: {
    protocol: PROTOCOL.UDP,
    fragment: FRAGMENT.LATER,
    fragmentOffset: 16,
    identification: 77,
    sourcePort: 0,
    payloadBytes: 5,
  },
  echoIpv4: { protocol: PROTOCOL.ICMP, icmpType: 8, icmpCode: 0, icmpIdentifier: 0x1234, payloadBytes: 4 },
  echoIpv6: { protocol: PROTOCOL.ICMPV6, icmpType: 128, icmpIdentifier: 0x1234, payloadBytes: 4 },
  sctpIpv4: { protocol: PROTOCOL.SCTP, sourcePort: 5000, destinationPort: 36_412, payloadBytes: 20 },
  unreachableIpv4: { protocol: PROTOCOL.ICMP, icmpType: 3, icmpCode: 1, icmpIdentifier: 0, payloadBytes: 31 },
  tooBigIpv6: { protocol: PROTOCOL.ICMPV6, icmpType: 2, icmpCode: 0, icmpIdentifier: 0, payloadBytes: 80 },
  authenticatedIpv6: { protocol: PROTOCOL.TCP, sourcePort: 1, destinationPort: 2, transportAt: 64 },
};

for (const [name, expected] of Object.entries(GOLDEN_MEANINGS)) {
  const bytes = GOLDEN_PACKETS[name as GoldenPacket];

  test(`${name} means what its maker meant`, () => {
    const packet = decoded(bytes);
    assert.equal(packet.fault, undefined);
    for (const [field, value] of Object.entries(expected)) {
      assert.equal(packet[field as keyof Packet], value, field);
    }
    assert.equal(packet.wireBytes, bytes.byteLength);
  });

  test(`${name} cut short is a fault until its headers are there, and then means the same`, () => {
    const whole = decoded(bytes);
    for (let length = 0; length < bytes.byteLength; length += 1) {
      const packet = decoded(cut(bytes, length), bytes.byteLength);
      const readable = length >= whole.payloadAt;
      assert.equal(packet.fault === undefined, readable, `${length} bytes: ${packet.fault}`);
      if (readable) assert.deepEqual({ ...meaning(packet), end: 0 }, { ...meaning(whole), end: 0 });
    }
  });

  test(`${name} is a fault when it claims to be longer than it was on the wire`, () => {
    for (let length = 0; length < bytes.byteLength; length += 1) {
      assert.notEqual(decoded(cut(bytes, length)).fault, undefined, `${length} bytes`);
    }
  });

  test(`${name} means the same with link-layer padding behind it`, () => {
    const padded = new Uint8Array(bytes.byteLength + 18).fill(0xa5);
    padded.set(octets(bytes));
    assert.deepEqual(meaning(decoded(view(padded))), meaning(decoded(bytes)));
  });
}

// What a fault leaves readable: addresses, where the fixed IP header is there.
const FAULTS: readonly [title: string, bytes: string, fault: PacketFault, family: number][] = [
  ["nothing at all", "", "ip-truncated", 0],
  ["an unknown version", `50${"00".repeat(39)}`, "ip-version-unknown", 0],
  ["an IPv4 header of four words", `44${"00".repeat(19)}`, "ipv4-header-length", 4],
  ["an IPv4 header beyond the packet", `4f000014${"00".repeat(16)}`, "ipv4-header-length", 4],
  ["a total length below the header's", `45000013${"00".repeat(16)}`, "ipv4-total-length", 4],
  ["a total length beyond the packet", `45000015${"00".repeat(16)}`, "ipv4-total-length", 4],
  ["an IPv6 payload beyond the packet", `6000000000013b40${"00".repeat(32)}`, "ipv6-payload-length", 6],
  ["an extension header of four bytes", `6000000000043c40${"00".repeat(36)}`, "ipv6-extension-truncated", 6],
  [
    "an extension header beyond the packet",
    `6000000000083c40${"00".repeat(32)}0601${"00".repeat(6)}`,
    "ipv6-extension-truncated",
    6,
  ],
  [
    "nine extension headers",
    `6000000000483c40${"00".repeat(32)}${"3c00000000000000".repeat(9)}`,
    "ipv6-extension-too-many",
    6,
  ],
  ["TCP of 19 bytes", `450000270000000040060000${"00".repeat(27)}`, "tcp-truncated", 4],
  [
    "a TCP header of four words",
    `450000280000000040060000${"00".repeat(20)}40${"00".repeat(7)}`,
    "tcp-data-offset",
    4,
  ],
  [
    "TCP options beyond the packet",
    `450000280000000040060000${"00".repeat(20)}60${"00".repeat(7)}`,
    "tcp-data-offset",
    4,
  ],
  ["UDP of 7 bytes", `4500001b0000000040110000${"00".repeat(15)}`, "udp-truncated", 4],
  ["a UDP length below eight", `4500001c0000000040110000${"00".repeat(12)}0007${"0000"}`, "udp-length", 4],
  [
    "a UDP length beyond the packet",
    `4500001c0000000040110000${"00".repeat(12)}0009${"0000"}`,
    "udp-length",
    4,
  ],
  [
    "a UDP length of zero over IPv4",
    `4500001c0000000040110000${"00".repeat(12)}0000${"0000"}`,
    "udp-length",
    4,
  ],
  [
    "UDP-Lite coverage below eight",
    `4500001c0000000040880000${"00".repeat(12)}0001${"0000"}`,
    "udp-length",
    4,
  ],
  [
    "UDP-Lite coverage beyond the packet",
    `4500001c0000000040880000${"00".repeat(12)}0009${"0000"}`,
    "udp-length",
    4,
  ],
  ["SCTP of 11 bytes", `4500001f0000000040840000${"00".repeat(19)}`, "sctp-truncated", 4],
  ["ICMP of 7 bytes", `4500001b0000000040010000${"00".repeat(15)}`, "icmp-truncated", 4],
];

for (const [title, hex, fault, family] of FAULTS) {
  test(`${title} is the fault ${fault}`, () => {
    const packet = decoded(fromHex(hex));
    assert.equal(packet.fault, fault);
    assert.equal(packet.family, family);
    assert.equal(packet.hasPorts, false);
  });
}

test("a UDP length of zero over IPv6 stands for all that is carried, as Linux reads it", () => {
  const bytes = buildPacket({
    ...V6,
    protocol: PROTOCOL.UDP,
    destinationPort: 53,
    payload: new Uint8Array(5),
  });
  view(bytes).setUint16(44, 0);
  const packet = decoded(view(bytes));
  assert.equal(packet.fault, undefined);
  assert.equal(packet.payloadBytes, 5);
});

test("UDP may be shorter than what IP carries, and then its own length counts", () => {
  const bytes = buildPacket({ ...V4, protocol: PROTOCOL.UDP, payload: new Uint8Array(20) });
  view(bytes).setUint16(24, 12);
  assert.equal(decoded(view(bytes)).payloadBytes, 4);
});

test("eight extension headers are read, in any order", () => {
  const types = [0, 60, 43, 60, 51, 135, 139, 140];
  const extensions = types.map((type) => ({ type, data: new Uint8Array(6) }));
  const packet = decoded(
    view(buildPacket({ ...V6, protocol: PROTOCOL.UDP, destinationPort: 53, extensions })),
  );
  assert.equal(packet.fault, undefined);
  assert.equal(packet.destinationPort, 53);
});

test("a fragment header with offset zero and no more fragments is a whole packet", () => {
  const extensions = [{ type: 44, data: Uint8Array.of(0, 0, 0, 0, 0, 9) }];
  const packet = decoded(view(buildPacket({ ...V6, protocol: PROTOCOL.TCP, extensions })));
  assert.equal(packet.fragment, FRAGMENT.NONE);
  assert.equal(packet.identification, 9);
  assert.equal(packet.isTcp, true);
});

test("a mobility message with nothing behind it is itself what the packet carries", () => {
  const extensions = [{ type: 135, data: new Uint8Array(6) }];
  const packet = decoded(view(buildPacket({ ...V6, protocol: 59, extensions })));
  assert.equal(packet.fault, undefined);
  assert.equal(packet.protocol, 135);
});

test("the walk ends at ESP, behind which all is encrypted", () => {
  const packet = decoded(view(buildPacket({ ...V6, protocol: 50, payload: new Uint8Array(16) })));
  assert.equal(packet.fault, undefined);
  assert.equal(packet.protocol, 50);
  assert.equal(packet.payloadBytes, 16);
});

// Super-packets, which segmentation has still to cut: their length fields can't tell how long they are.
const SUPER_BYTES = 100_000;

test("an IPv4 super-packet has the length that the kernel tells", () => {
  const bytes = view(
    buildPacket({ ...V4, protocol: PROTOCOL.TCP, payload: new Uint8Array(SUPER_BYTES - 40) }),
  );
  for (const totalLength of [0, SUPER_BYTES & 0xffff]) {
    bytes.setUint16(2, totalLength);
    const whole = decoded(bytes);
    assert.equal(whole.fault, undefined);
    assert.equal(whole.wireBytes, SUPER_BYTES);
    assert.equal(whole.payloadBytes, SUPER_BYTES - 40);
    const copy = decoded(cut(bytes, 128), SUPER_BYTES);
    assert.equal(copy.fault, undefined);
    assert.equal(copy.payloadBytes, SUPER_BYTES - 40);
  }
});

test("an IPv4 total length of zero below 64 KB is a packet that a network card has still to cut", () => {
  const bytes = view(buildPacket({ ...V4, protocol: PROTOCOL.TCP, payload: new Uint8Array(3000) }));
  bytes.setUint16(2, 0);
  assert.equal(decoded(bytes).payloadBytes, 3000);
});

test("an IPv6 super-packet without Jumbo Payload option has the length that the kernel tells", () => {
  const payload = new Uint8Array(SUPER_BYTES - 60);
  const bytes = view(buildPacket({ ...V6, protocol: PROTOCOL.TCP, payload }));
  assert.equal(bytes.getUint16(4), 0);
  assert.equal(decoded(bytes).payloadBytes, payload.length);
  assert.equal(decoded(cut(bytes, 128), SUPER_BYTES).payloadBytes, payload.length);
});

/** An IPv6 packet of 100,000 bytes with a Jumbo Payload option that tells `jumboBytes`. */
function jumbogram(jumboBytes: number): DataView {
  const data = new Uint8Array(6);
  data.set([0xc2, 4]);
  view(data).setUint32(2, jumboBytes);
  const extensions = [{ type: 0, data }];
  const payload = new Uint8Array(SUPER_BYTES - 68);
  return view(buildPacket({ ...V6, protocol: PROTOCOL.TCP, extensions, payload }));
}

test("a jumbogram has the length that its option tells", () => {
  const packet = decoded(jumbogram(SUPER_BYTES - 40));
  assert.equal(packet.fault, undefined);
  assert.equal(packet.wireBytes, SUPER_BYTES);
  assert.equal(packet.protocol, PROTOCOL.TCP);
});

test("a Jumbo Payload option that contradicts the packet is a fault", () => {
  assert.equal(decoded(jumbogram(SUPER_BYTES)).fault, "ipv6-payload-length");
  assert.equal(decoded(jumbogram(0xffff)).fault, "ipv6-payload-length");
});

test("an IPv6 payload length of zero with no next header is an empty packet, padded or not", () => {
  const bytes = view(buildPacket({ ...V6, protocol: 59 }));
  assert.equal(decoded(bytes).fault, undefined);
  const padded = new Uint8Array(46);
  padded.set(octets(bytes));
  assert.equal(decoded(view(padded)).wireBytes, 40);
});

test("a checksum that is wrong is no fault", () => {
  const bytes = cut(GOLDEN_PACKETS.tcpIpv4, GOLDEN_PACKETS.tcpIpv4.byteLength);
  bytes.setUint16(10, 0x1234);
  bytes.setUint16(36, 0x1234);
  assert.equal(decoded(bytes).fault, undefined);
});

test("a record says nothing of the packets before, and leaves what the kernel said", () => {
  const packet = new Packet();
  packet.mark = 7;
  packet.userId = 1000;
  for (const first of Object.values(GOLDEN_PACKETS)) {
    for (const second of Object.values(GOLDEN_PACKETS)) {
      decodePacket(packet, first, 0, first.byteLength);
      decodePacket(packet, second, 0, second.byteLength);
      assert.deepEqual({ ...meaning(packet), mark: 0, userId: -1 }, meaning(decoded(second)));
      assert.equal(packet.mark, 7);
    }
  }
});

// Any bytes. Golden packets with a few bytes changed reach deeper than random ones.

const golden = fc.constantFrom(...Object.values(GOLDEN_PACKETS).map((bytes) => octets(bytes)));
const changes = fc.array(fc.tuple(fc.nat(127), fc.nat(255)), { maxLength: 6 });
const damaged = fc.tuple(golden, changes, fc.nat(140)).map(([bytes, edits, length]) => {
  const copy = bytes.slice(0, length);
  for (const [at, value] of edits) if (at < copy.length) copy[at] = value;
  return copy;
});
const anyVersion = fc
  .tuple(fc.constantFrom(0x45, 0x46, 0x60), fc.uint8Array({ maxLength: 120 }))
  .map(([first, rest]) => Uint8Array.of(first, ...rest));
const anyBytes = fc.oneof(damaged, anyVersion, fc.uint8Array({ maxLength: 80 }));

/** The bytes at offset 32 of a buffer that is filled with `poison` otherwise. */
function poisoned(bytes: Uint8Array, poison: number): DataView {
  const all = new Uint8Array(bytes.length + 128).fill(poison);
  all.set(bytes, 32);
  return view(all);
}

test("any bytes give a fault or values, the same whatever lies before and behind them", () => {
  const run = (bytes: DataView, at: number, end: number, wireBytes: number): unknown => {
    const packet = new Packet();
    const quoted = new Packet();
    const fault = decodePacket(packet, bytes, at, end, wireBytes);
    assert.equal(fault, packet.fault);
    assert.ok((packet.end <= end && packet.payloadAt <= packet.end) || fault !== undefined);
    const hasQuoted = decodeQuoted(packet, quoted);
    return [meaning(packet), hasQuoted && meaning(quoted)];
  };
  fc.assert(
    fc.property(anyBytes, fc.oneof(fc.constant(0), fc.nat(200_000)), (bytes, more) => {
      const wireBytes = bytes.length + more;
      const alone = run(view(bytes.slice()), 0, bytes.length, wireBytes);
      for (const poison of [0, 0xff, 0xa5]) {
        assert.deepEqual(run(poisoned(bytes, poison), 32, 32 + bytes.length, wireBytes), alone);
      }
    }),
    { numRuns: 3000 },
  );
});

/** Values of all getters of a view. */
function readAll(header: object, at: number): unknown[] {
  const out: unknown[] = [];
  for (const [name, property] of Object.entries(
    Object.getOwnPropertyDescriptors(Object.getPrototypeOf(header)),
  )) {
    if (property.get === undefined) continue;
    const value: unknown = property.get.call(header);
    out.push(name.endsWith("At") ? Number(value) - at : value);
  }
  return out;
}

function readViews(bytes: DataView, at: number, end: number): unknown[] {
  const out: unknown[] = [];
  for (const header of [
    new Ipv4View(),
    new Ipv6View(),
    new TcpView(),
    new UdpView(),
    new SctpView(),
    new IcmpView(),
  ]) {
    const fault = header.bind(bytes, at, end);
    out.push(fault ?? readAll(header, at));
  }
  const options = new TcpOptions();
  options.bind(bytes, at, end);
  while (options.next()) out.push(options.kind, options.length);
  const extensions = new Ipv6Extensions();
  for (const type of [0, 43, 44, 51, 60]) {
    extensions.bind(bytes, at, end, type);
    while (extensions.next()) out.push(extensions.type, extensions.nextHeader, extensions.nextAt - at);
    out.push(extensions.fault);
  }
  return [...out, options.fault];
}

test("any bytes through every view give a fault or values, the same whatever lies around them", () => {
  fc.assert(
    fc.property(anyBytes, (bytes) => {
      const alone = readViews(view(bytes.slice()), 0, bytes.length);
      for (const poison of [0, 0xff, 0xa5]) {
        assert.deepEqual(readViews(poisoned(bytes, poison), 32, 32 + bytes.length), alone);
      }
    }),
    { numRuns: 3000 },
  );
});

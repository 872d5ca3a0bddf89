/** The header views, each on golden bytes and at every shorter length. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { PROTOCOL, TCP_FLAG } from "../base/index.ts";
import { fromHex, GOLDEN_PACKETS } from "../testing/golden-packets.ts";
import {
  ICMP_TYPE,
  ICMPV6_TYPE,
  IcmpView,
  IPV6_EXTENSION,
  IPV6_EXTENSIONS_MAX,
  Ipv4View,
  Ipv6Extensions,
  Ipv6View,
  isIcmpEcho,
  isIcmpError,
  NO_NEXT_HEADER,
  SctpView,
  TcpView,
  UdpView,
} from "./index.ts";

interface Bindable {
  bind(bytes: DataView, at: number, end: number): string | undefined;
}

interface Case {
  readonly view: Bindable;
  readonly bytes: DataView;
  readonly at: number;
  /** Bytes that the view needs. */
  readonly needed: number;
  readonly fields: Readonly<Record<string, unknown>>;
}

const CASES: Readonly<Record<string, Case>> = {
  Ipv4View: {
    view: new Ipv4View(),
    bytes: GOLDEN_PACKETS.udpIpv4Options,
    at: 0,
    needed: 24,
    fields: {
      headerBytes: 24,
      typeOfService: 0,
      totalBytes: 35,
      identification: 1,
      dontFragment: false,
      moreFragments: false,
      fragmentOffset: 0,
      timeToLive: 64,
      protocol: PROTOCOL.UDP,
      checksum: 0xf988,
    },
  },
  Ipv6View: {
    view: new Ipv6View(),
    bytes: GOLDEN_PACKETS.tcpIpv6,
    at: 0,
    needed: 40,
    fields: {
      trafficClass: 0xb8,
      flowLabel: 0x12345,
      payloadBytes: 45,
      nextHeader: PROTOCOL.TCP,
      hopLimit: 57,
    },
  },
  TcpView: {
    view: new TcpView(),
    bytes: GOLDEN_PACKETS.tcpIpv4,
    at: 20,
    needed: 40,
    fields: {
      sourcePort: 40_000,
      destinationPort: 443,
      sequence: 0xffff_fffe,
      acknowledgement: 7,
      headerBytes: 40,
      flags: TCP_FLAG.SYN | TCP_FLAG.ACK,
      window: 64_240,
      checksum: 0x6d95,
      urgentPointer: 0,
      optionsAt: 40,
      payloadAt: 60,
    },
  },
  UdpView: {
    view: new UdpView(),
    bytes: GOLDEN_PACKETS.udpIpv4,
    at: 20,
    needed: 8,
    fields: { sourcePort: 5353, destinationPort: 53, lengthOrCoverage: 11, checksum: 0x3a1b },
  },
  SctpView: {
    view: new SctpView(),
    bytes: GOLDEN_PACKETS.sctpIpv4,
    at: 20,
    needed: 12,
    fields: { sourcePort: 5000, destinationPort: 36_412, verificationTag: 0, checksum: 0x9bf0_a162 },
  },
  IcmpView: {
    view: new IcmpView(),
    bytes: GOLDEN_PACKETS.echoIpv4,
    at: 20,
    needed: 8,
    fields: {
      type: 8,
      code: 0,
      checksum: 0x06f2,
      identifier: 0x1234,
      sequence: 9,
      rest: 0x1234_0009,
      nextHopMtu: 9,
    },
  },
};

for (const [name, { view, bytes, at, needed, fields }] of Object.entries(CASES)) {
  test(`${name} reads every field`, () => {
    assert.equal(view.bind(bytes, at, bytes.byteLength), undefined);
    for (const [field, value] of Object.entries(fields)) {
      assert.equal(view[field as keyof Bindable], value, field);
    }
  });

  test(`${name} needs ${needed} bytes`, () => {
    for (let length = 0; length <= bytes.byteLength - at; length += 1) {
      assert.equal(view.bind(bytes, at, at + length) === undefined, length >= needed, `${length} bytes`);
    }
  });
}

test("addresses are read into words, IPv4 in mapped form", () => {
  const words = new Uint32Array(4);
  const v4 = new Ipv4View();
  assert.equal(v4.bind(GOLDEN_PACKETS.tcpIpv4, 0, 60), undefined);
  v4.readSource(words);
  assert.deepEqual([...words], [0, 0, 0xffff, 0xc000_0201]);
  v4.readDestination(words);
  assert.deepEqual([...words], [0, 0, 0xffff, 0xc633_6407]);
  const v6 = new Ipv6View();
  assert.equal(v6.bind(GOLDEN_PACKETS.tcpIpv6, 0, 60), undefined);
  v6.readSource(words);
  assert.deepEqual([...words], [0x2001_0db8, 0, 0, 1]);
  v6.readDestination(words);
  assert.deepEqual([...words], [0x2001_0db8, 0, 0, 2]);
});

/** Types of the headers that a walk passes, and what it ends with. */
function walk(
  bytes: DataView,
  at: number,
  end: number,
  first: number,
): [types: number[], next: number, fault?: string] {
  const extensions = new Ipv6Extensions();
  extensions.bind(bytes, at, end, first);
  const types: number[] = [];
  while (extensions.next()) types.push(extensions.type);
  assert.equal(extensions.next(), false, "a walk that has ended stays ended");
  return extensions.fault === undefined
    ? [types, extensions.nextHeader]
    : [types, extensions.nextHeader, extensions.fault];
}

test("the cursor walks extension headers of every length", () => {
  const bytes = GOLDEN_PACKETS.udpIpv6Extensions;
  const { HOP_BY_HOP, DESTINATION, ROUTING, AUTHENTICATION } = IPV6_EXTENSION;
  assert.deepEqual(walk(bytes, 40, bytes.byteLength, HOP_BY_HOP), [
    [HOP_BY_HOP, DESTINATION, ROUTING],
    PROTOCOL.UDP,
  ]);
  // 8, 16 and 24 bytes.
  for (let end = 40; end < 88; end += 1) {
    const types = [HOP_BY_HOP, DESTINATION].slice(0, end >= 64 ? 2 : end >= 48 ? 1 : 0);
    assert.deepEqual(walk(bytes, 40, end, HOP_BY_HOP).slice(0, 1), [types], `up to ${end}`);
    assert.equal(walk(bytes, 40, end, HOP_BY_HOP)[2], "ipv6-extension-truncated");
  }
  const ah = GOLDEN_PACKETS.authenticatedIpv6;
  assert.deepEqual(walk(ah, 40, ah.byteLength, AUTHENTICATION), [[AUTHENTICATION], PROTOCOL.TCP]);
});

test("the cursor ends where there is nothing, and after its maximum", () => {
  const empty = fromHex("");
  assert.deepEqual(walk(empty, 0, 0, NO_NEXT_HEADER), [[], NO_NEXT_HEADER]);
  const many = fromHex("3c00000000000000".repeat(IPV6_EXTENSIONS_MAX + 1));
  const [types, , fault] = walk(many, 0, many.byteLength, IPV6_EXTENSION.DESTINATION);
  assert.equal(types.length, IPV6_EXTENSIONS_MAX);
  assert.equal(fault, "ipv6-extension-too-many");
});

test("errors and echoes are told apart from all else", () => {
  const types = Array.from({ length: 256 }, (_, type) => type);
  const { ICMP, ICMPV6 } = PROTOCOL;
  assert.deepEqual(
    types.filter((type) => isIcmpError(ICMP, type)),
    [3, 4, 5, 11, 12],
  );
  assert.deepEqual(
    types.filter((type) => isIcmpError(ICMPV6, type)),
    types.slice(1, 128),
  );
  assert.deepEqual(
    types.filter((type) => isIcmpEcho(ICMP, type)),
    [ICMP_TYPE.ECHO_REPLY, ICMP_TYPE.ECHO_REQUEST],
  );
  assert.deepEqual(
    types.filter((type) => isIcmpEcho(ICMPV6, type)),
    [ICMPV6_TYPE.ECHO_REQUEST, ICMPV6_TYPE.ECHO_REPLY],
  );
  assert.equal(isIcmpError(PROTOCOL.TCP, 3), false);
});

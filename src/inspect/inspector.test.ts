/** Captures in, flow reports out: every sample as packets, in any order of arrival; tunnels; orientation. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { defaultLimits, PROTOCOL, TCP_FLAG } from "../base/index.ts";
import { type Recogniser, RecogniserSet } from "../recognise/index.ts";
import {
  big,
  bytes,
  hex,
  protocolSamples,
  type ProtocolSample,
  sampleNamed,
} from "../testing/samples/index.ts";
import { buildPacket, decodePacket, Packet, type PacketFields, PcapWriter } from "../wire/index.ts";
import { type FlowReport, inspectCapture, Inspector } from "./index.ts";

const CLIENT = "192.0.2.1";
const SERVER = "198.51.100.7";
const { SYN, ACK, PSH, FIN } = TCP_FLAG;

function fieldsOf(
  direction: 0 | 1,
  sample: ProtocolSample,
): Pick<PacketFields, "source" | "destination" | "sourcePort" | "destinationPort"> {
  const server = sample.port ?? 40_001;
  return direction === 0
    ? { source: CLIENT, destination: SERVER, sourcePort: 40_000, destinationPort: server }
    : { source: SERVER, destination: CLIENT, sourcePort: server, destinationPort: 40_000 };
}

/** How the bytes of a turn travel: answers segments as [from, to) pairs, in the order of arrival. */
type Schedule = (length: number) => readonly (readonly [from: number, to: number])[];

const WHOLE: Schedule = (length) => {
  const segments: [number, number][] = [];
  for (let at = 0; at < length; at += 1460) segments.push([at, Math.min(at + 1460, length)]);
  return segments;
};

/** The packets of a sample. */
function* packetsOf(sample: ProtocolSample, schedule: Schedule): Generator<Uint8Array> {
  if (sample.transport === "UDP") {
    for (const [direction, payload] of sample.turns) {
      yield buildPacket({ ...fieldsOf(direction, sample), protocol: PROTOCOL.UDP, payload });
    }
    return;
  }
  const next: [number, number] = [1001, 5001];
  const segment = (direction: 0 | 1, flags: number, sequence: number, payload: Uint8Array): Uint8Array => {
    const acknowledgement = next[direction === 0 ? 1 : 0];
    return buildPacket({
      ...fieldsOf(direction, sample),
      protocol: PROTOCOL.TCP,
      flags,
      sequence,
      acknowledgement,
      payload,
    });
  };
  const nothing = new Uint8Array(0);
  if (!sample.name.includes("middle")) {
    yield segment(0, SYN, 1000, nothing);
    yield segment(1, SYN | ACK, 5000, nothing);
    yield segment(0, ACK, 1001, nothing);
  }
  for (const [direction, payload] of sample.turns) {
    const base = next[direction];
    for (const [from, to] of schedule(payload.length)) {
      yield segment(direction, ACK | PSH, base + from, payload.slice(from, to));
    }
    next[direction] += payload.length;
  }
  yield segment(0, FIN | ACK, next[0], nothing);
  yield segment(1, FIN | ACK, next[1], nothing);
}

function inspect(packets: Iterable<Uint8Array>, inspector: Inspector = new Inspector()): FlowReport[] {
  const packet = new Packet();
  let now = 0;
  for (const array of packets) {
    decodePacket(packet, new DataView(array.buffer, array.byteOffset, array.length), 0, array.length);
    inspector.push(packet, now);
    now += 1;
  }
  return inspector.finish();
}

function checkReport(sample: ProtocolSample, reports: readonly FlowReport[]): void {
  const [report] = reports;
  assert.equal(reports.length, 1, sample.name);
  assert.equal(report?.protocol, sample.protocol, sample.name);
  assert.equal(report.encrypted, sample.encrypted ?? false, sample.name);
  for (const [fact, value] of Object.entries(sample.facts ?? {})) {
    assert.deepEqual(report[fact as keyof FlowReport], value, `${sample.name}: ${fact}`);
  }
}

for (const sample of protocolSamples) {
  test(`reports ${sample.name}`, () => checkReport(sample, inspect(packetsOf(sample, WHOLE))));
}

/** Cuts, an order, and which segments come twice. */
const arrivals = fc.array(fc.tuple(fc.integer({ min: 1, max: 120 }), fc.nat(1000), fc.boolean()), {
  minLength: 1,
  maxLength: 30,
});

for (const sample of protocolSamples.filter(
  ({ transport, name }) => transport === "TCP" && !name.includes("middle"),
)) {
  test(`reports ${sample.name} reordered and duplicated`, () => {
    fc.assert(
      fc.property(arrivals, (choices) => {
        const schedule: Schedule = (length) => {
          const segments: { from: number; to: number; order: number }[] = [];
          let at = 0;
          for (let index = 0; at < length; index += 1) {
            const [size, order, twice] = choices[index % choices.length] ?? [1, 0, false];
            const to = Math.min(length, at + size);
            segments.push({ from: at, to, order: order + index });
            if (twice) segments.push({ from: at, to, order: 1000 - order + index });
            at = to;
          }
          segments.sort((a, b) => a.order - b.order);
          return segments.map(({ from, to }) => [from, to] as const);
        };
        checkReport(sample, inspect(packetsOf(sample, schedule)));
      }),
      { numRuns: 15 },
    );
  });
}

const INNER = [...packetsOf(sampleNamed("DNS"), WHOLE)][0] as Uint8Array;
const INNER_6 = buildPacket({
  source: "2001:db8::1",
  destination: "2001:db8::2",
  protocol: PROTOCOL.UDP,
  sourcePort: 4000,
  destinationPort: 4001,
  payload: sampleNamed("DNS").turns[0]?.[1] ?? new Uint8Array(0),
});
const FRAME = bytes(new Uint8Array(12), hex("0800"), INNER);

function around(protocol: number, payload: Uint8Array, port: number = 0): Uint8Array {
  return buildPacket({
    source: "203.0.113.1",
    destination: "203.0.113.2",
    protocol,
    payload,
    sourcePort: port,
    destinationPort: port,
  });
}

const TUNNELS: Readonly<Record<string, Uint8Array>> = {
  IPIP: around(4, INNER),
  "6in4": around(41, INNER_6),
  GRE: around(47, bytes(hex("0000 0800"), INNER)),
  "GRE with key and sequence": around(47, bytes(hex("3000 0800 00000001 00000002"), INNER)),
  "GRE bridging": around(47, bytes(hex("0000 6558"), FRAME)),
  VXLAN: around(PROTOCOL.UDP, bytes(hex("08000000 00002a00"), FRAME), 4789),
  "VXLAN on Linux's old port, with a group policy": around(
    PROTOCOL.UDP,
    bytes(hex("88000001 00002a00"), FRAME),
    8472,
  ),
  "GTP-U": around(PROTOCOL.UDP, bytes(hex("30ff"), big(INNER.length, 2), hex("00000001"), INNER), 2152),
  "GTP-U with an extension": around(
    PROTOCOL.UDP,
    bytes(hex("34ff"), big(INNER.length + 8, 2), hex("00000001 0000 00 85 01 0000 00"), INNER),
    2152,
  ),
  Teredo: around(PROTOCOL.UDP, INNER_6, 3544),
  CAPWAP: around(PROTOCOL.UDP, bytes(hex("00100200 00000000"), FRAME), 5247),
  "CAPWAP with a frame of 802.11": around(
    PROTOCOL.UDP,
    bytes(
      hex("00200320 00000000 04bf2300 00000000 0801"),
      new Uint8Array(22),
      hex("aaaa030000000800"),
      INNER,
    ),
    5247,
  ),
};

for (const [name, packet] of Object.entries(TUNNELS)) {
  test(`looks into ${name}`, () => {
    const [report] = inspect([packet]);
    assert.equal(report?.protocol, "DNS");
    assert.deepEqual(report.tunnels, [name.split(" ")[0]]);
  });
}

test("a datagram in fragments is told by its first, which knows the length of all", () => {
  const [, payload] = sampleNamed("IKEv2").turns[0] ?? assert.fail();
  const ends = { source: "192.0.2.1", destination: "192.0.2.2", sourcePort: 500, destinationPort: 500 };
  const packet = buildPacket({ ...ends, protocol: PROTOCOL.UDP, payload });
  // The first 20 bytes of IP, 8 of UDP and 32 of the message; more fragments follow.
  const first = packet.slice(0, 60);
  const view = new DataView(first.buffer);
  view.setUint16(2, first.length);
  view.setUint16(6, 0x2000);
  assert.equal(inspect([first])[0]?.protocol, "IPsec");
});

test("WireGuard is told from copies cut short, which know the length of the whole", () => {
  const inspector = new Inspector();
  const packet = new Packet();
  for (const array of packetsOf(sampleNamed("WireGuard"), WHOLE)) {
    decodePacket(packet, new DataView(array.buffer, array.byteOffset, array.length), 0, 60, array.length);
    inspector.push(packet, 0);
  }
  assert.equal(inspector.finish()[0]?.protocol, "WireGuard");
});

test("tunnels are followed to the limit and no deeper", () => {
  let packet = INNER;
  for (let depth = 0; depth < 5; depth += 1) packet = around(4, packet);
  const [report] = inspect([packet]);
  assert.equal(report?.l4, "4");
  const deep = inspect([packet], new Inspector({ limits: { ...defaultLimits(), tunnelDepth: 5 } }));
  assert.equal(deep[0]?.protocol, "DNS");
});

test("every packet cut at every length is no exception", () => {
  for (const packet of Object.values(TUNNELS)) {
    for (let length = 1; length < packet.length; length += 1) inspect([packet.slice(0, length)]);
  }
});

test("ICMP is named with its kinds", () => {
  const echo = (icmpType: number): Uint8Array =>
    buildPacket({ source: CLIENT, destination: SERVER, protocol: PROTOCOL.ICMP, icmpType });
  const [report] = inspect([echo(8), echo(3)]);
  assert.equal(report?.protocol, "ICMP");
  assert.equal(report.kind, "echo request, destination unreachable");
});

test("the client is who opened the flow, or who the bytes say", () => {
  const sample = sampleNamed("TLS 1.2 with certificate");
  const packets = [...packetsOf(sample, WHOLE)];
  assert.equal(inspect(packets.slice(1))[0]?.client, `${CLIENT}:40000`);
  const answer = packets.findIndex((packet) => packet.length > 100) + 1;
  assert.equal(inspect(packets.slice(answer))[0]?.client, `${CLIENT}:40000`);
});

for (const [source, group] of [
  ["192.0.2.1", "224.0.0.251"],
  ["2001:db8::1", "ff02::fb"],
] as const) {
  test(`an answer sent to the group ${group} does not make the group a client`, () => {
    const payload = hex("000084000000000100000000 01610000010001000000780004c0000201");
    const ends = { source, destination: group, sourcePort: 5353, destinationPort: 5353 };
    const [report] = inspect([buildPacket({ ...ends, protocol: PROTOCOL.UDP, payload })]);
    assert.equal(report?.protocol, "mDNS");
    assert.ok(report.client.includes(source), report.client);
    assert.ok(report.server.includes(group), report.server);
  });
}

test("a recogniser of one's own is asked first", () => {
  const own: Recogniser = {
    protocol: "Mine",
    transports: ["TCP"],
    encrypted: false,
    firstBytes: [0x47],
    judge(evidence) {
      if (!evidence.bytes.has("GET /index")) return -1;
      evidence.match(3);
      return 0;
    },
  };
  const inspector = new Inspector({ recognisers: new RecogniserSet({ own: [own] }) });
  assert.equal(inspect(packetsOf(sampleNamed("HTTP/1.1"), WHOLE), inspector)[0]?.protocol, "Mine");
});

test("bytes decide and not the port: HTTP on 443 is no TLS, and TLS on 80 no HTTP", () => {
  for (const [name, port, protocol] of [
    ["HTTP/1.1", 443, "HTTP"],
    ["TLS 1.3", 80, "TLS"],
  ] as const) {
    for (const guessByPort of [false, true]) {
      const inspector = new Inspector({ recognisers: new RecogniserSet({ guessByPort }) });
      const [report] = inspect(packetsOf({ ...sampleNamed(name), port }, WHOLE), inspector);
      assert.deepEqual([report?.protocol, report?.confidence], [protocol, "certain"]);
    }
  }
});

test("a flow that nothing matched may be guessed by its port, and is marked so", () => {
  const sample: ProtocolSample = {
    name: "",
    transport: "TCP",
    port: 22,
    turns: [[0, hex("00112233445566778899")]],
    protocol: "",
  };
  assert.equal(inspect(packetsOf(sample, WHOLE))[0]?.protocol, null);
  const inspector = new Inspector({ recognisers: new RecogniserSet({ guessByPort: true }) });
  const [report] = inspect(packetsOf(sample, WHOLE), inspector);
  assert.equal(report?.protocol, "SSH");
  assert.equal(report.confidence, "guessed");
});

test("a capture is read in pieces of any size", () => {
  const file = new PcapWriter(101);
  const chunks: Uint8Array[] = [file.header()];
  for (const array of packetsOf(sampleNamed("HTTP/1.1"), WHOLE)) {
    chunks.push(file.packet({ bytes: array, seconds: 0, nanoseconds: 0 }));
  }
  const whole = bytes(...chunks);
  for (const size of [1, 7, 64, whole.length]) {
    const pieces = Array.from({ length: Math.ceil(whole.length / size) }, (_, index) =>
      whole.slice(index * size, (index + 1) * size),
    );
    const { flows, fault } = inspectCapture(pieces);
    assert.equal(fault, undefined);
    assert.equal(flows[0]?.protocol, "HTTP");
    assert.equal(flows[0].client, `${CLIENT}:40000`);
  }
});

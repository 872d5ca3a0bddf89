/** What is fuzzed: parsers, the inputs to start from, and what must hold of each run. */
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const ETHERNET = 1;

function check(condition, what) {
  if (!condition) throw new Error(what);
}

const toView = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

/** One direction's bytes as a stream holds them: what was not let go stays in front. */
function feed(flow, held, direction, more) {
  const joined = new Uint8Array(held[direction].length + more.length);
  joined.set(held[direction]);
  joined.set(more, held[direction].length);
  const released = flow.receive(direction, toView(joined), 0, joined.length);
  check(released >= -1 && released <= joined.length, `${released} of ${joined.length} bytes were let go`);
  held[direction] = released < 0 ? new Uint8Array(0) : joined.slice(released);
}

function runFlow(flow, transport, input) {
  const held = [new Uint8Array(0), new Uint8Array(0)];
  for (const { direction, bytes } of input) {
    if (transport === "TCP") feed(flow, held, direction, bytes);
    else {
      const end = bytes.length;
      flow.datagram(direction, { bytes: toView(bytes), payloadAt: 0, end, datagramBytes: end });
    }
  }
  flow.finish();
  const result = flow.result;
  if (result === undefined) return;
  check(result.protocol !== "" && result.confidence > 0, "a result without a protocol or confidence");
  check(result.layers.length > 0, "a result without layers");
}

const inputOf = (sample) => sample.turns.map(([direction, bytes]) => ({ direction, bytes }));

/** One target for each recogniser, and one for all of them together. */
async function recognitionTargets(load) {
  const { FlowRecognition, RecogniserSet } = await load("recognise/index.js");
  const { builtInRecognisers } = await load("recognise/protocols/index.js");
  const { protocolSamples } = await load("testing/samples/index.js");
  const all = new RecogniserSet({ guessByPort: true });
  const run = (set, transport, port) => (input) => {
    for (const midStream of [false, true]) {
      const flow = new FlowRecognition(set, transport, 40_000, port);
      if (midStream) flow.begin(0, true);
      runFlow(flow, transport, input);
    }
  };
  const targets = [];
  for (const transport of ["TCP", "UDP"]) {
    const samples = protocolSamples.filter((sample) => sample.transport === transport);
    const seeds = samples.map(inputOf);
    targets.push({ name: `recognition-${transport}`, seeds, run: run(all, transport, 53) });
    for (const recogniser of builtInRecognisers.filter((one) => one.transports.includes(transport))) {
      const only = {
        limits: all.limits,
        evidence: all.evidence,
        starting: () => [recogniser],
        guess: () => {},
      };
      const own = samples.filter(
        ({ protocol, layers }) => protocol === recogniser.protocol || layers?.includes(recogniser.protocol),
      );
      const start = own.length > 0 ? own : samples.slice(0, 4);
      const port = start[0].port ?? 40_001;
      const name = `${recogniser.protocol}-${transport}`;
      targets.push({ name, seeds: start.map(inputOf), run: run(only, transport, port) });
    }
  }
  return targets;
}

/** Packets, frames and capture files. */
async function wireTargets(load) {
  const wire = await load("wire/index.js");
  const { Inspector } = await load("inspect/index.js");
  const { RecogniserSet } = await load("recognise/index.js");
  const { protocolSamples } = await load("testing/samples/index.js");
  const ends = { source: "192.0.2.1", destination: "198.51.100.7", sourcePort: 4789, destinationPort: 2152 };
  const six = { ...ends, source: "2001:db8::1", destination: "2001:db8::2" };
  const payload = protocolSamples.find((sample) => sample.transport === "UDP").turns[0][1];
  const packets = [6, 17, 4, 41, 47, 1, 58, 132].flatMap((protocol) =>
    [ends, six].map((fields) => wire.buildPacket({ ...fields, protocol, payload })),
  );
  const piece = (bytes) => [{ direction: 0, bytes }];
  const packet = new wire.Packet();
  const recognisers = new RecogniserSet();
  const runPackets = (input) => {
    const inspector = new Inspector({ recognisers });
    for (const { bytes } of input) {
      const fault = wire.decodePacket(packet, toView(bytes), 0, bytes.length);
      check(
        fault !== undefined || packet.payloadAt <= packet.end || packet.protocol === 0,
        "payload behind the end",
      );
      check(packet.end <= bytes.length, "an end behind the bytes");
      inspector.push(packet, 0);
    }
    inspector.finish();
  };
  const files = [0, 1].map((variant) => {
    const writer = new wire.PcapWriter(ETHERNET);
    const frame = Buffer.concat([Buffer.alloc(12), Buffer.from("0800", "hex"), packets[variant]]);
    const record = { bytes: frame, seconds: 1, nanoseconds: 2, wireBytes: frame.length };
    return Uint8Array.from(Buffer.concat([writer.header(), writer.packet(record)]));
  });
  // Section header, interface description, enhanced packet (draft-ietf-opsawg-pcapng sections 4.1 to 4.3).
  const next = Buffer.from(
    "0a0d0d0a1c0000004d3c2b1a01000000ffffffffffffffff1c000000" +
      "010000001400000001000000000004001400000006000000280000000000000000000000000000000800000008000000" +
      "000000000000000028000000",
    "hex",
  );
  const runFile = (input) => {
    const reader = new wire.CaptureReader();
    for (const { bytes } of input) {
      reader.push(bytes);
      for (let record = reader.next(); record !== undefined; record = reader.next()) {
        check(record.end <= record.bytes.byteLength && record.at <= record.end, "a record outside its bytes");
        wire.decodeRecord(packet, record);
      }
    }
    reader.finish();
  };
  return [
    { name: "packet", seeds: packets.map(piece), run: runPackets },
    { name: "capture", seeds: [...files.map(piece), piece(Uint8Array.from(next))], run: runFile },
  ];
}

/** Segments of one connection in any order: three bytes of place and flags, then the text. */
async function streamTargets(load) {
  const { StreamTable } = await load("stream/index.js");
  const { buildPacket, decodePacket, Packet } = await load("wire/index.js");
  const ends = [
    { source: "192.0.2.1", destination: "192.0.2.2", sourcePort: 1, destinationPort: 2 },
    { source: "192.0.2.2", destination: "192.0.2.1", sourcePort: 2, destinationPort: 1 },
  ];
  const packet = new Packet();
  const run = (input) => {
    let held = 0;
    const consumer = {
      begin() {},
      receive: (_direction, _bytes, at, end) => {
        check(at <= end, "an empty hand-over turned round");
        held += end - at;
        return (end - at) >> (held & 1);
      },
      datagram() {},
      gap() {},
      finish() {},
    };
    const table = new StreamTable({ open: () => consumer });
    for (const { direction, bytes } of input) {
      const [low = 0, high = 0, flags = 0] = bytes;
      const array = buildPacket({
        ...ends[direction],
        protocol: 6,
        flags: flags & 0x17,
        sequence: (0xffff_ff00 + low + 256 * (high & 15)) >>> 0,
        acknowledgement: (0xffff_ff00 + 16 * high) >>> 0,
        payload: bytes.slice(3),
      });
      decodePacket(packet, toView(array), 0, array.length);
      table.push(packet, 0);
    }
    table.clear();
    check(table.heldBytes === 0, `${table.heldBytes} bytes are still held when all flows are gone`);
  };
  const segment = (direction, ...bytes) => ({ direction, bytes: Uint8Array.from(bytes) });
  const seeds = [
    [
      segment(0, 0, 0, 2),
      segment(1, 0, 0, 0x12),
      segment(0, 1, 0, 0x10, 97, 98, 99),
      segment(0, 6, 0, 0x11, 100),
    ],
    [segment(0, 9, 0, 0x10, 97, 98), segment(0, 1, 0, 0x10, 99, 99, 99), segment(1, 9, 0, 4)],
  ];
  return [{ name: "stream", seeds, run }];
}

/**
 * All targets, from the instrumented copy in a folder.
 *
 * @param folder - of the copy
 */
export async function allTargets(folder) {
  const load = (path) => import(pathToFileURL(join(folder, path)).href);
  return [...(await wireTargets(load)), ...(await streamTargets(load)), ...(await recognitionTargets(load))];
}

/**
 * Opens flows whose first bytes leave every rule about bytes undecided, and prints what they hold.
 *
 * Each flow brings its handshake, a part of a TLS hello that never ends, and, every fourth of them, a segment
 * behind a hole. So recognition keeps their bytes, the classifier counts and samples them, and the
 * reassembler holds what waits.
 *
 * Usage: node --expose-gc content-load.js FLOWS
 */
import { HOOK, PROTOCOL, TCP_FLAG } from "../../base/index.ts";
import { buildPacket, decodePacket, Packet } from "../../wire/index.ts";
import { sampleEngine } from "../engine-sample.ts";

const flows = Number(process.argv[2] ?? 1000);
const collect = (globalThis as { gc?: () => void }).gc ?? (() => undefined);

const engine = sampleEngine(
  {
    settings: { compatibility: "strict", limits: { flows: 262_144 } },
    INPUT: [
      { name: "ServerNameRule", names: ["www.example.org"], action: "DROP" },
      { name: "EntropyRule", action: "DROP" },
      { name: "EncryptedRule", action: "DROP" },
    ],
  },
  { tracker: { capacity: 262_144 } },
);

const HELLO_BYTES = 600;
const HOLE_BYTES = 400;
/** A TLS record of 1,024 bytes with a hello of 1,020, of which this is the beginning. */
const hello = new Uint8Array(HELLO_BYTES);
hello.set([22, 3, 1, 4, 0, 1, 0, 3, 252, 3, 3]);
const later = new Uint8Array(300).fill(0xa5);

const packet = new Packet();
let judged = 0;

function send(number: number, flags: number, sequence: number, payload: Uint8Array): void {
  const bytes = buildPacket({
    source: `10.${(number >> 16) & 255}.${(number >> 8) & 255}.${number & 255}`,
    destination: "192.0.2.1",
    protocol: PROTOCOL.TCP,
    sourcePort: 1024,
    destinationPort: 443,
    flags,
    sequence,
    payload,
  });
  packet.hook = HOOK.INPUT;
  decodePacket(packet, new DataView(bytes.buffer, bytes.byteOffset, bytes.length), 0, bytes.length);
  engine.judge(packet, Math.floor(judged / 100));
  judged += 1;
}

collect();
const before = process.memoryUsage.rss();
for (let number = 0; number < flows; number += 1) {
  send(number, TCP_FLAG.SYN, 1000, new Uint8Array(0));
  send(number, TCP_FLAG.ACK, 1001, hello);
  if (number % 4 === 0) send(number, TCP_FLAG.ACK, 1001 + HELLO_BYTES + HOLE_BYTES, later);
}
collect();
process.stdout.write(
  `${JSON.stringify({ ...engine.inspected, rssGrowth: process.memoryUsage.rss() - before })}\n`,
);

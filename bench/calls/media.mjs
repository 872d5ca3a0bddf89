/**
 * The media of calls, with the C library's own calls.
 *
 * - `send CLIENT SERVER CALLS SECONDS`: 100 packets each second for each call that has traffic, a tenth of
 *   them unwanted; reads lines `probe ID INTERNAL EXTERNAL` and sends that probe five times a
 *   millisecond until `stop ID`.
 * - `receive`: counts, and prints when the first packet of each probe came; `{"total":…}` at the end of
 *   input.
 *
 * Times are those of the monotonic clock, in milliseconds: the same for all programs of a machine.
 */
import { createSocket } from "node:dgram";
import { createInterface } from "node:readline";
import koffi from "koffi";
import { externalPorts, PAYLOAD, ports, UNWANTED_PORT } from "./layout.mjs";

const AF_INET = 2;
const SOCK_RAW = 3;
const IPPROTO_RAW = 255;
const ADDRESS_BYTES = 16;
const HEADER_BYTES = 28;
const PACKET_BYTES = HEADER_BYTES + 12;
const PACKETS_PER_CALL = 100;
const TURN_MS = 1;
/** How long a probe is repeated, unless it is stopped, and how often. */
const PROBE_MS = 5000;
const PROBE_EVERY_MS = 0.2;

const library = koffi.load(null);
const socket = library.func("int socket(int domain, int type, int protocol)");
const sendto = library.func(
  "long sendto(int fd, void *bytes, size_t count, int flags, void *address, uint length)",
);

const print = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

class Sender {
  #fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
  #packet = new DataView(new ArrayBuffer(PACKET_BYTES));
  #target = new DataView(new ArrayBuffer(ADDRESS_BYTES));

  constructor(client, server) {
    if (this.#fd < 0) throw new Error("no raw socket: root is needed");
    const packet = this.#packet;
    packet.setUint8(0, 0x45);
    packet.setUint8(8, 64);
    packet.setUint8(9, 17);
    client.split(".").forEach((part, at) => packet.setUint8(12 + at, Number(part)));
    server.split(".").forEach((part, at) => packet.setUint8(16 + at, Number(part)));
    packet.setUint16(24, PACKET_BYTES - 20);
    this.#target.setUint16(0, AF_INET, true);
    server.split(".").forEach((part, at) => this.#target.setUint8(4 + at, Number(part)));
  }

  send(internal, external, kind, id) {
    const packet = this.#packet;
    packet.setUint16(20, internal);
    packet.setUint16(22, external);
    packet.setUint8(28, kind);
    packet.setUint32(32, id);
    return sendto(this.#fd, packet.buffer, PACKET_BYTES, 0, this.#target.buffer, ADDRESS_BYTES) > 0;
  }
}

async function send(client, server, calls, seconds) {
  const sender = new Sender(client, server);
  const probes = new Map();
  createInterface({ input: process.stdin }).on("line", (line) => {
    const [word, id, internal, external] = line.split(" ");
    if (word === "stop") probes.delete(Number(id));
    else
      probes.set(Number(id), {
        internal: Number(internal),
        external: Number(external),
        since: performance.now(),
        sentAt: 0,
      });
  });
  print({ ready: true });
  const total = { wanted: 0, unwanted: 0 };
  const perMs = (calls * PACKETS_PER_CALL) / 1000;
  const started = performance.now();
  let sent = 0;
  while (performance.now() - started < 1000 * seconds) {
    const now = performance.now();
    const due = Math.floor((now - started) * perMs);
    for (; sent < due; sent += 1) {
      const { internal, external } = ports(sent % calls, 0);
      const isUnwanted = sent % 10 === 9;
      const kind = isUnwanted ? PAYLOAD.UNWANTED : PAYLOAD.WANTED;
      if (sender.send(isUnwanted ? UNWANTED_PORT : internal, external, kind, sent)) {
        total[isUnwanted ? "unwanted" : "wanted"] += 1;
      }
    }
    for (const [id, probe] of probes) {
      if (now - probe.since > PROBE_MS) probes.delete(id);
      else if (now - probe.sentAt >= PROBE_EVERY_MS) {
        probe.sentAt = now;
        sender.send(probe.internal, probe.external, PAYLOAD.PROBE, id);
      }
    }
    // A turn of the event loop for new probes; while one is under way without a pause.
    await new Promise((wake) => (probes.size > 0 ? setImmediate(wake) : setTimeout(wake, TURN_MS)));
  }
  print({ total });
  process.exit(0);
}

function receive() {
  const total = { wanted: 0, unwanted: 0 };
  const seen = new Set();
  const take = (message) => {
    const kind = message.readUInt8(0);
    if (kind === PAYLOAD.WANTED) total.wanted += 1;
    else if (kind === PAYLOAD.UNWANTED) total.unwanted += 1;
    else {
      const id = message.readUInt32BE(4);
      if (seen.has(id)) return;
      seen.add(id);
      print({ probe: id, atMs: monotonicMs() });
    }
  };
  const sockets = externalPorts().map((port) => {
    const each = createSocket({ type: "udp4", recvBufferSize: 1 << 25 });
    each.on("message", take);
    each.bind(port);
    return each;
  });
  process.stdin.resume().on("end", () => {
    print({ total });
    for (const each of sockets) each.close();
  });
  print({ ready: true });
}

function monotonicMs() {
  return Number(process.hrtime.bigint()) / 1e6;
}

const [, , command, ...words] = process.argv;
if (command === "send") await send(words[0], words[1], Number(words[2]), Number(words[3]));
else receive();

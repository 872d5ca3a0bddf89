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
import { addressNumber, ForgedUdp } from "../sockets.mjs";
import { externalPorts, PAYLOAD, ports, UNWANTED_PORT } from "./layout.mjs";

const PAYLOAD_BYTES = 12;
const PACKETS_PER_CALL = 100;
const TURN_MS = 1;
/** How long a probe is repeated, unless it is stopped, and how often. */
const PROBE_MS = 5000;
const PROBE_EVERY_MS = 0.2;

/** What a sleeping sender waits for: nobody ever changes it. */
const NEVER = new Int32Array(new SharedArrayBuffer(4));

/**
 * One turn of the event loop, for what is read, and then sleep: timers sleep a millisecond at least, and who
 * does not sleep takes a processor from those who are measured.
 */
async function turnAndSleep(milliseconds) {
  await new Promise((wake) => setImmediate(wake));
  Atomics.wait(NEVER, 0, 0, milliseconds);
}

const print = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

/** A way to send that says of each packet what it is: its kind, and a number. */
function speaker(client, server) {
  const source = addressNumber(client);
  const packets = new ForgedUdp(server, PAYLOAD_BYTES);
  return (internal, external, kind, id) => {
    packets.payload.setUint8(0, kind);
    packets.payload.setUint32(4, id);
    return packets.send(source, internal, external);
  };
}

async function send(client, server, calls, seconds) {
  const speak = speaker(client, server);
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
      if (speak(isUnwanted ? UNWANTED_PORT : internal, external, kind, sent)) {
        total[isUnwanted ? "unwanted" : "wanted"] += 1;
      }
    }
    for (const [id, probe] of probes) {
      if (now - probe.since > PROBE_MS) probes.delete(id);
      else if (now - probe.sentAt >= PROBE_EVERY_MS) {
        probe.sentAt = now;
        speak(probe.internal, probe.external, PAYLOAD.PROBE, id);
      }
    }
    await turnAndSleep(probes.size > 0 ? PROBE_EVERY_MS : TURN_MS);
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

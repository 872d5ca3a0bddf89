/**
 * Speed of inspection beside ndpiReader on the same captures in one run, memory with 100 thousand open flows,
 * and what a packet costs the judges of encryption.
 *
 * Rates count processor time of the whole process, so that they hold on a busy machine too. The captures are
 * those of the corpus beside the repository, joined and repeated with other addresses until there are 500 MB;
 * ndpiReader is Debian's (package libndpi-bin). What is missing is said and left out.
 *
 * Usage: npm run build && node bench/recognition.mjs [--memory | --classifier]
 */
import { execFileSync, spawnSync } from "node:child_process";
import { createCipheriv } from "node:crypto";
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  writeSync,
} from "node:fs";
import { cpus, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { PROTOCOL, TCP_FLAG } from "../dist/base/index.js";
import { classifyFragment, hedge, shannonEntropy, StreamClassifier } from "../dist/classify/index.js";
import { Inspector } from "../dist/inspect/index.js";
import {
  buildPacket,
  CaptureReader,
  decodePacket,
  decodeRecord,
  Packet,
  PcapWriter,
} from "../dist/wire/index.js";

const here = dirname(fileURLToPath(import.meta.url));
const corpus = [join(here, "../../shared/captures/ndpi"), join(here, "../../../shared/captures/ndpi")].find(
  existsSync,
);
const say = (sentence) => process.stdout.write(`${sentence}\n`);
const BYTES_MIN = 500_000_000;
const ETHERNET = 1;
const OPEN_FLOWS = 100_000;

/** Writes the joined captures to a file. */
function join500(path) {
  const writer = new PcapWriter(ETHERNET);
  const frames = [];
  for (const name of readdirSync(corpus).filter((file) => /\.p?cap(ng)?$/.test(file))) {
    const reader = new CaptureReader();
    reader.push(readFileSync(join(corpus, name)));
    for (let record = reader.next(); record !== undefined; record = reader.next()) {
      if (record.linkType !== ETHERNET) continue;
      const bytes = new Uint8Array(
        record.bytes.buffer,
        record.bytes.byteOffset + record.at,
        record.end - record.at,
      );
      frames.push({
        bytes: bytes.slice(),
        seconds: record.seconds,
        nanoseconds: record.nanoseconds,
        wireBytes: record.wireBytes,
      });
    }
  }
  const file = openSync(path, "w");
  let written = writeSync(file, writer.header());
  while (written < BYTES_MIN) {
    const pieces = frames.map((frame) => {
      const isIpv4 = frame.bytes.length > 34 && frame.bytes[12] === 8 && frame.bytes[13] === 0;
      // Other addresses in each round, so that flows are new; checksums are not looked at.
      if (isIpv4) for (const at of [26, 30]) frame.bytes[at] = (frame.bytes[at] + 1) & 255;
      return writer.packet(frame);
    });
    for (let at = 0; at < pieces.length; at += 4096)
      written += writeSync(file, Buffer.concat(pieces.slice(at, at + 4096)));
  }
  closeSync(file);
  return written;
}

function inspectFile(path) {
  const file = openSync(path, "r");
  const chunk = new Uint8Array(1 << 20);
  const inspector = new Inspector();
  const reader = new CaptureReader();
  const packet = new Packet();
  const started = process.cpuUsage();
  let packets = 0;
  for (let bytes = readSync(file, chunk); bytes > 0; bytes = readSync(file, chunk)) {
    reader.push(chunk.subarray(0, bytes));
    for (let record = reader.next(); record !== undefined; record = reader.next()) {
      packets += 1;
      if (decodeRecord(packet, record)) inspector.push(packet, record.timestampMs);
    }
  }
  const flows = inspector.finish().length;
  const { user, system } = process.cpuUsage(started);
  closeSync(file);
  return { seconds: (user + system) / 1e6, packets, flows };
}

function ndpiSeconds(path) {
  const run = spawnSync("bash", [
    "-c",
    'TIMEFORMAT="%U %S"; time ndpiReader -q -i "$0" >/dev/null 2>&1',
    path,
  ]);
  const [user, system] = run.stderr.toString().trim().split(" ").map(Number);
  return user + system;
}

/** Flows that are still undecided, each holding a part of a TLS hello. */
function openFlows() {
  const inspector = new Inspector();
  const packet = new Packet();
  const payload = new Uint8Array(600);
  payload.set([22, 3, 1, 4, 0, 1, 0, 3, 252, 3, 3]);
  const before = process.memoryUsage().rss;
  for (let number = 0; number < OPEN_FLOWS; number += 1) {
    for (const [flags, sequence, bytes] of [
      [TCP_FLAG.SYN, 1000, new Uint8Array(0)],
      [TCP_FLAG.ACK, 1001, payload],
    ]) {
      const source = `10.${(number >> 16) & 255}.${(number >> 8) & 255}.${number & 255}`;
      const fields = {
        source,
        destination: "192.0.2.1",
        protocol: PROTOCOL.TCP,
        sourcePort: 1024,
        destinationPort: 443,
      };
      const array = buildPacket({ ...fields, flags, sequence, payload: bytes });
      decodePacket(packet, new DataView(array.buffer, array.byteOffset, array.length), 0, array.length);
      inspector.push(packet, number);
    }
  }
  globalThis.gc?.();
  return { flows: inspector.size, bytes: process.memoryUsage().rss - before };
}

const PACKET_BYTES = 1460;
const CLASSIFIER_ROUNDS = 80;
const CALLS_PER_ROUND = 400;

/** Packets of ciphertext, all different: a row that is always the same would teach the processor its way. */
function ciphertextPackets() {
  const cipher = createCipheriv("aes-256-ctr", Buffer.alloc(32, 1), Buffer.alloc(16));
  return Array.from({ length: 64 }, () => new Uint8Array(cipher.update(Buffer.alloc(PACKET_BYTES))));
}

/** Microseconds of processor time of one call: the least of many rounds, as others use the machine too. */
function leastMicroseconds(call) {
  const packets = ciphertextPackets();
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < CLASSIFIER_ROUNDS; round += 1) {
    const started = process.cpuUsage();
    for (let at = 0; at < CALLS_PER_ROUND; at += 1) call(packets[at % packets.length]);
    const { user, system } = process.cpuUsage(started);
    least = Math.min(least, (user + system) / CALLS_PER_ROUND);
  }
  return least.toFixed(1);
}

function sayClassifierCosts() {
  const classifier = new StreamClassifier();
  const taken = leastMicroseconds((packet) => {
    classifier.clear();
    classifier.push(packet);
  });
  const both = leastMicroseconds((packet) => classifyFragment(packet));
  const theirs = leastMicroseconds((packet) => hedge(packet));
  const gate = leastMicroseconds((packet) => shannonEntropy(packet));
  say(`${PACKET_BYTES} bytes of ciphertext, least processor time of ${CLASSIFIER_ROUNDS} rounds:`);
  say(
    `classifier ${both} µs, of which taking the bytes in ${taken} µs; HEDGE ${theirs} µs; entropy ${gate} µs`,
  );
}

if (process.argv.includes("--classifier")) {
  sayClassifierCosts();
  process.exit(0);
}
if (process.argv.includes("--memory")) {
  const memory = openFlows();
  say(`${memory.flows} open flows: ${(memory.bytes / 2 ** 20).toFixed(0)} MiB`);
  process.exit(0);
}
say(`${cpus()[0]?.model ?? "unknown processor"}, Node ${process.version}`);
if (corpus === undefined) say("speed: no captures at ../shared/captures/ndpi; skipped");
else {
  const folder = mkdtempSync(join(tmpdir(), "postern-recognition-"));
  try {
    const path = join(folder, "joined.pcap");
    const bytes = join500(path);
    const { seconds, packets, flows } = inspectFile(path);
    const rate = (time) => `${(bytes / time / 1e6).toFixed(0)} MB/s`;
    say(`${(bytes / 1e6).toFixed(0)} MB, ${packets} packets, ${flows} flows`);
    say(`inspect: ${seconds.toFixed(2)} s of processor time, ${rate(seconds)}`);
    try {
      execFileSync("which", ["ndpiReader"], { stdio: "ignore" });
      const theirs = ndpiSeconds(path);
      say(
        `ndpiReader: ${theirs.toFixed(2)} s, ${rate(theirs)}; ours is ${(theirs / seconds).toFixed(2)} of it`,
      );
    } catch {
      say("ndpiReader is not installed (package libndpi-bin); left out");
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}
// In processes of their own: what the speed test left behind would hide the memory and spoil the code.
for (const part of ["--memory", "--classifier"]) {
  const words = ["--expose-gc", fileURLToPath(import.meta.url), part];
  say(execFileSync(process.execPath, words).toString().trim());
}

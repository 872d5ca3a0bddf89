/**
 * Traffic for the benchmarks, with the C library's own calls so that the sender is not what is measured.
 *
 * - `flood ADDRESS PORT MILLISECONDS`: 64-byte UDP packets as fast as they go; prints how many, and
 *   the processor time of sending and delivering them.
 * - `flows ADDRESS PORT COUNT`: one UDP packet from each of so many forged sources; prints how many.
 * - `backlog ADDRESS PORT COUNT BYTES`: so many UDP packets of so many bytes, IP header included, from 64
 *   forged sources in turn, slow enough for a queue to take them all.
 * - `sink PORT`: a UDP socket that nobody reads.
 * - `pong PORT`: sends every datagram back.
 * - `ping ADDRESS PORT COUNT`: one datagram at a time; prints round trips in microseconds.
 */
import koffi from "koffi";
import { ADDRESS_BYTES, AF_INET, ForgedUdp, library, sendto, socket, socketAddress } from "./sockets.mjs";

const SOCK_DGRAM = 2;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_RCVTIMEO = 20;

/** IP header, UDP header and payload together make 64 bytes. */
const PAYLOAD_BYTES = 64 - 20 - 8;
const FLOOD_BATCH = 256;
const FLOOD_PACKETS_MAX = 20_000_000;
const WARM_UP = 500;

const bind = library.func("int bind(int fd, void *address, uint bytes)");
const connect = library.func("int connect(int fd, void *address, uint bytes)");
const setsockopt = library.func("int setsockopt(int fd, int level, int option, void *value, uint bytes)");
const send = library.func("long send(int fd, void *bytes, size_t count, int flags)");
const recv = library.func("long recv(int fd, void *bytes, size_t count, int flags)");
const sendmmsg = library.func("int sendmmsg(int fd, void *headers, uint count, int flags)");
const recvfrom = library.func(
  "long recvfrom(int fd, void *bytes, size_t count, int flags, void *address, void *length)",
);

function print(value) {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

function openSocket() {
  const fd = socket(AF_INET, SOCK_DGRAM, 0);
  if (fd < 0) throw new Error("no socket");
  return fd;
}

function listen(port) {
  const fd = openSocket();
  if (bind(fd, socketAddress("0.0.0.0", port), ADDRESS_BYTES) < 0) throw new Error(`port ${port} is in use`);
  return fd;
}

function dial(address, port) {
  const fd = openSocket();
  if (connect(fd, socketAddress(address, port), ADDRESS_BYTES) < 0) throw new Error(`no way to ${address}`);
  return fd;
}

/** struct mmsghdr entries that all point at the same payload. */
function floodHeaders(payload) {
  const vectors = new DataView(new ArrayBuffer(16));
  vectors.setBigUint64(0, koffi.address(payload), true);
  vectors.setBigUint64(8, BigInt(PAYLOAD_BYTES), true);
  const headers = new DataView(new ArrayBuffer(64 * FLOOD_BATCH));
  for (let at = 0; at < headers.byteLength; at += 64) {
    headers.setBigUint64(at + 16, koffi.address(vectors.buffer), true);
    headers.setBigUint64(at + 24, 1n, true);
  }
  return { headers: headers.buffer, held: [vectors.buffer, payload] };
}

function flood(address, port, milliseconds) {
  const fd = dial(address, port);
  const { headers, held } = floodHeaders(new ArrayBuffer(PAYLOAD_BYTES));
  const started = performance.now();
  const before = process.cpuUsage();
  let packets = 0;
  while (performance.now() - started < milliseconds && packets < FLOOD_PACKETS_MAX) {
    packets += Math.max(0, sendmmsg(fd, headers, FLOOD_BATCH, 0));
  }
  const { user, system } = process.cpuUsage(before);
  const elapsedMs = performance.now() - started;
  print({ packets, elapsedMs, processorMs: (user + system) / 1000, batch: held.length });
}

/** Packets between two short pauses: a flood would only measure who drops. */
const FLOWS_AT_ONCE = 512;

/** Sends from 100.64.0.0/10 (RFC 6598): 16,384 sources, so many ports each. */
function flows(address, port, count) {
  const packets = new ForgedUdp(address);
  const nap = new Int32Array(new SharedArrayBuffer(4));
  for (let at = 0; at < count; at += 1) {
    const source = 0x64400000 + 0x8000 + (at % 16_384) * 128;
    packets.send(source, 1024 + Math.floor(at / 16_384), port);
    if (at % FLOWS_AT_ONCE === 0) Atomics.wait(nap, 0, 0, 1);
  }
  print({ flows: count });
}

const BACKLOG_SOURCES = 64;
const HEADER_BYTES = 20 + 8;

function backlog(address, port, count, bytes) {
  const packets = new ForgedUdp(address, bytes - HEADER_BYTES);
  for (let at = 0; at < count; at += 1) packets.send(0x64400000 + (at % BACKLOG_SOURCES), 1024, port);
  print({ packets: count });
}

function sink(port) {
  const fd = listen(port);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, Int32Array.of(1).buffer, 4);
  print({ ready: true });
  setInterval(() => undefined, 1_000_000);
}

function pong(port) {
  const fd = listen(port);
  const bytes = new ArrayBuffer(2048);
  const address = new ArrayBuffer(ADDRESS_BYTES);
  const length = new Int32Array(1);
  print({ ready: true });
  while (true) {
    length[0] = ADDRESS_BYTES;
    const count = recvfrom(fd, bytes, bytes.byteLength, 0, address, length.buffer);
    if (count >= 0) sendto(fd, bytes, count, 0, address, ADDRESS_BYTES);
  }
}

function ping(address, port, count) {
  const fd = dial(address, port);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, BigInt64Array.of(1n, 0n).buffer, 16);
  const bytes = new ArrayBuffer(PAYLOAD_BYTES);
  const times = new Float64Array(count);
  let lost = 0;
  for (let at = -WARM_UP; at < count; at += 1) {
    const started = performance.now();
    send(fd, bytes, PAYLOAD_BYTES, 0);
    if (recv(fd, bytes, PAYLOAD_BYTES, 0) < 0) lost += 1;
    if (at >= 0) times[at] = 1000 * (performance.now() - started);
  }
  times.sort();
  const quantile = (share) => times[Math.min(count - 1, Math.floor(share * count))];
  print({ lost, p50Us: quantile(0.5), p99Us: quantile(0.99), p999Us: quantile(0.999) });
}

const [, , command, ...words] = process.argv;
if (command === "flood") flood(words[0], Number(words[1]), Number(words[2]));
else if (command === "flows") flows(words[0], Number(words[1]), Number(words[2]));
else if (command === "backlog") backlog(words[0], Number(words[1]), Number(words[2]), Number(words[3]));
else if (command === "sink") sink(Number(words[0]));
else if (command === "pong") pong(Number(words[0]));
else if (command === "ping") ping(words[0], Number(words[1]), Number(words[2]));
else throw new Error("usage: see the top of this file");

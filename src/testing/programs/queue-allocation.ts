/**
 * Measures what the queue loop leaves on the heap for each packet: the loop runs on a pair of sockets of
 * which the other end plays the kernel, with everything that packets can carry. Prints {"bytesPerPacket":N}.
 *
 * Run with `--expose-gc --min-semi-space-size=512`: with a small young generation garbage is collected while
 * we look.
 */
import koffi from "koffi";
import { MessageWriter } from "../../netlink/index.ts";
import { QueueSocket } from "../../system/index.ts";

const AF_UNIX = 1;
const SOCK_SEQPACKET = 5;
const BATCH = 64;
const WARM_UP_BATCHES = 2000;
const MEASURED_BATCHES = 8000;
/** A number that does not fit into 31 bits: what V8 may put into a box of its own. */
const LARGE = 0xf0000000;

const library = koffi.load(null);
const socketpair = library.func("int socketpair(int domain, int type, int protocol, void *pair)");
const sendmmsg = library.func("int sendmmsg(int fd, void *headers, uint count, int flags)");
const recv = library.func("long recv(int fd, void *memory, size_t bytes, int flags)");

function packet(at: number): Uint8Array {
  const writer = new MessageWriter();
  writer.beginNetfilter({ type: 0x0300, flags: 0, sequence: 0 });
  writer.attribute(1, Uint8Array.of(at & 16 ? 0xf0 : 0, 0, 0, at, 8, 0, 1));
  writer.uint32(5, 7);
  writer.uint32(3, at & 32 ? LARGE + at : at);
  writer.uint32(16, at & 8 ? LARGE : 1000);
  writer.uint32(17, at & 8 ? LARGE : 1000);
  writer.uint32(14, 3);
  writer.attribute(10, new Uint8Array(64).fill(0x45));
  writer.end();
  return writer.bytes;
}

/** Structures for sendmmsg(2) that send a whole batch, and what they point at. */
function batch(): { headers: ArrayBuffer; held: ArrayBufferLike[] } {
  const vectors = new DataView(new ArrayBuffer(16 * BATCH));
  const headers = new DataView(new ArrayBuffer(64 * BATCH));
  const held: ArrayBufferLike[] = [vectors.buffer];
  for (let at = 0; at < BATCH; at += 1) {
    const message = packet(at);
    held.push(message.buffer);
    vectors.setBigUint64(16 * at, koffi.address(message.buffer), true);
    vectors.setBigUint64(16 * at + 8, BigInt(message.length), true);
    headers.setBigUint64(64 * at + 16, koffi.address(vectors.buffer) + BigInt(16 * at), true);
    headers.setBigUint64(64 * at + 24, 1n, true);
  }
  return { headers: headers.buffer, held };
}

const pair = new Int32Array(2);
socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair);
const kernel = pair[0] ?? -1;
const queue = QueueSocket.attach(pair[1] ?? -1, {
  queue: 0,
  copyRangeBytes: 256,
  queuePackets: 1,
  batchPackets: BATCH,
  receiveBufferBytes: 65_536,
  failOpen: false,
  wholeSuperPackets: true,
  acceptUnanswered: false,
  wakeFd: -1,
});
const { headers, held } = batch();
const verdicts = new ArrayBuffer(65_536);

function round(): void {
  sendmmsg(kernel, headers, BATCH, 0);
  queue.receive(-1);
  while (queue.next()) {
    const choice = queue.packet.id & 3;
    if (choice === 0) queue.accept();
    else if (choice === 1) queue.drop();
    else queue.acceptMarked(queue.packet.mark ^ choice);
  }
  queue.flush();
  recv(kernel, verdicts, verdicts.byteLength, 0);
}

for (let at = 0; at < WARM_UP_BATCHES; at += 1) round();
globalThis.gc?.();
const before = process.memoryUsage().heapUsed;
const packetsBefore = queue.counters.packets;
for (let at = 0; at < MEASURED_BATCHES; at += 1) round();
const bytes = process.memoryUsage().heapUsed - before;
const packets = queue.counters.packets - packetsBefore;
process.stdout.write(`${JSON.stringify({ bytesPerPacket: bytes / packets, packets, held: held.length })}\n`);

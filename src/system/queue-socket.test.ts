/**
 * The queue loop against a peer that is a function: a pair of datagram sockets stands for the netlink socket,
 * so that every message the kernel might send can be sent, also those it never should.
 */
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import koffi from "koffi";
import { MessageWriter } from "../netlink/index.ts";
import { EventFd } from "./event-fd.ts";
import { close, recv, send } from "./libc.ts";
import { QueueSocket, type QueueSocketOptions } from "./queue-socket.ts";

const AF_UNIX = 1;
const SOCK_SEQPACKET = 5;
const MSG_DONTWAIT = 0x40;
const PACKET = 0x0300;
const VERDICTS: Readonly<Record<number, string>> = { 0: "drop", 1: "accept", 4: "repeat" };
const OPTIONS: QueueSocketOptions = {
  queue: 3,
  copyRangeBytes: 2048,
  queuePackets: 16,
  batchPackets: 4,
  receiveBufferBytes: 65_536,
  failOpen: false,
  wholeSuperPackets: true,
  acceptUnanswered: false,
  wakeFd: -1,
};

const socketpair: (domain: number, type: number, protocol: number, pair: Int32Array) => number = koffi
  .load(null)
  .func("int socketpair(int domain, int type, int protocol, void *pair)");

/** A packet message as the kernel sends it. */
function packet(id: number, payload = Uint8Array.of(0x45)): Uint8Array {
  const writer = new MessageWriter();
  writer.beginNetfilter({ type: PACKET, flags: 0, sequence: 0, resource: 3 });
  writer.attribute(1, Uint8Array.of(0, 0, id >>> 8, id & 255, 8, 0, 1));
  writer.attribute(10, payload);
  writer.end();
  return writer.bytes;
}

/** The kernel's complaint about a verdict. */
function complaint(errno: number): Uint8Array {
  const writer = new MessageWriter();
  writer.begin(2, 0, 0);
  const body = new Uint8Array(20);
  new DataView(body.buffer).setInt32(0, -errno, true);
  writer.raw(body);
  writer.end();
  return writer.bytes;
}

describe("the queue loop", () => {
  let kernel = -1;
  let queue: QueueSocket;
  let wake: EventFd;

  beforeEach(() => {
    const pair = new Int32Array(2);
    assert.equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    kernel = pair[0] ?? -1;
    wake = EventFd.create();
    queue = QueueSocket.attach(pair[1] ?? -1, { ...OPTIONS, wakeFd: wake.fd });
  });

  afterEach(() => {
    queue.close();
    wake.close();
    close(kernel);
  });

  const say = (...messages: Uint8Array[]): void => {
    for (const message of messages) assert.equal(send(kernel, message, message.length, 0), message.length);
  };

  /** Verdicts heard by the kernel: type, verdict and id of each message. */
  const heard = (): string[] => {
    const bytes = new Uint8Array(65_536);
    const count = recv(kernel, bytes, bytes.length, MSG_DONTWAIT);
    const view = new DataView(bytes.buffer);
    const verdicts: string[] = [];
    for (let at = 0; at < count; at += view.getUint32(at, true)) {
      const joined = view.getUint8(at + 4) === 3 ? "up to " : "";
      const verdict = VERDICTS[view.getUint32(at + 24)] ?? "unknown";
      verdicts.push(`${joined}${view.getUint32(at + 28)} ${verdict}`);
    }
    return verdicts;
  };

  it("answers a batch in one send", () => {
    say(packet(1), packet(2), packet(3));
    assert.equal(queue.receive(1000), 3);
    const ids: number[] = [];
    while (queue.next()) {
      ids.push(queue.packet.id);
      if (queue.packet.id === 2) queue.drop();
      else queue.accept();
    }
    assert.deepEqual(heard(), []);
    queue.flush();
    assert.deepEqual(ids, [1, 2, 3]);
    assert.deepEqual(heard(), ["1 accept", "2 drop", "3 accept"]);
    assert.equal(queue.counters.packets, 3);
    assert.equal(queue.counters.batches, 1);
  });

  it("takes no more than a batch holds, and the rest next time", () => {
    say(...[1, 2, 3, 4, 5].map((id) => packet(id)));
    assert.equal(queue.receive(1000), 4);
    while (queue.next()) queue.accept();
    queue.flush();
    assert.deepEqual(heard(), ["up to 4 accept"]);
    assert.equal(queue.receive(1000), 1);
    assert.ok(queue.next());
    assert.equal(queue.packet.id, 5);
  });

  it("gives a packet that was passed over the declared outcome", () => {
    say(packet(1), packet(2), packet(3));
    queue.receive(1000);
    queue.next();
    queue.next();
    queue.accept();
    queue.next();
    queue.flush();
    assert.deepEqual(heard(), ["1 drop", "2 accept", "3 drop"]);
    assert.equal(queue.counters.unanswered, 2);
  });

  it("gives a packet that cannot be read the declared outcome", () => {
    const broken = packet(2);
    new DataView(broken.buffer).setUint16(32, 2, true);
    say(packet(1), broken, packet(3));
    queue.receive(1000);
    while (queue.next()) queue.accept();
    queue.flush();
    assert.deepEqual(heard(), ["1 accept", "2 drop", "3 accept"]);
    assert.equal(queue.counters.unreadable, 1);
  });

  it("answers a message that did not fit into its slot", () => {
    say(packet(1), packet(7, new Uint8Array(8000)), packet(8));
    assert.equal(queue.receive(1000), 3);
    while (queue.next()) queue.accept();
    queue.flush();
    assert.deepEqual(heard(), ["1 accept", "7 drop", "8 accept"]);
    assert.equal(queue.counters.unreadable, 1);
  });

  it("counts what nobody can answer", () => {
    say(Uint8Array.of(1, 2, 3), packet(1).subarray(0, 18), packet(2));
    queue.receive(1000);
    while (queue.next()) queue.accept();
    queue.flush();
    assert.deepEqual(heard(), ["2 accept"]);
    assert.equal(queue.counters.unreadable, 2);
  });

  it("counts the kernel's complaints and goes on", () => {
    say(complaint(2), packet(1), complaint(2), complaint(22), complaint(0));
    queue.receive(1000);
    while (queue.next()) queue.accept();
    queue.receive(1000);
    assert.ok(!queue.next());
    queue.flush();
    assert.deepEqual(heard(), ["1 accept"]);
    assert.equal(queue.counters.gone, 2);
    assert.equal(queue.counters.refused, 1);
  });

  /** A packet of 9,000 bytes, and how many of them the kernel has copied. */
  function sayCopied(bytes: number): void {
    const writer = new MessageWriter();
    writer.beginNetfilter({ type: PACKET, flags: 0, sequence: 0 });
    writer.attribute(1, Uint8Array.of(0, 0, 0, 1, 8, 0, 1));
    writer.uint32(13, 9000);
    writer.attribute(10, new Uint8Array(bytes));
    writer.end();
    say(writer.bytes);
    queue.receive(1000);
    assert.ok(queue.next());
    assert.equal(queue.packet.wireBytes, 9000);
  }

  it("counts copies that are short although all was copied that it was opened for", () => {
    sayCopied(OPTIONS.copyRangeBytes);
    assert.ok(!queue.isCut);
    assert.equal(queue.counters.shortCopies, 1);
  });

  it("tells of a copy that is short because less was asked for", () => {
    sayCopied(128);
    assert.ok(queue.isCut);
    assert.equal(queue.counters.shortCopies, 0);
    queue.repeat(5);
    queue.flush();
    assert.deepEqual(heard(), ["1 repeat"]);
  });

  it("waits no longer than it was told", () => {
    assert.equal(queue.receive(0), 0);
    assert.ok(!queue.next());
    assert.ok(!queue.woken);
    queue.flush();
    assert.deepEqual(heard(), []);
  });

  it("is woken by the eventfd, once for each signal, and packets come with it", () => {
    wake.signal();
    wake.signal();
    assert.equal(queue.receive(10_000), 0);
    assert.ok(queue.woken);
    assert.equal(queue.receive(0), 0);
    assert.ok(!queue.woken);
    wake.signal();
    say(packet(1));
    assert.equal(queue.receive(10_000), 1);
    assert.ok(queue.woken);
  });

  it("fails when the kernel takes no verdicts", () => {
    say(packet(1));
    queue.receive(1000);
    queue.next();
    queue.accept();
    close(kernel);
    assert.throws(() => queue.flush(), { code: "QUEUE_FAILED" });
  });
});

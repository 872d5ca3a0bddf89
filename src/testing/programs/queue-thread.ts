/** A thread of the queue host: one queue, judged by a list of orders. */
import { parentPort, workerData } from "node:worker_threads";
import { HOOK } from "../../base/index.ts";
import { DEFAULT_MARK_MASK, REJECT_KIND, RejectMarks } from "../../netlink/index.ts";
import { InterfaceNames, QueueSocket } from "../../system/index.ts";
import { decodePacket, Packet } from "../../wire/index.ts";
import type { Order, OrderAction, QueueThreadData, SeenPacket } from "./queue-orders.ts";

const { orders, queue: queueNumber, wakeFd, phase } = workerData as QueueThreadData;
const packet = new Packet();
const names = new InterfaceNames();
const marks = new RejectMarks(DEFAULT_MARK_MASK);
const queue = QueueSocket.open({
  queue: queueNumber,
  copyRangeBytes: orders.copyRangeBytes ?? 65_535,
  queuePackets: orders.queuePackets ?? 4096,
  batchPackets: orders.batchPackets ?? 64,
  receiveBufferBytes: orders.receiveBufferBytes ?? 16_777_216,
  failOpen: orders.failOpen ?? false,
  wholeSuperPackets: orders.wholeSuperPackets ?? true,
  acceptUnanswered: false,
  wakeFd,
});
parentPort?.postMessage({ bound: queueNumber });

function matches(order: Order): boolean {
  if (order.hook !== undefined && HOOK[order.hook] !== packet.hook) return false;
  if (order.protocol !== undefined && order.protocol !== packet.protocol) return false;
  return order.port === undefined || (packet.hasPorts && order.port === packet.destinationPort);
}

function carryOut(action: OrderAction): void {
  if (action === "accept") queue.accept();
  else if (action === "drop") queue.drop();
  else if (action === "reset") queue.acceptMarked(marks.apply(packet.mark, REJECT_KIND.RESET));
  else if (action === "host") queue.acceptMarked(marks.apply(packet.mark, REJECT_KIND.HOST_UNREACHABLE));
  else if (action === "prohibited")
    queue.acceptMarked(marks.apply(packet.mark, REJECT_KIND.ADMIN_PROHIBITED));
  else if (action === "stall") Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

function describe(): SeenPacket {
  const view = queue.packet;
  const now = performance.now();
  return {
    queue: queueNumber,
    hook: packet.hook,
    family: packet.family,
    protocol: packet.protocol,
    source: packet.sourceText,
    destination: packet.destinationText,
    mark: packet.mark,
    inInterface: names.name(packet.inInterface, now),
    outInterface: names.name(packet.outInterface, now),
    userId: packet.userId,
    copiedBytes: view.payloadEnd - view.payloadAt,
    wireBytes: view.wireBytes,
    checksumNotReady: view.checksumNotReady,
    segmentsToCome: view.segmentsToCome,
  };
}

function judgeBatch(): void {
  while (queue.next()) {
    const view = queue.packet;
    view.describe(packet);
    decodePacket(packet, queue.bytes, view.payloadAt, view.payloadEnd, view.wireBytes);
    if (orders.tellPackets === true) parentPort?.postMessage({ packet: describe() });
    carryOut(orders.orders.find(matches)?.action ?? "accept");
  }
  queue.flush();
}

while (Atomics.load(phase, 0) === 0) {
  queue.receive(-1);
  judgeBatch();
}
while (queue.receive(0) > 0) judgeBatch();
parentPort?.postMessage({ drained: queueNumber, counters: queue.counters });
Atomics.wait(phase, 0, 1);
queue.close();

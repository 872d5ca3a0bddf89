/**
 * Postern's queue loop alone, one queue on one worker thread, for the benchmark.
 *
 *   node queue-loop.mjs [--queue N] [--batch N] [--copy BYTES] [--backlog PACKETS] [--no-gso]
 *     [--judge MODULE]
 *
 * MODULE exports `createJudge(): (queue) => void`, called for each packet; it must call one of the queue's
 * answers. Without it every packet is accepted. Prints "ready" when the queue is bound, and ends on SIGTERM.
 */
import { readOptions } from "./options.mjs";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { EventFd, QueueSocket } from "../dist/system/index.js";

const BUFFER_BYTES_PER_PACKET = 4096;

async function loadJudge(module) {
  if (module === undefined) return (queue) => queue.accept();
  const { createJudge } = await import(module);
  return createJudge();
}

async function work() {
  const { values, wakeFd } = workerData;
  const judge = await loadJudge(values.judge);
  const queue = QueueSocket.open({
    queue: Number(values.queue),
    copyRangeBytes: Number(values.copy),
    queuePackets: Number(values.backlog),
    batchPackets: Number(values.batch),
    receiveBufferBytes: Number(values.backlog) * BUFFER_BYTES_PER_PACKET,
    failOpen: true,
    wholeSuperPackets: !values["no-gso"],
    acceptUnanswered: true,
    wakeFd,
  });
  parentPort.postMessage("bound");
  while (!queue.woken) {
    queue.receive(-1);
    while (queue.next()) judge(queue);
    queue.flush();
  }
  queue.close();
}

function supervise() {
  const { values } = readOptions({
    options: {
      queue: { type: "string", default: "0" },
      batch: { type: "string", default: "256" },
      copy: { type: "string", default: "65535" },
      backlog: { type: "string", default: "16384" },
      "no-gso": { type: "boolean", default: false },
      judge: { type: "string" },
    },
  });
  const wake = EventFd.create();
  const worker = new Worker(new URL(import.meta.url), { workerData: { values, wakeFd: wake.fd } });
  worker.once("message", () => process.stdout.write("ready\n"));
  process.once("SIGTERM", () => wake.signal());
}

if (isMainThread) supervise();
else await work();

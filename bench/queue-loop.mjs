/**
 * Postern's queue loop for the benchmark, one queue on one worker thread, as `postern up` runs it.
 *
 *   node queue-loop.mjs [--queue N] [--batch N] [--no-gso] [--judge MODULE]
 *
 * MODULE exports `createJudge(): (queue) => void`, called for each packet; it must call one of the queue's
 * answers. Without it every packet is accepted. Prints the same lines as accept-all.c, and ends on SIGTERM.
 */
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { parseArgs } from "node:util";
import { EventFd, QueueSocket } from "../dist/system/index.js";

const PRINT_EVERY_MS = 200;

async function loadJudge(module) {
  if (module === undefined) return (queue) => queue.accept();
  const { createJudge } = await import(module);
  return createJudge();
}

async function work() {
  const { values, wakeFd, shared } = workerData;
  const judge = await loadJudge(values.judge);
  const queue = QueueSocket.open({
    queue: Number(values.queue),
    copyRangeBytes: 65_535,
    queuePackets: 16_384,
    batchPackets: Number(values.batch),
    receiveBufferBytes: 67_108_864,
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
    shared[0] = queue.counters.packets;
  }
  queue.close();
}

function supervise() {
  const { values } = parseArgs({
    options: {
      queue: { type: "string", default: "0" },
      batch: { type: "string", default: "256" },
      "no-gso": { type: "boolean", default: false },
      judge: { type: "string" },
    },
  });
  const wake = EventFd.create();
  const shared = new Float64Array(new SharedArrayBuffer(8));
  const print = () => {
    const { user, system } = process.cpuUsage();
    const atMs = Number(process.hrtime.bigint()) / 1e6;
    process.stdout.write(`${JSON.stringify({ atMs, packets: shared[0], cpuMs: (user + system) / 1000 })}\n`);
  };
  const worker = new Worker(new URL(import.meta.url), { workerData: { values, wakeFd: wake.fd, shared } });
  worker.once("message", () => {
    const timer = setInterval(print, PRINT_EVERY_MS);
    worker.once("exit", () => {
      clearInterval(timer);
      print();
    });
    print();
  });
  process.once("SIGTERM", () => wake.signal());
}

if (isMainThread) supervise();
else await work();

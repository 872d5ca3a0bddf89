/**
 * A firewall of the simplest kind, to test the way to the kernel alone: binds queues, installs the rules,
 * judges by a list of orders, and undoes everything on SIGTERM. Reports in lines of JSON.
 *
 * Usage: `node queue-host.js ORDERS`, ORDERS being a {@link QueueOrders} in JSON.
 */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { DEFAULT_PRIORITY, KernelRules, probeKernel, requireQueueExpression } from "../../backend/index.ts";
import { DEFAULT_MARK_MASK } from "../../netlink/index.ts";
import { EventFd, readQueueStatistics } from "../../system/index.ts";
import type { QueueOrders } from "./queue-orders.ts";

interface QueueThread {
  readonly worker: Worker;
  readonly wake: EventFd;
}

const orders = JSON.parse(process.argv[2] ?? "{}") as QueueOrders;
const phase = new Int32Array(new SharedArrayBuffer(4));
const queues = { first: orders.firstQueue ?? 0, count: orders.queues ?? 1, bypass: orders.bypass ?? false };

function tell(message: unknown): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

async function startThread(queue: number): Promise<QueueThread> {
  const wake = EventFd.create();
  const workerData = { orders, queue, wakeFd: wake.fd, phase };
  const worker = new Worker(new URL("./queue-thread.js", import.meta.url), { workerData });
  await once(worker, "message");
  worker.on("message", tell);
  return { worker, wake };
}

function waitForEnd(threads: readonly QueueThread[], event: "drained" | "exit"): Promise<unknown> {
  if (event === "exit") return Promise.all(threads.map(({ worker }) => once(worker, "exit")));
  return Promise.all(
    threads.map(
      ({ worker }) =>
        new Promise((resolve) => {
          worker.on("message", (message: object) => {
            if (event in message) resolve(undefined);
          });
        }),
    ),
  );
}

async function stop(rules: KernelRules, threads: readonly QueueThread[]): Promise<void> {
  const started = performance.now();
  rules.stopQueueing();
  const drained = waitForEnd(threads, "drained");
  Atomics.store(phase, 0, 1);
  for (const { wake } of threads) wake.signal();
  await drained;
  tell({ statistics: readQueueStatistics() });
  const removed = rules.remove();
  const ended = waitForEnd(threads, "exit");
  Atomics.store(phase, 0, 2);
  Atomics.notify(phase, 0);
  await ended;
  for (const { wake } of threads) wake.close();
  tell({ stopped: true, removed, stopMs: performance.now() - started });
}

const expression = requireQueueExpression(probeKernel());
const threads: QueueThread[] = [];
for (let at = 0; at < queues.count; at += 1) threads.push(await startThread(queues.first + at));
const rules = KernelRules.install(
  {
    table: orders.table ?? "postern",
    hooks: orders.hooks,
    priority: DEFAULT_PRIORITY,
    markMask: DEFAULT_MARK_MASK,
    queues,
  },
  expression,
);
process.once("SIGTERM", () => void stop(rules, threads));
tell({ ready: true });

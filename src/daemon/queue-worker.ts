/**
 * A queue worker: one thread, one kernel queue, one engine.
 *
 *     wait ─► take a batch ─► judge packets ─► answer the batch ─► send lines ─► (asked?) ─► wait
 *
 * The thread blocks in the kernel, so requests of the main thread reach it through an eventfd in the same
 * wait and are read between two batches: a policy is swapped where no packet is in hand. A request that has
 * to wait itself (loading modules) lets packets wait in the kernel's queue meanwhile.
 */
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { FirewallError, invariant, SECOND } from "../base/index.ts";
import { QueueLoop } from "./queue-loop.ts";
import { FIRST_TURNS, Rehearsal } from "./rehearsal.ts";
import { releaseMemory } from "../system/index.ts";
import type { WorkerMessage, WorkerMethods, WorkerRequest, WorkerSettings } from "./worker-protocol.ts";

/** Longest wait in the kernel: flows have to expire even when nothing comes. */
const WAIT_MS = SECOND;

/**
 * Turns after which whatever waits for the thread's event loop has its turn: settled promises above all.
 * After a turn without a packet it always has, and V8 gives back what it no longer needs.
 */
const TURNS_BETWEEN_BREAKS = 256;

function takeBreak(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

invariant(parentPort !== null, "a queue worker runs as a worker thread");
const port = parentPort;

function post(message: WorkerMessage): void {
  port.postMessage(message);
}

type Handlers = {
  readonly [Method in keyof WorkerMethods]: (
    params: WorkerMethods[Method]["params"],
  ) => WorkerMethods[Method]["result"] | Promise<WorkerMethods[Method]["result"]>;
};

/** Answers one request; what goes wrong in it is the answer, not the end of the worker. */
async function answer(handlers: Handlers, request: WorkerRequest): Promise<void> {
  const handler = handlers[request.method] as (params: unknown) => unknown;
  try {
    post({ kind: "answer", id: request.id, result: await handler(request.params) });
  } catch (error) {
    const code = error instanceof FirewallError ? error.code : "WORKER_REQUEST";
    const message = error instanceof Error ? error.message : String(error);
    post({ kind: "answer", id: request.id, error: { code, message } });
  }
}

/**
 * Begins a rehearsal, so that what the worker's own loop is made of then is what code was made for. A worker
 * that cannot rehearse is slower at first, and not less right.
 */
async function openRehearsal(settings: WorkerSettings): Promise<Rehearsal | undefined> {
  try {
    const rehearsal = await Rehearsal.open(settings);
    for (let turns = 0; turns < FIRST_TURNS; turns += 1) rehearsal.turn();
    return rehearsal;
  } catch (error) {
    if (!(error instanceof FirewallError)) throw error;
    const message = `worker ${settings.worker} judges its first packets unrehearsed: ${error.message}`;
    post({ kind: "lines", lines: [{ level: "WARNING", message }] });
    return undefined;
  }
}

/** Does what can wait until there is no packet. @returns the rehearsal, `undefined` when it is over */
function rehearse(rehearsal: Rehearsal | undefined, loop: QueueLoop): Rehearsal | undefined {
  loop.tidy();
  if (rehearsal === undefined || rehearsal.turn()) return rehearsal;
  rehearsal.close();
  loop.leaveUntidy();
  return undefined;
}

async function run(settings: WorkerSettings): Promise<void> {
  let rehearsal = await openRehearsal(settings);
  const loop = await QueueLoop.open(settings, post);
  // No packet waits yet, and none comes before all workers are ready.
  releaseMemory();
  let stopped = false;
  const handlers: Handlers = {
    prepare: async (params) => {
      await loop.prepare(params);
      return null;
    },
    rollback: () => {
      loop.rollback();
      return null;
    },
    swap: ({ revision }) => {
      loop.swap(revision);
      return null;
    },
    status: () => loop.status(),
    ruleCounts: () => loop.ruleCounts(),
    placeRule: (rule) => loop.placeRule(rule),
    listFlows: (params) => loop.desk.list(params),
    killFlows: (params) => loop.killFlows(params),
    getFlow: ({ id }) => loop.desk.get(id),
    killFlow: ({ id }) => loop.killFlow(id),
    watchFlows: ({ filter }) => {
      loop.desk.watch(filter);
      return null;
    },
    setTimeouts: (values) => loop.setTimeouts(values),
    holdSeals: () => {
      loop.holdSeals();
      return null;
    },
    takeBack: () => {
      loop.takeBack();
      return null;
    },
    resumeSeals: ({ generation }) => {
      loop.resumeSeals(generation);
      return null;
    },
    stop: () => {
      stopped = true;
      return null;
    },
  };
  const answerNext = async (): Promise<boolean> => {
    const taken = receiveMessageOnPort(port);
    if (taken === undefined) return false;
    await answer(handlers, taken.message as WorkerRequest);
    return true;
  };
  // A rule that left a promise behind has judged nothing by it; that is an error of its own, and not the
  // thread's end.
  process.on("unhandledRejection", (error) => loop.reportStrayError(error));
  post({ kind: "bound" });
  try {
    for (let turns = 1; !stopped; turns += 1) {
      const isIdle = loop.turn(rehearsal === undefined ? WAIT_MS : 0) === 0 && !loop.woken;
      if (isIdle) rehearsal = rehearse(rehearsal, loop);
      if (isIdle || turns % TURNS_BETWEEN_BREAKS === 0) await takeBreak();
      if (!loop.woken) continue;
      // After each answer packets have their turn: they do not wait for all who ask.
      while (!stopped && (await answerNext())) loop.turn(0);
    }
  } finally {
    loop.close();
  }
}

await run(workerData as WorkerSettings).catch((error: unknown) => {
  // The thread ends; the main thread hears of it and decides what happens to the queue.
  throw error instanceof Error ? error : new FirewallError("WORKER_FAILED", String(error));
});

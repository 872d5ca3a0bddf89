/** All queue workers of a firewall: started together, asked together, and started anew when one dies. */
import { randomInt } from "node:crypto";
import { availableParallelism } from "node:os";
import {
  FirewallError,
  type Milliseconds,
  MINUTE,
  QUEUE_CLASSES,
  type TimeoutValues,
} from "../base/index.ts";
import type { QueueStatus, WorkerStatus } from "../client/index.ts";
import { COUNTERS_BYTES } from "../engine/index.ts";
import type { Policy, RuleMemory } from "../policy/index.ts";
import type { Log } from "./log.ts";
import { type KernelQueueStatistics, QueueSocket } from "../system/index.ts";
import { CLOCK_START } from "./monotonic-clock.ts";
import { WAIT_BYTES, waitQuantile } from "./wait-meter.ts";
import { LOOK_EVERY_MS } from "./heartbeat-watch.ts";
import { type HandleSettings, WorkerHandle } from "./worker-handle.ts";
import { queueNumber, queueOptions } from "./worker-queues.ts";
import type { State } from "../view/index.ts";
import type {
  FlowEvent,
  FlowSlice,
  FlowSliceRequest,
  PolicySource,
  TrackerStatus,
  WorkerLine,
  WorkerMethod,
  WorkerMethods,
  WorkerQueue,
} from "./worker-protocol.ts";

/** Log lines of one worker in one second; a flood of drops must not fill a disk. */
const LINES_PER_SECOND = 1000;
/** Deaths of workers within a minute that end the firewall. */
const DEATHS_PER_MINUTE = 5;

/** The policy that workers judge by. */
export interface PoolPolicy {
  readonly source: PolicySource;
  readonly policy: Policy;
  readonly memory: RuleMemory;
  readonly revision: number;
}

/** Where workers listen, and where their lines go. */
export interface PoolOptions {
  readonly firstQueue: number;
  readonly log: Log;
  readonly print: (line: string) => void;
  /** Id of this host, 32 bits. */
  readonly creatorId: number;
  /** Whether the kernel's table takes seals. */
  readonly seals: boolean;
}

/** A queue of a seat; its waits are counted on when a worker is started anew. */
type SeatQueue = Omit<WorkerQueue, "fd">;

interface Seat {
  /** Index of the worker. */
  readonly at: number;
  readonly queues: readonly SeatQueue[];
  readonly counters: SharedArrayBuffer;
  worker: WorkerHandle | undefined;
  /** Revision of the policy that the worker was started with or has swapped to. */
  revision: number;
  restarts: number;
}

function seatQueues(worker: number, workers: number, first: number): SeatQueue[] {
  return QUEUE_CLASSES.map((of) => ({
    class: of,
    queue: queueNumber(of, { first, workers, worker }),
    waits: new SharedArrayBuffer(WAIT_BYTES),
  }));
}

/** Binds the queues of a seat. @throws {FirewallError} when one is refused; then none stays bound */
function bindQueues(queues: readonly SeatQueue[], policy: Policy): WorkerQueue[] {
  const bound: WorkerQueue[] = [];
  try {
    for (const each of queues) {
      bound.push({ ...each, fd: QueueSocket.bind(queueOptions(each.queue, each.class, policy)) });
    }
    return bound;
  } catch (error) {
    for (const { fd } of bound) QueueSocket.release(fd);
    throw error;
  }
}

/** What a queue has done, the kernel's own figures included where they can be read. */
function queueStatus(
  { class: of, queue, waits }: SeatQueue,
  kernel: readonly KernelQueueStatistics[],
): QueueStatus {
  const found = kernel.find((entry) => entry.queue === queue);
  const wait = { p50Ms: waitQuantile(waits, 0.5), p99Ms: waitQuantile(waits, 0.99) };
  if (found === undefined) return { class: of, queue, wait };
  const { waiting, queueDropped, userDropped, queued } = found;
  return { class: of, queue, wait, kernel: { waiting, queueDropped, userDropped, queued } };
}

/** The workers. */
export class WorkerPool {
  readonly #options: PoolOptions;
  readonly #seats: Seat[] = [];
  readonly #hashSeed: readonly [number, number] = [randomInt(2 ** 32), randomInt(2 ** 32)];
  /** Resolves with the reason when workers die so often that going on makes no sense. */
  readonly failed: Promise<Error>;
  #fail: (reason: Error) => void = () => undefined;
  #policy: PoolPolicy;
  #tell: (events: readonly FlowEvent[], lost: number) => void = () => undefined;
  /** Which flows make events, and timeouts that were set: a worker that is started anew must hear of both. */
  #watched: string | null = null;
  #timeouts: Partial<TimeoutValues> = {};
  #replaced: () => void = () => undefined;
  #deaths: Milliseconds[] = [];
  #stopping = false;
  readonly #pulse: NodeJS.Timeout;

  private constructor(policy: PoolPolicy, options: PoolOptions) {
    this.#policy = policy;
    this.#options = options;
    this.failed = new Promise((resolve) => {
      this.#fail = resolve;
    });
    this.#pulse = setInterval(() => {
      for (const { worker } of this.#seats) worker?.checkPulse();
    }, LOOK_EVERY_MS);
  }

  /**
   * Starts the workers; when it returns, all queues are bound.
   *
   * @throws {FirewallError} when a queue cannot be bound; then none stays bound
   */
  static async start(policy: PoolPolicy, options: PoolOptions): Promise<WorkerPool> {
    const pool = new WorkerPool(policy, options);
    const count = policy.policy.settings.workers ?? availableParallelism();
    for (let at = 0; at < count; at += 1) {
      const counters = new SharedArrayBuffer(COUNTERS_BYTES);
      pool.#seats.push({
        at,
        queues: seatQueues(at, count, options.firstQueue),
        counters,
        worker: undefined,
        revision: 0,
        restarts: 0,
      });
    }
    const started = await Promise.allSettled(pool.#seats.map((seat) => pool.#seat(seat)));
    const refused = started.find((result) => result.status === "rejected");
    if (refused === undefined) return pool;
    await pool.stop();
    throw refused.reason;
  }

  /** Number of workers, and of queues of each class. */
  get size(): number {
    return this.#seats.length;
  }

  /** Counters of each worker; they go on when a worker is started anew. */
  get counters(): Float64Array[] {
    return this.#seats.map((seat) => new Float64Array(seat.counters));
  }

  /**
   * What each worker is doing, and what those that answer have counted.
   *
   * @param kernel - what the kernel says of all queues
   */
  async status(
    kernel: readonly KernelQueueStatistics[],
  ): Promise<{ workers: WorkerStatus[]; trackers: TrackerStatus[] }> {
    const asked = this.#seats.map(async ({ at, queues, restarts, worker }) => {
      const answer = await worker?.call("status", null).catch(() => undefined);
      const status = queues.map((each) => queueStatus(each, kernel));
      const { flows = 0, isPressed = false } = answer ?? {};
      return { answer, worker: { worker: at, flows, restarts, isPressed, queues: status } };
    });
    const answers = await Promise.all(asked);
    return {
      workers: answers.map(({ worker }) => worker),
      trackers: answers.flatMap(({ answer }) => answer ?? []),
    };
  }

  /**
   * Puts another policy in force in all workers, or in none.
   *
   * @throws {FirewallError} when a worker cannot load it; then all go on with the old one
   */
  async replacePolicy(next: PoolPolicy): Promise<void> {
    const { source, memory, revision } = next;
    const params = { policy: source, memory, revision };
    try {
      await this.callAll("prepare", params);
    } catch (error) {
      await this.tellAll("rollback", null);
      throw error;
    }
    // From here on the policy is in force: a worker that dies now, or was just being started, begins with it.
    this.#policy = next;
    await Promise.allSettled(this.#seats.map((seat) => this.#swap(seat)));
  }

  /** Lets somebody hear what watched flows do. */
  onEvents(tell: (events: readonly FlowEvent[], lost: number) => void): void {
    this.#tell = tell;
  }

  /** Has all workers make events of the flows that a filter chooses. @param filter - null for none */
  async watchFlows(filter: string | null): Promise<void> {
    this.#watched = filter;
    await this.callAll("watchFlows", { filter });
  }

  /**
   * Changes timeouts in all workers.
   *
   * @param values - those to change, in milliseconds; none to read
   * @returns all timeouts; `undefined` when no worker is running
   * @throws {FirewallError} `TIMEOUT_INVALID`; nothing is changed then
   */
  async setTimeouts(values: Partial<TimeoutValues>): Promise<TimeoutValues | undefined> {
    const [timeouts] = await this.callAll("setTimeouts", values);
    this.#timeouts = { ...this.#timeouts, ...values };
    return timeouts;
  }

  /** Lets somebody hear that a worker took the place of one that died. */
  onReplaced(tell: () => void): void {
    this.#replaced = tell;
  }

  /** Tells all workers the same; one that has died need not hear it. */
  async tellAll<Method extends "rollback" | "holdSeals" | "takeBack" | "resumeSeals">(
    method: Method,
    params: WorkerMethods[Method]["params"],
  ): Promise<void> {
    await Promise.allSettled(this.#seats.flatMap(({ worker }) => worker?.call(method, params) ?? []));
  }

  /** Asks all workers the same. @returns their answers, in the order of the queues */
  callAll<Method extends WorkerMethod>(
    method: Method,
    params: WorkerMethods[Method]["params"],
  ): Promise<WorkerMethods[Method]["result"][]> {
    return Promise.all(this.#seats.flatMap(({ worker }) => worker?.call(method, params) ?? []));
  }

  /**
   * Visits the flows of all workers that a filter chooses, slice by slice.
   *
   * @param method - whether they are listed or killed on the way
   */
  async *visitFlows(method: "listFlows" | "killFlows", filter: string): AsyncGenerator<State> {
    for await (const { states } of this.#slices(method, { filter })) yield* states;
  }

  /** Connections that a filter chooses, ended for good, as far as a closed entry of them is left. */
  async *visitKilled(filter: string): AsyncGenerator<State> {
    for await (const { states } of this.#slices("listFlows", { filter, killed: true })) yield* states;
  }

  /** Kills the flows of all workers that a filter chooses. @returns how many */
  async killFlows(filter: string): Promise<number> {
    let killed = 0;
    for await (const { count } of this.#slices("killFlows", { filter, quiet: true })) killed += count;
    return killed;
  }

  /** The state with an id, `undefined` when no worker has it. */
  async getFlow(id: string): Promise<State | undefined> {
    const answers = await this.callAll("getFlow", { id });
    return answers.find((state) => state !== null) ?? undefined;
  }

  /** Kills the flow with an id. @returns its state, `undefined` when no worker has it */
  async killFlow(id: string): Promise<State | undefined> {
    const answers = await this.callAll("killFlow", { id });
    return answers.find((state) => state !== null) ?? undefined;
  }

  /** Ends all workers after the batches in hand. */
  async stop(): Promise<void> {
    this.#stopping = true;
    clearInterval(this.#pulse);
    await Promise.all(this.#seats.flatMap(({ worker }) => worker?.stop() ?? []));
  }

  async *#slices(
    method: "listFlows" | "killFlows",
    chosen: Omit<FlowSliceRequest, "cursor">,
  ): AsyncGenerator<FlowSlice> {
    for (const { worker } of this.#seats) {
      for (let cursor = 0; cursor >= 0 && worker !== undefined; ) {
        const slice = await worker.call(method, { cursor, ...chosen });
        yield slice;
        cursor = slice.cursor;
      }
    }
  }

  /** Swaps a worker to the policy in force, if it judges by another. */
  async #swap(seat: Seat): Promise<void> {
    const { revision } = this.#policy;
    if (seat.worker === undefined || seat.revision === revision) return;
    await seat.worker.call("swap", { revision });
    seat.revision = revision;
  }

  /**
   * Binds the queues and starts a worker on them. They are given back when the worker's thread has ended.
   */
  async #seat(seat: Seat): Promise<void> {
    const { source, memory, revision, policy } = this.#policy;
    const queues = bindQueues(seat.queues, policy);
    const settings: HandleSettings = {
      queues,
      clockStart: CLOCK_START,
      worker: seat.at,
      creatorId: this.#options.creatorId,
      policy: source,
      readsBytes: policy.readsBytes,
      revision,
      memory,
      counters: seat.counters,
      hashSeed: this.#hashSeed,
      seals: this.#options.seals,
      report: { level: this.#options.log.level, linesPerSecond: LINES_PER_SECOND },
    };
    const worker = WorkerHandle.create(settings, {
      lines: (lines) => this.#report(lines),
      events: (events, lost) => this.#tell(events, lost),
      died: (error) => void released.then(() => this.#replace(seat, error)),
    });
    const released = worker.exited.then(() => {
      for (const { fd } of queues) QueueSocket.release(fd);
    });
    await worker.ready;
    seat.worker = worker;
    seat.revision = revision;
    await this.#remind(worker);
    if (this.#stopping) await worker.stop();
    else if (revision !== this.#policy.revision) await this.#catchUp(seat);
  }

  /** Tells a new worker what all were told. If it dies of that, its death is reported. */
  async #remind(worker: WorkerHandle): Promise<void> {
    const timeouts = worker.call("setTimeouts", this.#timeouts);
    const watched = worker.call("watchFlows", { filter: this.#watched });
    await Promise.allSettled([timeouts, watched]);
  }

  /** Brings a worker that was started while the policy changed to the one in force. */
  async #catchUp(seat: Seat): Promise<void> {
    const { source, memory, revision } = this.#policy;
    await seat.worker?.call("prepare", { policy: source, memory, revision });
    await this.#swap(seat);
  }

  #report(lines: readonly WorkerLine[]): void {
    const { log, print } = this.#options;
    for (const { level, message, facts } of lines) {
      if (level === "PRINT") print(message);
      else log.log(level, message, facts);
    }
  }

  /** Starts a worker anew in the place of one that died, unless deaths come too often. */
  async #replace(seat: Seat, error: Error): Promise<void> {
    seat.worker = undefined;
    if (this.#stopping) return;
    this.#options.log.critical(`worker ${seat.at} died: ${error.message}`);
    const now = performance.now();
    this.#deaths = [...this.#deaths.filter((death) => now - death < MINUTE), now];
    if (this.#deaths.length > DEATHS_PER_MINUTE) {
      const reason = `workers died ${this.#deaths.length} times within a minute, the last of ${error.message}`;
      this.#fail(new FirewallError("WORKERS_FAIL", reason, { cause: error }));
      return;
    }
    seat.restarts += 1;
    try {
      await this.#seat(seat);
      this.#replaced();
      this.#options.log.warning(`worker ${seat.at} was started anew; its flows are adopted again`);
    } catch (again) {
      await this.#replace(seat, again instanceof Error ? again : new Error(String(again)));
    }
  }
}

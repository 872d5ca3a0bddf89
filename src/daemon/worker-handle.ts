/** The main thread's side of one queue worker: start, ask, stop, and notice its death. */
import { Worker } from "node:worker_threads";
import { FirewallError, type Milliseconds } from "../base/index.ts";
import { EventFd } from "../system/index.ts";
import { HeartbeatWatch, HUNG_AFTER_SECONDS } from "./heartbeat-watch.ts";
import type {
  FlowEvent,
  WorkerLine,
  WorkerMessage,
  WorkerMethod,
  WorkerMethods,
  WorkerSettings,
} from "./worker-protocol.ts";

/** Told what a worker says and when it dies. */
export interface WorkerListener {
  lines(lines: readonly WorkerLine[]): void;
  /** What watched flows did, and how many events there was no room for. */
  events(events: readonly FlowEvent[], lost: number): void;
  /** The worker's thread ended without having been asked to. */
  died(error: Error): void;
}

/** An error from another thread has lost its class on the way; its code and its words are still there. */
function threadFailure(error: unknown): FirewallError {
  const { code, message } = error as { code?: string; message?: string };
  return new FirewallError(code ?? "WORKER_ENDED", message ?? String(error), { cause: error });
}

interface Pending {
  resolve(result: unknown): void;
  reject(error: Error): void;
}

/** What a worker is started with, but for what its handle makes. */
export type HandleSettings = Omit<WorkerSettings, "wakeFd" | "heartbeat">;

/** Time that a worker has to end by itself; a rule may hang in it. */
const STOP_PATIENCE_MS: Milliseconds = 2000;

/**
 * Room of a worker for what is made and soon dropped, in megabytes. Nothing is made for a packet, and V8
 * would keep what it once took.
 */
const YOUNG_MEGABYTES = 6;

/** One running worker. */
export class WorkerHandle {
  /**
   * Resolves when the worker judges; rejects with a {@link FirewallError} when it ends before, for instance
   * because the policy cannot be loaded.
   */
  readonly ready: Promise<void>;
  readonly #thread: Worker;
  readonly #wake: EventFd;
  readonly #pending = new Map<number, Pending>();
  readonly #listener: WorkerListener;
  readonly #exited: Promise<void>;
  readonly #heartbeat: Int32Array;
  readonly #watch = new HeartbeatWatch();
  #starting: Pending | undefined;
  #nextId = 1;
  #stopping = false;
  #failure: FirewallError | undefined;

  private constructor(settings: HandleSettings, listener: WorkerListener) {
    this.#wake = EventFd.create();
    this.#listener = listener;
    const heartbeat = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
    this.#heartbeat = new Int32Array(heartbeat);
    const workerData: WorkerSettings = { ...settings, heartbeat, wakeFd: this.#wake.fd };
    this.#thread = new Worker(new URL("./queue-worker.js", import.meta.url), {
      workerData,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MEGABYTES },
    });
    this.#thread.on("message", (message: WorkerMessage) => this.#receive(message));
    this.#thread.on("error", (error) => {
      this.#failure = threadFailure(error);
    });
    this.ready = new Promise((resolve, reject) => {
      this.#starting = { resolve: () => resolve(), reject };
    });
    this.#exited = new Promise((resolve) => {
      this.#thread.once("exit", () => {
        this.#end();
        resolve();
      });
    });
  }

  /** Starts a worker; see {@link WorkerHandle.ready}. */
  static create(settings: HandleSettings, listener: WorkerListener): WorkerHandle {
    return new WorkerHandle(settings, listener);
  }

  /** Asks the worker; it answers between two batches of packets. */
  call<Method extends WorkerMethod>(
    method: Method,
    params: WorkerMethods[Method]["params"],
  ): Promise<WorkerMethods[Method]["result"]> {
    const id = this.#nextId;
    this.#nextId += 1;
    const answer = new Promise<unknown>((resolve, reject) => this.#pending.set(id, { resolve, reject }));
    this.#thread.postMessage({ id, method, params });
    this.#wake.signal();
    return answer as Promise<WorkerMethods[Method]["result"]>;
  }

  /** Stops the worker after the batch in hand and waits for its end; one that hangs is ended where it is. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const impatience = setTimeout(() => void this.#thread.terminate(), STOP_PATIENCE_MS);
    await this.call("stop", null).catch(() => undefined);
    await this.#exited;
    clearTimeout(impatience);
  }

  /** Resolves when the thread has ended, for whatever reason. */
  get exited(): Promise<void> {
    return this.#exited;
  }

  /**
   * Ends the worker if it has made no turn for too long; its listener hears that it died. To be called every
   * {@link LOOK_EVERY_MS}.
   */
  checkPulse(): void {
    if (!this.#watch.look(Atomics.load(this.#heartbeat, 0))) return;
    const words = `no turn for ${HUNG_AFTER_SECONDS} seconds: a rule hangs`;
    this.#failure = new FirewallError("WORKER_HUNG", words);
    void this.#thread.terminate();
  }

  #receive(message: WorkerMessage): void {
    if (message.kind === "lines") this.#listener.lines(message.lines);
    else if (message.kind === "events") this.#listener.events(message.events, message.lost);
    else if (message.kind === "bound") this.#begin();
    else {
      const pending = this.#pending.get(message.id);
      this.#pending.delete(message.id);
      if (message.error === undefined) pending?.resolve(message.result);
      else pending?.reject(new FirewallError(message.error.code, message.error.message));
    }
  }

  #begin(): void {
    this.#starting?.resolve(undefined);
    this.#starting = undefined;
  }

  /** The thread is gone: nobody waits for it any longer. */
  #end(): void {
    const error = this.#failure ?? new FirewallError("WORKER_ENDED", "the queue worker's thread has ended");
    const starting = this.#starting !== undefined;
    this.#starting?.reject(error);
    for (const pending of this.#pending.values()) pending.reject(error);
    this.#pending.clear();
    this.#wake.close();
    if (!this.#stopping && !starting) this.#listener.died(error);
  }
}

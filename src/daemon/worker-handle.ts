/** The main thread's side of one queue worker: start, ask, stop, and notice its death. */
import { Worker } from "node:worker_threads";
import { FirewallError } from "../base/index.ts";
import { EventFd } from "../system/index.ts";
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

/** One running worker. */
export class WorkerHandle {
  readonly #thread: Worker;
  readonly #wake: EventFd;
  readonly #pending = new Map<number, Pending>();
  readonly #listener: WorkerListener;
  readonly #exited: Promise<void>;
  #bound: Pending | undefined;
  #nextId = 1;
  #stopping = false;
  #failure: FirewallError | undefined;

  private constructor(settings: Omit<WorkerSettings, "wakeFd">, listener: WorkerListener) {
    this.#wake = EventFd.create();
    this.#listener = listener;
    const workerData: WorkerSettings = { ...settings, wakeFd: this.#wake.fd };
    this.#thread = new Worker(new URL("./queue-worker.js", import.meta.url), { workerData });
    this.#thread.on("message", (message: WorkerMessage) => this.#receive(message));
    this.#thread.on("error", (error) => {
      this.#failure = threadFailure(error);
    });
    this.#exited = new Promise((resolve) => {
      this.#thread.once("exit", () => {
        this.#end();
        resolve();
      });
    });
  }

  /**
   * Starts a worker and waits until its queue is bound.
   *
   * @throws {FirewallError} when the queue cannot be bound or the policy cannot be loaded
   */
  static async start(
    settings: Omit<WorkerSettings, "wakeFd">,
    listener: WorkerListener,
  ): Promise<WorkerHandle> {
    const handle = new WorkerHandle(settings, listener);
    await new Promise<unknown>((resolve, reject) => {
      handle.#bound = { resolve, reject };
    });
    handle.#bound = undefined;
    return handle;
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

  /** Stops the worker after the batch in hand and waits for its end. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.call("stop", null).catch(() => undefined);
    await this.#exited;
  }

  #receive(message: WorkerMessage): void {
    if (message.kind === "lines") this.#listener.lines(message.lines);
    else if (message.kind === "events") this.#listener.events(message.events, message.lost);
    else if (message.kind === "bound") this.#bound?.resolve(undefined);
    else {
      const pending = this.#pending.get(message.id);
      this.#pending.delete(message.id);
      if (message.error === undefined) pending?.resolve(message.result);
      else pending?.reject(new FirewallError(message.error.code, message.error.message));
    }
  }

  /** The thread is gone: nobody waits for it any longer. */
  #end(): void {
    const error = this.#failure ?? new FirewallError("WORKER_ENDED", "the queue worker's thread has ended");
    const starting = this.#bound !== undefined;
    this.#bound?.reject(error);
    for (const pending of this.#pending.values()) pending.reject(error);
    this.#pending.clear();
    this.#wake.close();
    if (!this.#stopping && !starting) this.#listener.died(error);
  }
}

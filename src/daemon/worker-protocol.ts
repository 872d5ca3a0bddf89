/**
 * What the main thread and a queue worker say to each other.
 *
 * The main thread asks, the worker answers: every request carries a number, and its answer carries the same.
 * Beside answers a worker sends the lines that its rules and its engine produced. A worker blocks in the
 * kernel and hears no message by itself; whoever posts one also signals the worker's eventfd.
 */
import type { Milliseconds, QueueClass, TimeoutValues } from "../base/index.ts";
import type { CounterValues } from "../state/index.ts";
import type { FlowRule } from "../client/index.ts";
import type { InterfaceStatus, State, StateRule } from "../view/index.ts";
import type { LogFacts, LogLevel } from "./log.ts";

/** A policy as it is handed from thread to thread: text, not objects. */
export interface PolicySource {
  /** Absolute path, for messages and for the modules it names. */
  readonly file: string;
  readonly text: string;
}

/** Memory that the rules of one policy share between all workers, by the rule's stable key. */
export type SharedMemory = Readonly<Record<string, SharedArrayBuffer>>;

/** How verdicts and transitions are reported. */
export interface ReportSettings {
  /** Verdicts and transitions below this level are not even formatted. */
  readonly level: LogLevel;
  /** Lines a worker may send in one second; more are counted and named as lost. */
  readonly linesPerSecond: number;
}

/** A queue of a worker. */
export interface WorkerQueue {
  readonly class: QueueClass;
  /** Its number. */
  readonly queue: number;
  /** File descriptor of the socket that is bound to it; the main thread gives it back. */
  readonly fd: number;
  /** Histogram of waits, see wait-meter.ts. */
  readonly waits: SharedArrayBuffer;
}

/** What a worker is started with. */
export interface WorkerSettings {
  /** Its queues, in the order of QUEUE_CLASSES. */
  readonly queues: readonly WorkerQueue[];
  /** Index of the worker, 0 to 254. */
  readonly worker: number;
  /** Id of this host, 32 bits, stamped on its states. */
  readonly creatorId: number;
  /** Where the clock of all threads begins, see CLOCK_START. */
  readonly clockStart: Milliseconds;
  /** One 32-bit number that the worker counts up each turn: one that stands still hangs. */
  readonly heartbeat: SharedArrayBuffer;
  /** File descriptor of the eventfd that wakes it. */
  readonly wakeFd: number;
  readonly policy: PolicySource;
  /** Whether the policy reads the bytes of flows. */
  readonly readsBytes: boolean;
  readonly revision: number;
  readonly memory: SharedMemory;
  /** Counters of this worker, see COUNTERS. */
  readonly counters: SharedArrayBuffer;
  /** Two secret words for the flow table's hash, so that nobody outside can choose colliding flows. */
  readonly hashSeed: readonly [number, number];
  readonly report: ReportSettings;
  /** Whether the kernel's table takes seals. */
  readonly seals: boolean;
}

/** Which flows a slice is about. */
export interface FlowSliceRequest {
  /** 0 to begin, then the cursor of the last answer. */
  readonly cursor: number;
  /** In the language of state filters; "" for all. */
  readonly filter: string;
  /** True to have flows counted and not told. */
  readonly quiet?: boolean;
  /** True for connections that were ended for good and of which a closed entry is left; no others then. */
  readonly killed?: boolean;
}

/** Some of the flows. */
export interface FlowSlice {
  readonly states: readonly State[];
  /** How many flows were chosen, told or not. */
  readonly count: number;
  /** Where to go on; -1 at the end. */
  readonly cursor: number;
}

/** What happened to a flow. */
export interface FlowEvent {
  readonly kind: "new" | "update" | "destroy";
  readonly state: State;
}

/** A tracker in figures. */
export interface TrackerStatus {
  readonly flows: number;
  /** TCP connections among them that do not stand yet. */
  readonly halfOpen: number;
  /** Flows among them that the kernel judges by itself. */
  readonly offloaded: number;
  /** Most flows. */
  readonly capacity: number;
  /** True while flows are sealed early, because packets wait longer than the policy's objective. */
  readonly isPressed: boolean;
  readonly counters: CounterValues;
  /** Traffic by interface. */
  readonly interfaces: readonly InterfaceStatus[];
}

/** Requests by method: parameters and result. */
export interface WorkerMethods {
  /** Loads a policy beside the one in force. */
  prepare: { params: { policy: PolicySource; revision: number; memory: SharedMemory }; result: null };
  /** Forgets the prepared policy, if there is one. */
  rollback: { params: null; result: null };
  /** Puts the prepared policy in force, between two batches. */
  swap: { params: { revision: number }; result: null };
  status: { params: null; result: TrackerStatus };
  /** Packets that met each rule of the policy in force: chains of rules. */
  ruleCounts: { params: null; result: readonly (readonly number[])[] };
  /** Where a rule stands that a state names; `null` when its policy is forgotten. */
  placeRule: { params: StateRule; result: FlowRule | null };
  /** Flows that a filter chooses, a slice at a time. */
  listFlows: { params: FlowSliceRequest; result: FlowSlice };
  /** Removes the flows that a filter chooses, a slice at a time; the answer has them as they were. */
  killFlows: { params: FlowSliceRequest; result: FlowSlice };
  /** One flow by its state's id; `null` when it is gone. */
  getFlow: { params: { id: string }; result: State | null };
  /** Removes one flow; the answer is as it was, `null` when it is gone. */
  killFlow: { params: { id: string }; result: State | null };
  /** Makes events of the flows that a filter chooses, or of none. */
  watchFlows: { params: { filter: string | null }; result: null };
  /** Changes timeouts, in milliseconds, and answers with all of them. */
  setTimeouts: { params: Partial<TimeoutValues>; result: TimeoutValues };
  /** Seals no flow from now on. */
  holdSeals: { params: null; result: null };
  /** Takes all flows back that the kernel judged: no seal is in force any more. */
  takeBack: { params: null; result: null };
  /** Seals again where policy and log allow it. */
  resumeSeals: { params: { generation: number }; result: null };
  stop: { params: null; result: null };
}

/** Name of a request. */
export type WorkerMethod = keyof WorkerMethods;

/** A request on the wire between the threads. */
export type WorkerRequest = {
  [Method in WorkerMethod]: {
    readonly id: number;
    readonly method: Method;
    readonly params: WorkerMethods[Method]["params"];
  };
}[WorkerMethod];

/** A line for the log, or for standard output when a PrintRule or a knock wrote it. */
export interface WorkerLine {
  readonly level: LogLevel | "PRINT";
  readonly message: string;
  readonly facts?: LogFacts;
}

/** What a worker sends. */
export type WorkerMessage =
  | {
      readonly kind: "answer";
      readonly id: number;
      readonly result?: unknown;
      readonly error?: { readonly code: string; readonly message: string };
    }
  | { readonly kind: "lines"; readonly lines: readonly WorkerLine[] }
  /** What watched flows did, and how many events there was no room for. */
  | { readonly kind: "events"; readonly events: readonly FlowEvent[]; readonly lost: number }
  /** The queue is bound: packets sent to it will be judged. */
  | { readonly kind: "bound" };

/**
 * What goes over the control socket: the shapes of requests and answers, shared by the daemon and its
 * clients.
 */
import type { QueueClass } from "../base/index.ts";
import type { State, StateStatus } from "../view/index.ts";

/** One complaint about a policy file. */
export interface ProblemReport {
  readonly severity: "error" | "warning";
  readonly code: string;
  readonly message: string;
  /** Path in the JSON document, such as `$.INPUT[2].action`. */
  readonly path: string;
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** From 1. */
  readonly column: number;
}

/** Whose table is asked. */
export type TableSource = "own" | "kernel" | "both";

/** Which states are asked for. */
export interface StateQuery {
  /** In the language of state filters; all when absent. */
  readonly filter?: string;
  /** Both when absent; a watch hears of ours then. */
  readonly source?: TableSource;
}

/** Body of `POST /v1/states/kill`. */
export interface KillRequest {
  readonly filter: string;
  readonly source?: TableSource;
  /** Whether both ends of connections are sent a TCP reset. */
  readonly reset?: boolean;
}

/** Answer of `POST /v1/states/kill`. */
export interface KillAnswer {
  /** Flows ended in our tables. */
  readonly own: number;
  /** Connections deleted in the kernel's. */
  readonly kernel: number;
  /** Ends of connections that were sent a reset, or are as soon as they send something. */
  readonly resets: number;
}

/** What a watch tells. */
export type WatchEvent =
  | { readonly kind: "new" | "update" | "destroy"; readonly state: State }
  /** Events that there was no room for. */
  | { readonly kind: "gap"; readonly lost: number };

/** What one queue has done. */
export interface QueueStatus {
  readonly class: QueueClass;
  /** Its number. */
  readonly queue: number;
  /**
   * What a packet that comes must wait for its answer, in milliseconds, by samples of the last two minutes or
   * so: what half of them and 99 of 100 did not exceed. `null` while the queue has brought nothing.
   */
  readonly wait: { readonly p50Ms: number | null; readonly p99Ms: number | null };
  /** The kernel's own counters (`/proc/net/netfilter/nfnetlink_queue`); absent when unreadable. */
  readonly kernel?: {
    /** Packets waiting for a verdict. */
    readonly waiting: number;
    /** Packets the kernel dropped because the queue was full. */
    readonly queueDropped: number;
    /** Packets the kernel dropped because the socket's buffer was full. */
    readonly userDropped: number;
    /** Packets that were queued since the queue was bound. */
    readonly queued: number;
  };
}

/** What one queue worker is doing. */
export interface WorkerStatus {
  /** Index of the worker. */
  readonly worker: number;
  /** Flows in its state table. */
  readonly flows: number;
  /** Times it was restarted after it had died. */
  readonly restarts: number;
  /** True while it seals flows early, because packets wait longer than the policy's objective. */
  readonly isPressed: boolean;
  /** Its queues, one for each class of packets. */
  readonly queues: readonly QueueStatus[];
}

/** Answer of `GET /v1/status`. */
export interface FirewallStatus {
  readonly version: string;
  readonly pid: number;
  /** Seconds since the firewall said "ready". */
  readonly uptimeSeconds: number;
  readonly policy: {
    readonly file: string;
    /** Counts the policies that were in force, from 1. */
    readonly revision: number;
  };
  readonly driver: string;
  readonly counters: Readonly<Record<string, number>>;
  /**
   * Flows handed over to the kernel because their fate is sealed: at present, since the start, and of the
   * latter those that were sealed early.
   */
  readonly offloaded: { readonly active: number; readonly total: number; readonly early: number };
  readonly workers: readonly WorkerStatus[];
  /** Under pf's names, the kernel's table included. */
  readonly pf: StateStatus;
}

/** Body of `POST /v1/reload`. */
export interface ReloadRequest {
  /** Absolute path of the policy file; the one in force, read anew, when absent. */
  readonly file?: string;
}

/** Answer of `POST /v1/reload` when the policy is in force. */
export interface ReloadAnswer {
  readonly revision: number;
  readonly warnings: readonly ProblemReport[];
}

/** An error answer (RFC 9457 problem details). */
export interface ProblemDetails {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  /** Stable code of the failure. */
  readonly code: string;
  /** What is wrong with a policy, when that is the failure. */
  readonly problems?: readonly ProblemReport[];
}

/** Where the control socket is unless the command line says otherwise. */
export const DEFAULT_SOCKET = "/run/postern/control.sock";

/** Where the socket of the pinholes is unless the command line says otherwise. */
export const DEFAULT_PINHOLE_SOCKET = "/run/postern/pinholes.sock";

/** What goes into a commit, and what comes out. */
import type { CutList } from "./cut-list.ts";
import type { PinholeNews } from "./event-log.ts";
import type { KernelPlan } from "./kernel-plan.ts";
import type { PinholeState } from "./life-cycle.ts";
import type { Pinhole } from "./pinhole.ts";
import type { PortLease } from "./port-pool.ts";
import type { JournalChanges } from "./record.ts";
import type { PinholeRefusal } from "./refusal.ts";
import type { Transaction } from "./transaction.ts";

/** How a commit shall be done. */
export interface CommitOptions {
  /** The same key with the same operations has one effect and one answer. */
  readonly idempotencyKey?: string;
  /** By which it is asked for again, beside the key: the transaction's id, unless that is the key. */
  readonly askedAs?: string;
  /** Refuse unless this generation is in force. */
  readonly expectGeneration?: number;
  /**
   * When it is answered: in force, unless said otherwise; or as soon as it is written, and survives a crash.
   */
  readonly wait?: "journal";
  /** Goes into the events that follow, so that a door can spare the one who asked. */
  readonly origin?: string;
}

/** A transaction on its way. */
export interface CommitRequest {
  readonly transaction: Transaction;
  readonly options: CommitOptions;
  /** Told what was decided when it is written, and not yet in force; again when it is decided anew. */
  readonly written?: (answer: CommitAnswer) => void;
  /**
   * Told how the pinhole of the last operation stands behind it, each time that it is decided: when the
   * commit is in force, what was told last holds.
   */
  readonly decided?: (pinhole: Pinhole | undefined) => void;
}

/** What became of one operation. */
export interface OperationAnswer {
  readonly op: "open" | "close" | "renew" | "enable";
  readonly id: string;
  /** In SIMCO. */
  readonly pid: number;
  /** The group's number in SIMCO; 0 for a block. */
  readonly gid: number;
  /** The group's id; empty for a block. */
  readonly group: string;
  readonly state: PinholeState;
  readonly revision: number;
  /** Seconds; null for ever, 0 when it has ended. */
  readonly granted: number | null;
  /** False when an `open` found the pinhole there already. */
  readonly isNew: boolean;
  readonly outside?: PortLease;
  readonly inside?: PortLease;
}

/** What became of a commit. */
export interface CommitAnswer {
  /** The rule set that it made. */
  readonly generation: number;
  /** Unix time, in milliseconds. */
  readonly appliedAt: number;
  readonly results: readonly OperationAnswer[];
  /** False: it is written, and the packet filter has not confirmed it yet. Absent: it is in force. */
  readonly isInForce?: false;
}

/** What became of one commit among several: an answer, or why not. */
export type CommitOutcome = CommitAnswer | PinholeRefusal;

/**
 * Commits that are decided and not done yet.
 *
 * The caller writes `journal`, tells the filter the `plan`, and calls `settle`; or `takeBack` when either
 * fails.
 */
export interface PreparedCommit {
  /** One for each request, in order. */
  readonly outcomes: readonly CommitOutcome[];
  /** False when there is nothing to write or to tell: everything was refused, or answered before. */
  readonly hasEffect: boolean;
  readonly plan: KernelPlan;
  readonly journal: JournalChanges;
  readonly events: readonly PinholeNews[];
  /** Live connections that may have to end. */
  readonly cut: CutList;
  /** It is in force. */
  settle(): void;
  /**
   * It could not be done; everything is as before.
   *
   * @returns what the journal must say instead, if it was told already
   */
  takeBack(): JournalChanges;
}

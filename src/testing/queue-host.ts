/** Starts the queue host, a firewall of the simplest kind, inside a laboratory. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import type { Namespace, RunningProgram } from "../lab/index.ts";
import type { KernelQueueStatistics, QueueCounters } from "../system/index.ts";
import type { QueueOrders, SeenPacket } from "./programs/queue-orders.ts";

const PROGRAM = fileURLToPath(new URL("./programs/queue-host.js", import.meta.url));

/** What a queue host reports when it has undone everything. */
export interface QueueHostEnd {
  /** From the signal until all queues were closed, in milliseconds. */
  readonly stopMs: number;
  /** False when somebody else had removed our table. */
  readonly removed: boolean;
  /** Counters of all queues, added up. */
  readonly counters: QueueCounters;
  /** The kernel's figures, just before the queues were closed. */
  readonly statistics: readonly KernelQueueStatistics[];
  /** Names of the reports, in the order in which they came. */
  readonly order: readonly string[];
}

/** A running queue host. */
export class QueueHost {
  readonly program: RunningProgram;

  private constructor(program: RunningProgram) {
    this.program = program;
  }

  /**
   * Starts one and waits until its rules are in place.
   *
   * @param host - where it runs
   * @param orders - how it judges
   */
  static async start(host: Namespace, orders: QueueOrders): Promise<QueueHost> {
    const program = host.start([process.execPath, PROGRAM, JSON.stringify(orders)]);
    await program.waitForLine(/"ready"/);
    return new QueueHost(program);
  }

  /** The packets seen so far, when it was ordered to tell. */
  get packets(): SeenPacket[] {
    return this.#reports<{ packet?: SeenPacket }>().flatMap(({ packet }) => packet ?? []);
  }

  /** Ends it in order and waits until it has undone everything. */
  async stop(): Promise<QueueHostEnd> {
    const end = await this.program.stop("SIGTERM", 10_000);
    assert.equal(end.status, 0, this.program.output);
    const reports = this.#reports<Partial<QueueHostEnd> & { stopped?: boolean }>();
    const last = reports.find((report) => report.stopped === true);
    assert.ok(last !== undefined, this.program.output);
    return {
      stopMs: last.stopMs ?? Number.NaN,
      removed: last.removed ?? false,
      counters: sum(reports.flatMap(({ counters }) => counters ?? [])),
      statistics: reports.flatMap(({ statistics }) => statistics ?? []),
      order: reports.flatMap((report) => Object.keys(report)[0] ?? []).filter((name) => name !== "packet"),
    };
  }

  #reports<Report>(): Report[] {
    return this.program.lines
      .filter((line) => line.startsWith("{"))
      .map((line) => JSON.parse(line) as Report);
  }
}

function sum(all: readonly QueueCounters[]): QueueCounters {
  const total: Record<string, number> = {};
  for (const counters of all) {
    for (const [name, count] of Object.entries(counters)) total[name] = (total[name] ?? 0) + Number(count);
  }
  return total as unknown as QueueCounters;
}

/**
 * The kernel's own figures of its queues, from `/proc/net/netfilter/nfnetlink_queue`: the only place where
 * packets show that never reached userspace.
 */
import { readFileSync } from "node:fs";

const STATISTICS_FILE = "/proc/thread-self/net/netfilter/nfnetlink_queue";

/** Figures of one queue. */
export interface KernelQueueStatistics {
  readonly queue: number;
  /** Address of the netlink socket that bound it. */
  readonly port: number;
  /** Packets that wait for a verdict. */
  readonly waiting: number;
  /** Bytes of each packet that are copied. */
  readonly copyRangeBytes: number;
  /** Packets dropped because the queue was full. */
  readonly queueDropped: number;
  /** Packets dropped because the socket's receive buffer was full. */
  readonly userDropped: number;
  /** Packets queued since it was bound. */
  readonly queued: number;
}

/** Reads the lines of the statistics file. A line that is none of ours is left out. */
export function parseQueueStatistics(text: string): KernelQueueStatistics[] {
  const statistics: KernelQueueStatistics[] = [];
  for (const line of text.split("\n")) {
    const fields = line.trim().split(/\s+/).map(Number);
    if (fields.length < 8 || fields.some(Number.isNaN)) continue;
    const [
      queue = 0,
      port = 0,
      waiting = 0,
      ,
      copyRangeBytes = 0,
      queueDropped = 0,
      userDropped = 0,
      queued = 0,
    ] = fields;
    statistics.push({ queue, port, waiting, copyRangeBytes, queueDropped, userDropped, queued });
  }
  return statistics;
}

/**
 * Figures of all bound queues in the calling thread's network namespace; empty when the kernel has no queues.
 */
export function readQueueStatistics(): KernelQueueStatistics[] {
  try {
    return parseQueueStatistics(readFileSync(STATISTICS_FILE, "utf8"));
  } catch {
    return [];
  }
}

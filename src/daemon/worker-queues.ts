/**
 * The queues of one worker, a class of packets in each, and the order in which they are served.
 *
 * A turn takes a batch from every queue that has packets: a whole batch where only one has, otherwise a whole
 * one of known flows, half of one of new TCP, and a quarter of one of everything else. So none starves, and
 * what a flood can keep the others waiting is a quarter of a batch.
 */
import { FirewallError, type Milliseconds, QUEUE_CLASSES, type QueueClass } from "../base/index.ts";
import type { Policy } from "../policy/index.ts";
import {
  type QueueCounters,
  QueueSet,
  QueueSocket,
  type QueueSocketOptions,
  readQueueStatistics,
} from "../system/index.ts";
import { monotonicNow } from "./monotonic-clock.ts";
import { PressureGauge } from "./pressure-gauge.ts";
import { PROBE_EVERY_MS, WaitMeter } from "./wait-meter.ts";
import type { WorkerQueue, WorkerSettings } from "./worker-protocol.ts";

/** Share of a batch that a class may take while others have packets too. */
const SHARE: Readonly<Record<QueueClass, number>> = { known: 1, tcp: 1 / 2, other: 1 / 4 };

/**
 * Bytes of a packet that hold its headers: 60 of IPv4 and 60 of TCP, or an ICMP error with the headers it
 * quotes. Only many IPv6 extension headers are longer.
 */
export const HEADER_COPY_BYTES = 256;

/** How a queue of a policy is bound and read. */
export function queueOptions(queue: number, of: QueueClass, { settings }: Policy): QueueSocketOptions {
  const { limits, queues, outcomes } = settings;
  return {
    queue,
    wakeFd: -1,
    copyRangeBytes: limits.copyRangeBytes,
    queuePackets: queues[of].packets,
    batchPackets: limits.batchPackets,
    receiveBufferBytes: limits.receiveBufferBytes,
    failOpen: queues[of].failMode === "open",
    wholeSuperPackets: true,
    acceptUnanswered: outcomes.malformed === "ACCEPT",
  };
}

/**
 * Number of a queue: those of a class lie side by side, so that the kernel, which chooses among them by
 * addresses, leads an address pair to the same worker in every class.
 *
 * @param first - number of the first queue of all
 * @param workers - number of workers, and of queues in a class
 */
export function queueNumber(
  of: QueueClass,
  { first, workers, worker }: { first: number; workers: number; worker: number },
): number {
  return first + QUEUE_CLASSES.indexOf(of) * workers + worker;
}

/** See the head of this file. */
export class WorkerQueues {
  readonly #seats: readonly WorkerQueue[];
  readonly #sockets: readonly QueueSocket[];
  readonly #meters: readonly WaitMeter[];
  readonly #shares: readonly number[];
  readonly #whole: number;
  readonly #copyRangeBytes: number;
  readonly #set: QueueSet;
  /** Tells when packets wait too long in one of them. */
  readonly pressure: PressureGauge = new PressureGauge();
  /** How much of each packet comes up; `mixed` while that is not known of every queue. */
  #copies: "whole" | "headers" | "mixed" = "whole";
  #ready = 0;
  #probedAt: Milliseconds = 0;

  constructor({ queues, wakeFd }: WorkerSettings, policy: Policy) {
    const [first] = queues;
    const options = queueOptions(first?.queue ?? 0, "known", policy);
    // One batch is answered before the next is taken, so one buffer is enough.
    const buffer = QueueSocket.bufferFor(options);
    const told = (waited: Milliseconds): void => this.pressure.count(waited);
    this.#seats = queues;
    this.#whole = options.batchPackets;
    this.#copyRangeBytes = options.copyRangeBytes;
    this.#shares = queues.map((each) => Math.ceil(this.#whole * SHARE[each.class]));
    this.#meters = queues.map(({ waits }) => new WaitMeter(waits, told));
    this.#sockets = queues.map(({ fd, queue, class: of }) =>
      QueueSocket.attach(fd, queueOptions(queue, of, policy), buffer),
    );
    this.#set = new QueueSet(
      queues.map(({ fd }) => fd),
      wakeFd,
    );
  }

  /** True when the last wait was ended by a request of the main thread. */
  get woken(): boolean {
    return this.#set.woken;
  }

  /** Waits for packets. @param timeoutMs - longest wait, in milliseconds */
  wait(timeoutMs: number): void {
    this.#ready = this.#set.wait(timeoutMs);
  }

  /**
   * Takes a batch from each queue that has packets, and answers it.
   *
   * @param judge - answers the packet that the queue is at
   * @returns number of packets taken
   */
  serve(judge: (queue: QueueSocket) => void): number {
    let taken = 0;
    if (this.#ready === 0) return taken;
    for (let at = 0; at < this.#sockets.length; at += 1) {
      if (!this.#set.isReady(at)) continue;
      taken += this.#serve(at, this.#ready === 1 ? this.#whole : (this.#shares[at] ?? 1), judge);
    }
    return taken;
  }

  /** Takes a batch from one queue, and answers it. @returns number of packets taken */
  #serve(at: number, most: number, judge: (queue: QueueSocket) => void): number {
    const queue = this.#sockets[at];
    const count = queue?.take(most) ?? 0;
    if (queue === undefined || count === 0) return 0;
    while (queue.next()) judge(queue);
    queue.flush();
    this.#meters[at]?.answered(queue.packet.id, monotonicNow());
    return count;
  }

  /**
   * Has packets come up with their headers only from now on.
   *
   * @throws {FirewallError} `QUEUE_FAILED` when the kernel cannot be asked
   */
  copyHeaders(): void {
    if (this.#copies === "headers" || this.#copyRangeBytes <= HEADER_COPY_BYTES) return;
    this.#copies = "mixed";
    for (const queue of this.#sockets) queue.copy(HEADER_COPY_BYTES);
    this.#copies = "headers";
  }

  /**
   * Has packets come up whole from now on; what waits was copied before.
   *
   * @throws {FirewallError} `QUEUE_FAILED` when the kernel does not
   */
  copyWhole(): void {
    if (this.#copies === "whole") return;
    this.#copies = "mixed";
    for (const queue of this.#sockets) queue.copy(this.#copyRangeBytes);
    const ours = new Set(this.#seats.map(({ queue }) => queue));
    const cut = readQueueStatistics().find(
      ({ queue, copyRangeBytes }) => ours.has(queue) && copyRangeBytes <= HEADER_COPY_BYTES,
    );
    if (cut !== undefined)
      throw new FirewallError(
        "QUEUE_FAILED",
        `The kernel copies headers only to queue ${cut.queue}; try again.`,
      );
    this.#copies = "whole";
  }

  /** Serves what waits at this moment, and some of what comes meanwhile: its copies are of before. */
  drain(judge: (queue: QueueSocket) => void): void {
    const statistics = readQueueStatistics();
    for (const [at, { queue }] of this.#seats.entries()) {
      let left = statistics.find((entry) => entry.queue === queue)?.waiting ?? 0;
      while (left > 0) {
        const taken = this.#serve(at, this.#whole, judge);
        if (taken === 0) break;
        left -= taken;
      }
    }
  }

  /** Probes the queues, now and then. @param now - of this turn */
  probe(now: Milliseconds): void {
    if (now - this.#probedAt < PROBE_EVERY_MS) return;
    this.#probedAt = now;
    const statistics = readQueueStatistics();
    const probedAt = monotonicNow();
    for (const [at, { queue }] of this.#seats.entries()) {
      const kernel = statistics.find((entry) => entry.queue === queue);
      if (kernel !== undefined) this.#meters[at]?.probe(kernel.waiting, kernel.queued, probedAt);
    }
    const waiting = this.#meters.reduce((most, meter) => Math.max(most, meter.waiting(probedAt)), 0);
    this.pressure.turn(now, waiting);
  }

  /** What happened at all of them so far. */
  count(what: Exclude<keyof QueueCounters, "prototype">): number {
    let sum = 0;
    for (const { counters } of this.#sockets) sum += counters[what];
    return sum;
  }
}

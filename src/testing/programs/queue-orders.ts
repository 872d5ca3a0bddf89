/** What a test tells the queue host to do, and what the host reports. */
import type { HookName } from "../../base/index.ts";

/** What becomes of packets that match. */
export type OrderAction = "accept" | "drop" | "reset" | "host" | "prohibited" | "pass-over" | "stall";

/** One order: the first that matches a packet decides. What is absent matches anything. */
export interface Order {
  readonly hook?: HookName;
  /** Transport protocol (IANA number). */
  readonly protocol?: number;
  /** Destination port. */
  readonly port?: number;
  readonly action: OrderAction;
}

/** How the queue host works. */
export interface QueueOrders {
  readonly hooks: readonly HookName[];
  readonly orders: readonly Order[];
  /** Number of queues, each with a thread; 1 when absent. */
  readonly queues?: number;
  readonly firstQueue?: number;
  readonly table?: string;
  readonly bypass?: boolean;
  readonly failOpen?: boolean;
  readonly wholeSuperPackets?: boolean;
  readonly copyRangeBytes?: number;
  readonly queuePackets?: number;
  readonly batchPackets?: number;
  readonly receiveBufferBytes?: number;
  /** True: a line for every packet. */
  readonly tellPackets?: boolean;
}

/** One packet, as the host saw it. */
export interface SeenPacket {
  readonly queue: number;
  readonly hook: number;
  readonly family: number;
  readonly protocol: number;
  readonly source: string;
  readonly destination: string;
  readonly mark: number;
  readonly inInterface: string;
  readonly outInterface: string;
  readonly userId: number;
  readonly copiedBytes: number;
  readonly wireBytes: number;
  readonly checksumNotReady: boolean;
  readonly segmentsToCome: boolean;
}

/** What one queue thread is given. */
export interface QueueThreadData {
  readonly orders: QueueOrders;
  readonly queue: number;
  readonly wakeFd: number;
  /** One word: 0 run, 1 drain, 2 close. */
  readonly phase: Int32Array;
}

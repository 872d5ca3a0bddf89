/**
 * What has happened, for those who listen and for those who come back and ask what they missed.
 *
 * Events are numbered without gaps. The log keeps the last so many; who asks for older ones is told that
 * there is a gap, and from which generation to read everything anew.
 */
import type { Milliseconds } from "../base/index.ts";
import type { EnforcedLimit } from "./kernel-plan.ts";
import type { Pinhole } from "./pinhole.ts";
import { type PackedPinhole, unpackPinhole } from "./record.ts";

/** What can happen. */
export const PINHOLE_EVENT_TYPES = [
  "pinhole.reserved",
  "pinhole.enabled",
  "pinhole.renewed",
  "pinhole.ended",
  "group.ended",
  "backend.degraded",
  "backend.recovered",
  "backend.drift",
  "limit.hit",
  "commit.failed",
  "session.opened",
  "session.closed",
] as const;

/** What can happen. */
export type PinholeEventType = (typeof PINHOLE_EVENT_TYPES)[number];

/** What has happened, without a number yet. */
export interface PinholeNews {
  readonly type: PinholeEventType;
  /** Generation in force when it happened. */
  readonly generation: number;
  /** Unix time, in milliseconds. */
  readonly at: Milliseconds;
  /** The pinhole it is about, as it was then. */
  readonly packed?: PackedPinhole;
  /** Id of the group it is about. */
  readonly group?: string;
  /** Name of the owner; only he and those who see everything may hear of it. Absent: everybody may. */
  readonly owner?: string;
  /** What the one who caused it called himself in the commit; empty when nobody asked for it. */
  readonly origin: string;
  /** Packets that its limits refused, by limit; `limit.hit` only. */
  readonly refused?: Readonly<Partial<Record<EnforcedLimit, number>>>;
  /** Ids of the pinholes that it was about; `commit.failed` only. */
  readonly ids?: readonly string[];
  /** One sentence for a person. */
  readonly text?: string;
}

/** What has happened. There are many, and few are ever asked for again. */
export class PinholeEventRecord {
  readonly type: PinholeEventType;
  /** 1 and up, without gaps, since the program was started. */
  readonly sequence: number;
  readonly generation: number;
  readonly at: Milliseconds;
  readonly group: string | undefined;
  readonly owner: string | undefined;
  readonly origin: string;
  readonly refused: PinholeNews["refused"];
  readonly ids: PinholeNews["ids"];
  readonly text: string | undefined;
  readonly #packed: PackedPinhole | undefined;

  constructor(news: PinholeNews, sequence: number) {
    this.type = news.type;
    this.sequence = sequence;
    this.generation = news.generation;
    this.at = news.at;
    this.group = news.group;
    this.owner = news.owner;
    this.origin = news.origin;
    this.refused = news.refused;
    this.ids = news.ids;
    this.text = news.text;
    this.#packed = news.packed;
  }

  /** The pinhole it is about, as it was then; made anew at each call. */
  get pinhole(): Pinhole | undefined {
    return this.#packed === undefined ? undefined : unpackPinhole(this.#packed);
  }
}

/** What somebody missed. */
export interface MissedEvents {
  /** True: some are forgotten; read everything anew. */
  readonly hasGap: boolean;
  readonly events: readonly PinholeEventRecord[];
}

/** Keeps the last events. */
export class EventLog {
  readonly #capacity: number;
  #events: PinholeEventRecord[] = [];
  #last = 0;

  /** @param capacity - events that are kept, at least */
  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** Number of the last event; 0 before the first. */
  get last(): number {
    return this.#last;
  }

  /** Numbers events and keeps them. */
  append(news: readonly PinholeNews[]): PinholeEventRecord[] {
    const records = news.map((one) => {
      this.#last += 1;
      return new PinholeEventRecord(one, this.#last);
    });
    for (const record of records) this.#events.push(record);
    if (this.#events.length > 2 * this.#capacity) this.#events = this.#events.slice(-this.#capacity);
    return records;
  }

  /** The events behind one. */
  since(sequence: number): MissedEvents {
    const first = this.#last - this.#events.length + 1;
    const hasGap = sequence > this.#last || sequence + 1 < first;
    return { hasGap, events: hasGap ? [] : this.#events.slice(sequence + 1 - first) };
  }
}

/**
 * Seals as a whole: which generation is in force, and that none of an older one is.
 *
 * A new generation voids all seals: when another policy comes into force, an address table changes, a worker
 * has died. In order: workers stop sealing, each after the batch in hand, and since the kernel acts on a
 * verdict while it is being sent, no wish is on its way any more; the kernel gets the next generation; what
 * was the reason takes place; workers take their flows back and seal again.
 *
 * There are 63 generations. One that is about to be used again, and all of them at the start, must stand in
 * no connection's mark, so the kernel's table is gone through and old marks are taken away.
 */
import type { KernelRules } from "../backend/index.ts";
import {
  ConntrackEntry,
  type ConntrackKey,
  keyOf,
  SEAL_GENERATIONS,
  type SealMarks,
} from "../netlink/index.ts";
import { Conntrack, ConntrackList } from "../system/index.ts";
import type { WorkerPool } from "./worker-pool.ts";

/** The generation at the start. */
export const FIRST_GENERATION = 1;

/**
 * Takes seals off the kernel's connections, in the network namespace of the process.
 *
 * @param generation - only of this one; all when absent
 */
export function clearSeals(marks: SealMarks, generation?: number): void {
  const keys: ConntrackKey[] = [];
  const list = ConntrackList.open();
  try {
    list.begin();
    list.readAll(new ConntrackEntry(), (entry) => {
      const found = marks.generationOf(entry.mark);
      if (found !== 0 && (generation === undefined || found === generation)) keys.push(keyOf(entry));
    });
  } finally {
    list.close();
  }
  if (keys.length === 0) return;
  const table = Conntrack.open();
  try {
    for (const key of keys) table.update(key, { mark: { value: 0, mask: marks.mask } });
  } finally {
    table.close();
  }
}

/** What the service works with. */
export interface SealServiceParts {
  readonly pool: WorkerPool;
  readonly rules: KernelRules;
  readonly marks: SealMarks;
}

/** See the head of this file. */
export class SealService {
  readonly #parts: SealServiceParts;
  #generation = FIRST_GENERATION;
  /** Generations that were in force so far. */
  #used = 1;
  #renewing: Promise<unknown> = Promise.resolve();
  #soon: Promise<void> | undefined;

  constructor(parts: SealServiceParts) {
    this.#parts = parts;
  }

  /** Where seals stand in the marks of connections. */
  get marks(): SealMarks {
    return this.#parts.marks;
  }

  /** The generation of seals in force. */
  get generation(): number {
    return this.#generation;
  }

  /** Lets workers seal flows. */
  async start(): Promise<void> {
    this.#parts.pool.onReplaced(() => void this.renewSoon());
    await this.#parts.pool.tellAll("resumeSeals");
  }

  /** Voids all seals; requests that come before that begins are one. */
  renewSoon(): Promise<void> {
    this.#soon ??= this.renew(() => {
      this.#soon = undefined;
    });
    return this.#soon;
  }

  /** Takes the seals off the kernel's connections: they would mean something to the next run. */
  close(): void {
    clearSeals(this.#parts.marks);
  }

  /**
   * Voids all seals.
   *
   * @param during - what makes them void; it takes place while no seal is in force
   * @throws {unknown} what `during` throws; seals are void then too, and workers go on
   */
  renew(during: () => Promise<void> | void = () => undefined): Promise<void> {
    const renewed = this.#renewing.then(() => this.#renew(during));
    this.#renewing = renewed.catch(() => undefined);
    return renewed;
  }

  async #renew(during: () => Promise<void> | void): Promise<void> {
    const { pool, rules, marks } = this.#parts;
    await pool.tellAll("holdSeals");
    try {
      const next = (this.#generation % SEAL_GENERATIONS) + 1;
      if (this.#used >= SEAL_GENERATIONS) clearSeals(marks, next);
      rules.renewSeals(next);
      this.#generation = next;
      this.#used += 1;
      await during();
    } finally {
      await pool.tellAll("resumeSeals");
    }
  }
}

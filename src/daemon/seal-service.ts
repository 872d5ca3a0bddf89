/**
 * Seals as a whole: which generation is in force, and that none of an older one is.
 *
 * A new generation voids all seals: when another policy comes into force, an address table changes, a worker
 * has died. In order: workers stop sealing, each after the batch in hand, and since the kernel acts on a
 * verdict while it is being sent, no wish is on its way any more; the kernel gets the next generation; what
 * was the reason takes place; workers take their flows back and seal again. Where the kernel does not get it,
 * old seals stay in force, so workers keep in mind which flows are sealed, and only seal again.
 *
 * There are 31 generations. One that is used again must stand in no connection's mark, so at the start and
 * once all are used up the kernel's table is gone through, which takes long, and all marks are taken away.
 */
import type { KernelRules } from "../backend/index.ts";
import { FirewallError, type Milliseconds } from "../base/index.ts";
import {
  ConntrackEntry,
  type ConntrackKey,
  keyOf,
  SEAL_GENERATIONS,
  type SealMarks,
} from "../netlink/index.ts";
import { Conntrack, ConntrackList } from "../system/index.ts";
import type { Log } from "./log.ts";
import type { WorkerPool } from "./worker-pool.ts";

/** The generation at the start. */
export const FIRST_GENERATION = 1;

/** Wait before a renewal that was refused is tried again, in milliseconds; it doubles with each refusal. */
const AGAIN_FIRST_MS: Milliseconds = 1000;

/** Longest such wait, in milliseconds. */
const AGAIN_LONGEST_MS: Milliseconds = 60_000;

/** Lists of the kernel's table that are begun before it counts as changing all the time. */
const LISTS_MAX = 8;

/**
 * The connections that bear a seal.
 *
 * @throws {FirewallError} `CONNTRACK_INTERRUPTED` when no list was whole
 */
export function sealedKeys(
  list: Pick<ConntrackList, "begin" | "readAll" | "interrupted">,
  marks: SealMarks,
): ConntrackKey[] {
  for (let begun = 0; begun < LISTS_MAX; begun += 1) {
    const keys: ConntrackKey[] = [];
    list.begin();
    list.readAll(new ConntrackEntry(), (entry) => {
      if (marks.generationOf(entry.mark) !== 0) keys.push(keyOf(entry));
    });
    if (!list.interrupted) return keys;
  }
  const reason = `the kernel's table of connections changed under each of ${LISTS_MAX} lists; try again`;
  throw new FirewallError("CONNTRACK_INTERRUPTED", `Cannot find the sealed connections: ${reason}`);
}

/** Takes all seals off the kernel's connections, in the network namespace of the process. */
export function clearSeals(marks: SealMarks): void {
  const list = ConntrackList.open();
  let keys: ConntrackKey[];
  try {
    keys = sealedKeys(list, marks);
  } finally {
    list.close();
  }
  if (keys.length === 0) return;
  const table = Conntrack.open();
  try {
    const failure = table
      .updateEach(keys, { mark: { value: 0, mask: marks.mask } })
      .find((answer) => answer instanceof FirewallError);
    if (failure !== undefined) throw failure;
  } finally {
    table.close();
  }
}

/** What the service works with. */
export interface SealServiceParts {
  readonly pool: Pick<WorkerPool, "onReplaced" | "tellAll">;
  readonly rules: Pick<KernelRules, "renewSeals">;
  readonly marks: SealMarks;
  readonly log: Pick<Log, "error" | "warning">;
  /** Takes all seals off the kernel's connections: {@link clearSeals}. */
  readonly clear: (marks: SealMarks) => void;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** See the head of this file. */
export class SealService {
  readonly #parts: SealServiceParts;
  #generation = FIRST_GENERATION;
  /** Generations that may stand in the marks of connections. */
  #used = 1;
  #renewing: Promise<unknown> = Promise.resolve();
  #soon: Promise<void> | undefined;
  /** Set while seals are in force that should be void. */
  #again: NodeJS.Timeout | undefined;
  #againMs: Milliseconds = AGAIN_FIRST_MS;
  #isClosed = false;

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
    const { pool, log } = this.#parts;
    pool.onReplaced(() => {
      this.renewSoon().catch((error: unknown) => {
        log.error(
          `seals of a worker that died stay in force until the kernel voids them: ${messageOf(error)}`,
        );
      });
    });
    await this.#resume();
  }

  /**
   * Voids all seals; requests that come before that begins are one.
   *
   * @throws {FirewallError} when the kernel refuses: seals stay in force, and it is tried again by itself
   */
  renewSoon(): Promise<void> {
    if (this.#soon !== undefined) return this.#soon;
    const forget = (): void => {
      this.#soon = undefined;
    };
    this.#soon = this.renew(forget);
    this.#soon.catch(() => {
      forget();
      this.#tryAgain();
    });
    return this.#soon;
  }

  /**
   * Takes the seals off the kernel's connections: they would mean something to another program. Where the
   * kernel refuses, the next start does it.
   */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#again);
    const { log, marks, clear } = this.#parts;
    try {
      clear(marks);
    } catch (error) {
      log.warning(`marks of seals stay on connections: ${messageOf(error)}`);
    }
  }

  /**
   * Voids all seals.
   *
   * @param during - what makes them void; it takes place while no seal is in force
   * @throws {unknown} what `during` throws; seals are void then too, and workers go on
   * @throws {FirewallError} when the kernel refuses: seals stay in force, and `during` has not taken place
   */
  renew(during: () => Promise<void> | void = () => undefined): Promise<void> {
    const renewed = this.#renewing.then(() => this.#renew(during));
    this.#renewing = renewed.catch(() => undefined);
    return renewed;
  }

  #tryAgain(): void {
    if (this.#isClosed || this.#again !== undefined) return;
    this.#again = setTimeout(() => {
      this.#again = undefined;
      this.#againMs = Math.min(AGAIN_LONGEST_MS, 2 * this.#againMs);
      // Whoever waits for it was told; it is tried until it works.
      this.renewSoon().catch(() => undefined);
    }, this.#againMs).unref();
  }

  /** Whatever is refused from now on is tried again soon. */
  #forgetRefusal(): void {
    if (this.#againMs > AGAIN_FIRST_MS)
      this.#parts.log.warning("seals that had stayed in force are void now");
    clearTimeout(this.#again);
    this.#again = undefined;
    this.#againMs = AGAIN_FIRST_MS;
  }

  async #renew(during: () => Promise<void> | void): Promise<void> {
    const { pool, rules, marks, clear } = this.#parts;
    let isVoid = false;
    await pool.tellAll("holdSeals", null);
    try {
      const next = (this.#generation % SEAL_GENERATIONS) + 1;
      if (this.#used >= SEAL_GENERATIONS) {
        clear(marks);
        isVoid = true;
        // The one in force may be set again if the kernel refuses the next.
        this.#used = 1;
      }
      rules.renewSeals(next);
      isVoid = true;
      this.#generation = next;
      this.#used += 1;
      this.#forgetRefusal();
      await during();
    } finally {
      if (isVoid) await pool.tellAll("takeBack", null);
      await this.#resume();
    }
  }

  /** Lets workers seal flows, in the generation that is in force. */
  #resume(): Promise<unknown> {
    return this.#parts.pool.tellAll("resumeSeals", { generation: this.#generation });
  }
}

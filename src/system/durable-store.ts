/**
 * Values that survive a crash: one file on disk (LMDB), changed all or nothing, and synced before anybody is
 * told.
 *
 * Reading goes through mapped memory. What is written counts when `write` has returned: then it is on the
 * disk.
 */
import { createRequire } from "node:module";
import type { Database, open } from "lmdb";
import { FirewallError } from "../base/index.ts";
import { makeFolder } from "./durable-folder.ts";

/** The name of a value: a kind, then what tells it apart within its kind. */
export type DurableKey = readonly [kind: string, ...rest: readonly string[]];

/** A value to be written; `undefined` removes it. */
export interface DurableChange {
  readonly key: DurableKey;
  readonly value: unknown;
}

/** Sorts behind every text in a key. */
const LAST = "\uffff";

/** Room for the file, in bytes; it takes only what it needs. */
const FILE_MAX_BYTES = 1 << 30;

function unavailable(action: string, cause: unknown): FirewallError {
  const words = cause instanceof Error ? cause.message : String(cause);
  return new FirewallError("JOURNAL_UNAVAILABLE", `${action}: ${words}.`, { cause });
}

function ignore(): void {}

/** The library, read with the first store: whoever keeps nothing need not hold it in memory. */
function library(): { readonly open: typeof open } {
  return createRequire(import.meta.url)("lmdb") as { readonly open: typeof open };
}

/** A file of values. One process at a time writes it. */
export class DurableStore {
  readonly #database: Database<unknown, string[]>;

  private constructor(database: Database<unknown, string[]>) {
    this.#database = database;
  }

  /**
   * Opens the file, or makes it.
   *
   * @param folder - where it is; made if need be, for the owner's eyes only
   * @throws {FirewallError} `JOURNAL_UNAVAILABLE` when it cannot be opened
   */
  static open(folder: string): DurableStore {
    try {
      makeFolder(folder);
      // Without overlapping, a commit is told when it is on the disk and not before. Without batching by
      // turns of the event loop, nobody else has to answer for a disk that is full.
      const options = {
        path: folder,
        // A folder is one whatever its name; by itself lmdb takes `pinholes.old` for a file.
        noSubdir: false,
        mapSize: FILE_MAX_BYTES,
        overlappingSync: false,
        eventTurnBatching: false,
      };
      return new DurableStore(library().open<unknown, string[]>(options));
    } catch (error) {
      throw unavailable(`Cannot open the journal in ${folder}`, error);
    }
  }

  /**
   * Writes all changes or none.
   *
   * @throws {FirewallError} `JOURNAL_UNAVAILABLE` when the disk does not take them
   */
  async write(changes: readonly DurableChange[]): Promise<void> {
    let part: Promise<boolean> | undefined;
    try {
      await this.#database.batch(() => {
        for (const { key, value } of changes) {
          const written =
            value === undefined ? this.#database.remove([...key]) : this.#database.put([...key], value);
          // Each part fails with the whole, which is told once.
          if (written !== part) written.catch(ignore);
          part = written;
        }
      });
    } catch (error) {
      const { commitError } = error as { readonly commitError?: Promise<unknown> };
      commitError?.catch(ignore);
      throw unavailable("Cannot write the journal", error);
    }
  }

  /** True when there is a value of this name on the disk. */
  has(key: DurableKey): boolean {
    return this.#database.doesExist([...key]);
  }

  /** The values of a kind with what tells them apart, in the order of their names. */
  *read(kind: string): Generator<readonly [name: readonly string[], value: unknown]> {
    for (const { key, value } of this.#database.getRange({ start: [kind], end: [kind, LAST] })) {
      yield [key.slice(1), value];
    }
  }

  /** What tells the last value of a kind apart; undefined when there is none. */
  lastName(kind: string): readonly string[] | undefined {
    const backwards = { start: [kind, LAST], end: [kind], reverse: true, limit: 1 };
    for (const key of this.#database.getKeys(backwards)) return key.slice(1);
    return undefined;
  }

  /** Waits for what is on its way and closes the file. */
  async close(): Promise<void> {
    await this.#database.close();
  }
}

/**
 * Records that survive a crash, kept in the order in which they came: appended to a file, and on the disk
 * when `append` returns.
 *
 * A database must write several pages and then the one that makes them count, and waits for the disk twice. A
 * record is written in one piece to where the file has room already, so there is one wait, and nothing but
 * the record to wait for. The price is that a log only grows: who keeps one moves its contents elsewhere now
 * and then, and forgets the files that they came from, which are called *parts*.
 *
 * Each start begins a part of its own, and each part says how long the one before it is (`log-part.ts`). So
 * what a crash left by half, of which nobody was told, is told from what was lost later: a log that has lost
 * records is not read, for what they ended would come back, unless it is to be *salvaged*.
 */
import { closeSync, constants, copyFileSync, existsSync, fsync, ftruncate, open } from "node:fs";
import {
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  statSync,
  unlinkSync,
  write,
  writeSync,
} from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { FirewallError } from "../base/index.ts";
import { syncFolder } from "./durable-folder.ts";
import {
  frameFiller,
  framePartHead,
  frameRecord,
  PART_HEAD_BYTES,
  readPart,
  type Stretch,
} from "./log-part.ts";

const PART = /^log-(\d{10})$/;
const PART_DIGITS = 10;

/** A part grows by so much, in bytes: then a sync has no new length of the file to write down. */
const GROWTH_BYTES = 262_144;

/** Longest log, in bytes: what is appended behind it is refused until parts of it are forgotten. */
const LOG_MAX_BYTES = 1 << 30;

/** Each write returns when its bytes are on the disk. */
const { O_CREAT, O_DSYNC, O_TRUNC, O_WRONLY } = constants;
const MENDING_FLAGS = O_WRONLY | O_CREAT | O_DSYNC;
const PART_FLAGS = O_WRONLY | O_CREAT | O_TRUNC | O_DSYNC;
const PART_MODE = 0o600;

const openLater = promisify(open);
const syncLater = promisify(fsync);
const truncateLater = promisify(ftruncate);

function unavailable(cause: unknown): FirewallError {
  const words = cause instanceof Error ? cause.message : String(cause);
  const message = `Cannot write the journal: ${words}. Make room on its disk, or see why it is read only.`;
  return new FirewallError("JOURNAL_UNAVAILABLE", message, { cause });
}

function partName(number: number): string {
  return `log-${String(number).padStart(PART_DIGITS, "0")}`;
}

/** Number of a part by its name; 0 for other files. */
function numberOf(name: string): number {
  return Number(PART.exec(name)?.[1] ?? 0);
}

function listStretches(stretches: readonly Stretch[]): string {
  return stretches.map(({ at, bytes }) => `bytes ${at} to ${at + bytes}`).join(", ");
}

function damaged(path: string, damages: readonly Stretch[]): FirewallError {
  const message =
    `The journal is damaged: ${path} has lost ${listStretches(damages)}, which were on the disk. Pinholes that ` +
    "were closed there would come back, and others be missing. Restore the folder from a copy, or start once " +
    "with --salvage: that goes on with what is left, and keeps a copy of the damaged file.";
  return new FirewallError("JOURNAL_DAMAGED", message);
}

/** The first bytes of a file; empty when there is none. */
function firstBytes(path: string): Buffer {
  if (!existsSync(path)) return Buffer.alloc(0);
  const bytes = Buffer.alloc(PART_HEAD_BYTES);
  const fd = openSync(path, "r");
  try {
    return bytes.subarray(0, readSync(fd, bytes));
  } finally {
    closeSync(fd);
  }
}

function writeLater(fd: number, bytes: Buffer, at: number): Promise<void> {
  return new Promise((resolve, reject) => {
    write(fd, bytes, 0, bytes.length, at, (error, count) => {
      if (error !== null) reject(error);
      else if (count < bytes.length) reject(new Error("the disk takes only a part of it"));
      else resolve();
    });
  });
}

/** A file that is being written. */
interface Part {
  readonly number: number;
  readonly fd: number;
}

/** A log in a folder. One process at a time has it, and appends one record after the other. */
export class DurableLog {
  readonly #folder: string;
  readonly #maxBytes: number;
  /** Number of the last part that was forgotten before. */
  readonly #forgotten: number;
  /** Length of the part before the one that is written, in bytes. */
  #former = 0;
  /** Lengths of the parts that are no longer written, in bytes, by their numbers. */
  readonly #complete: Map<number, number> = new Map();
  #part: Part;
  /** Made ready to be written next. */
  #next: Part | undefined;
  /** Where the next record begins, and up to where the file has room, in bytes. */
  #at = 0;
  #room = 0;

  private constructor(
    { folder, forgotten, maxBytes }: { folder: string; forgotten: number; maxBytes: number },
    complete: Map<number, number>,
    part: Part,
  ) {
    this.#folder = folder;
    this.#forgotten = forgotten;
    this.#maxBytes = maxBytes;
    this.#complete = complete;
    this.#part = part;
  }

  /**
   * Opens the log of a folder, and begins a new part. It takes room on the disk with its first record.
   *
   * @param folder - there already
   * @param forgotten - number of the last part that shall be forgotten; 0 for none
   * @param maxBytes - longest log
   * @throws {FirewallError} `JOURNAL_UNAVAILABLE`
   */
  static open(folder: string, forgotten: number, maxBytes: number = LOG_MAX_BYTES): DurableLog {
    try {
      const complete = new Map<number, number>();
      for (const name of readdirSync(folder).sort()) {
        const number = numberOf(name);
        if (number === 0) continue;
        const { size } = statSync(join(folder, name));
        if (number > forgotten && size > 0) complete.set(number, size);
        else unlinkSync(join(folder, name));
      }
      const number = Math.max(forgotten, ...complete.keys()) + 1;
      const part = { number, fd: openSync(join(folder, partName(number)), PART_FLAGS, PART_MODE) };
      syncFolder(folder);
      return new DurableLog({ folder, forgotten, maxBytes }, complete, part);
    } catch (error) {
      throw unavailable(error);
    }
  }

  /**
   * What former runs left, record by record, before anything is appended. A record is to be used before the
   * next is asked for.
   *
   * @param notice - told what is not there any more
   * @param isSalvage - true: what was damaged is left out, of each part that it was in a copy is kept, and
   *   the log is whole again
   * @throws {FirewallError} `JOURNAL_DAMAGED` when records are lost of which somebody was told that they are
   *   on the disk; `JOURNAL_UNAVAILABLE`
   */
  *read(notice: (text: string) => void, isSalvage: boolean): Generator<Buffer> {
    const last = Math.max(this.#forgotten, ...this.#complete.keys());
    for (let number = this.#forgotten + 1; number <= last; number += 1) {
      const name = partName(number);
      const path = join(this.#folder, name);
      const isThere = this.#complete.has(number);
      const expected = this.#formerOf(number + 1);
      const part = readPart(isThere ? readFileSync(path) : Buffer.alloc(0), expected);
      const damages = isThere || part.end > 0 ? part.damages : [{ at: 0, bytes: PART_HEAD_BYTES }];
      if (damages.length > 0 && !isSalvage) throw damaged(path, damages);
      if (damages.length > 0) notice(`${this.#mend(name, damages)} Records are lost.`);
      if (part.tornBytes > 0) {
        notice(
          `${path} ends in ${part.tornBytes} bytes that are no whole record, as a crash leaves one that was ` +
            "never confirmed; they are left out.",
        );
      }
      this.#former = part.end;
      yield* part.records;
    }
  }

  /** Length of all parts, in bytes. */
  get bytes(): number {
    let sum = this.#at;
    for (const bytes of this.#complete.values()) sum += bytes;
    return sum;
  }

  /** True when nothing can be appended before parts are forgotten. */
  get isFull(): boolean {
    return this.bytes > this.#maxBytes;
  }

  /** True when another part is ready to be written. */
  get canTurn(): boolean {
    return this.#next !== undefined;
  }

  /**
   * Appends a record. One at a time.
   *
   * @throws {FirewallError} `JOURNAL_UNAVAILABLE`, and then it is not there
   */
  async append(body: string): Promise<void> {
    if (this.isFull) throw unavailable(`the log is ${this.bytes} bytes long`);
    const head = this.#at === 0 ? framePartHead(this.#former) : Buffer.alloc(0);
    const record = Buffer.concat([head, frameRecord(body)]);
    const end = this.#at + record.length;
    try {
      if (end > this.#room) await this.#grow(record, end);
      else await writeLater(this.#part.fd, record, this.#at);
    } catch (error) {
      // What is there by half, or whole and not certain, is not there.
      await truncateLater(this.#part.fd, this.#at).catch(() => undefined);
      this.#room = this.#at;
      throw unavailable(error);
    }
    this.#at = end;
  }

  /**
   * Makes another part ready.
   *
   * @throws {FirewallError} `JOURNAL_UNAVAILABLE`
   */
  async prepareTurn(): Promise<void> {
    const number = this.#part.number + 1;
    try {
      const fd = await openLater(join(this.#folder, partName(number)), PART_FLAGS, PART_MODE);
      await this.#syncFolder().catch((error: unknown) => {
        closeSync(fd);
        throw error;
      });
      this.#next = { number, fd };
    } catch (error) {
      throw unavailable(error);
    }
  }

  /**
   * Goes on with the part that is ready, unless the part before has no records; no record may be on its way.
   *
   * @returns number of the last part behind which everything comes that is appended from now on
   */
  turn(): number {
    const { number, fd } = this.#part;
    if (this.#next === undefined || this.#at === 0) return number - 1;
    closeSync(fd);
    this.#complete.set(number, this.#at);
    this.#former = this.#at;
    this.#part = this.#next;
    this.#next = undefined;
    this.#at = 0;
    this.#room = 0;
    return number;
  }

  /**
   * Forgets parts up to this number.
   *
   * @throws {FirewallError} `JOURNAL_UNAVAILABLE` when one of them stays; it may be forgotten later
   */
  async forget(last: number): Promise<void> {
    const numbers = [...this.#complete.keys()].filter((number) => number <= last);
    for (const number of numbers) {
      try {
        await rm(join(this.#folder, partName(number)), { force: true });
      } catch (error) {
        throw unavailable(error);
      }
      this.#complete.delete(number);
    }
  }

  /** Lets go of the files. */
  close(): void {
    closeSync(this.#part.fd);
    if (this.#next !== undefined) closeSync(this.#next.fd);
  }

  /** Writes a record and room for others; on a disk without so much room, the record alone. */
  async #grow(record: Buffer, end: number): Promise<void> {
    const { fd } = this.#part;
    const withRoom = Buffer.concat([record, Buffer.alloc(GROWTH_BYTES)]);
    try {
      await writeLater(fd, withRoom, this.#at);
      this.#room = end + GROWTH_BYTES;
    } catch {
      await truncateLater(fd, this.#at);
      await writeLater(fd, record, this.#at);
      this.#room = end;
    }
  }

  /** How long the part before one is, in bytes, as that one says; undefined when it does not. */
  #formerOf(number: number): number | undefined {
    return readPart(firstBytes(join(this.#folder, partName(number))), undefined).former;
  }

  /** Puts fillers where a part is damaged, and keeps what was there. @returns what was done */
  #mend(name: string, damages: readonly Stretch[]): string {
    const path = join(this.#folder, name);
    const copy = join(this.#folder, `damaged-${name}`);
    try {
      const wasThere = existsSync(path);
      if (wasThere) copyFileSync(path, copy);
      const fd = openSync(path, MENDING_FLAGS, PART_MODE);
      for (const { at, bytes } of damages) writeSync(fd, frameFiller(bytes), 0, bytes, at);
      closeSync(fd);
      syncFolder(this.#folder);
      if (!this.#complete.has(numberOf(name))) this.#complete.set(numberOf(name), statSync(path).size);
      const kept = wasThere ? ` What was there is kept in ${copy}.` : "";
      return `Salvaged ${path}, without ${listStretches(damages)}.${kept}`;
    } catch (error) {
      throw unavailable(error);
    }
  }

  async #syncFolder(): Promise<void> {
    const folder = await openLater(this.#folder, "r");
    await syncLater(folder).finally(() => closeSync(folder));
  }
}

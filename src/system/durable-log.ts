/**
 * Records that survive a crash, kept in the order in which they came: appended to a file, and on the disk
 * when `append` returns.
 *
 * A database must write several pages and then the one that makes them count, and waits for the disk twice. A
 * record is written in one piece to where the file has room already, so there is one wait, and nothing but
 * the record to wait for. The price is that a log only grows: who keeps one moves its contents elsewhere now
 * and then, and forgets the files that they came from, which are called *parts*.
 *
 * ```
 * part    = record*, then zeros or nothing
 * record  = length of the body (4 bytes, little end first), CRC-32 of the body (4 bytes), body
 * ```
 *
 * A crash may leave the last record of a part by half: nobody was told that it is there, and reading ends
 * before it. Each start begins a part of its own.
 */
import { closeSync, fsync, fsyncSync, ftruncate, open, openSync, readdirSync, readFileSync } from "node:fs";
import { constants, statSync, unlinkSync, write } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { crc32 } from "node:zlib";
import { FirewallError } from "../base/index.ts";

// Byte offsets in the head of a record.
const LENGTH = 0;
const CHECKSUM = 4;
const HEAD_BYTES = 8;

const PART = /^log-(\d{10})$/;
const PART_DIGITS = 10;

/** A part grows by so much, in bytes: then a sync has no new length of the file to write down. */
const GROWTH_BYTES = 262_144;

/** Longest log, in bytes: what is appended behind it is refused until parts of it are forgotten. */
const LOG_MAX_BYTES = 1 << 30;

/** Each write returns when its bytes are on the disk. */
const { O_CREAT, O_DSYNC, O_TRUNC, O_WRONLY } = constants;
const PART_FLAGS = O_WRONLY | O_CREAT | O_TRUNC | O_DSYNC;
const PART_MODE = 0o600;

const openLater = promisify(open);
const syncLater = promisify(fsync);
const truncateLater = promisify(ftruncate);

function unavailable(cause: unknown): FirewallError {
  const words = cause instanceof Error ? cause.message : String(cause);
  return new FirewallError("JOURNAL_UNAVAILABLE", `Cannot write the journal: ${words}.`, { cause });
}

function partName(number: number): string {
  return `log-${String(number).padStart(PART_DIGITS, "0")}`;
}

function frame(body: string): Buffer {
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + Buffer.byteLength(body));
  bytes.write(body, HEAD_BYTES);
  bytes.writeUInt32LE(bytes.length - HEAD_BYTES, LENGTH);
  bytes.writeUInt32LE(crc32(bytes.subarray(HEAD_BYTES)), CHECKSUM);
  return bytes;
}

/** The records of a part, up to the first that is not whole. */
function* recordsOf(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at + HEAD_BYTES <= bytes.length; ) {
    const length = bytes.readUInt32LE(at + LENGTH);
    const body = bytes.subarray(at + HEAD_BYTES, at + HEAD_BYTES + length);
    if (length === 0 || body.length < length || bytes.readUInt32LE(at + CHECKSUM) !== crc32(body)) return;
    yield body;
    at += HEAD_BYTES + length;
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
  /** Lengths of the parts that are no longer written, in bytes, by their numbers. */
  readonly #complete: Map<number, number> = new Map();
  #part: Part;
  /** Made ready to be written next. */
  #next: Part | undefined;
  /** Where the next record begins, and up to where the file has room, in bytes. */
  #at = 0;
  #room = 0;

  private constructor(folder: string, maxBytes: number, complete: Map<number, number>, part: Part) {
    this.#folder = folder;
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
        const number = Number(PART.exec(name)?.[1] ?? 0);
        if (number === 0) continue;
        const { size } = statSync(join(folder, name));
        if (number > forgotten && size > 0) complete.set(number, size);
        else unlinkSync(join(folder, name));
      }
      const number = Math.max(forgotten, ...complete.keys()) + 1;
      const part = { number, fd: openSync(join(folder, partName(number)), PART_FLAGS, PART_MODE) };
      const directory = openSync(folder, "r");
      fsyncSync(directory);
      closeSync(directory);
      return new DurableLog(folder, maxBytes, complete, part);
    } catch (error) {
      throw unavailable(error);
    }
  }

  /** What former runs left, record by record. A record is to be used before the next is asked for. */
  *read(): Generator<Buffer> {
    const own = this.#part.number;
    for (const number of [...this.#complete.keys()].sort((a, b) => a - b)) {
      if (number < own) yield* recordsOf(readFileSync(join(this.#folder, partName(number))));
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
    const record = frame(body);
    const end = this.#at + record.length;
    const room = end <= this.#room ? this.#room : end + GROWTH_BYTES;
    const written = room > this.#room ? Buffer.concat([record, Buffer.alloc(GROWTH_BYTES)]) : record;
    try {
      await writeLater(this.#part.fd, written, this.#at);
    } catch (error) {
      // What is there by half, or whole and not certain, is not there.
      await truncateLater(this.#part.fd, this.#at).catch(() => undefined);
      this.#room = this.#at;
      throw unavailable(error);
    }
    this.#at = end;
    this.#room = room;
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

  async #syncFolder(): Promise<void> {
    const folder = await openLater(this.#folder, "r");
    await syncLater(folder).finally(() => closeSync(folder));
  }
}

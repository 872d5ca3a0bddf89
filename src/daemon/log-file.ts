/**
 * Files that a log is written to: one of a given name, or one for each day in a folder.
 *
 * The thesis fork names its files `<date>-logfile.log` and keeps 20 of them. Here the newest are kept, and a
 * firewall that runs over midnight begins the file of the new day. What has another name is never touched.
 */
import { closeSync, mkdirSync, openSync, readdirSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { fileFailure } from "../base/index.ts";

/** Files of a dated log that are kept, today's included. */
export const LOG_FILES_KEPT = 20;

const DATED_NAME = /^\d{4}-\d{2}-\d{2}-logfile\.log$/;

const FILE_MODE = 0o640;
const FOLDER_MODE = 0o750;

/** Takes the lines of a log. */
export interface LogFile {
  /**
   * Writes all of a text.
   *
   * @param text - whole lines
   * @param time - when they were logged
   * @throws {Error} when the system refuses; the next text may be taken again
   */
  write(text: string, time: Date): void;
  close(): void;
}

function writeAll(descriptor: number, text: string): void {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; ) at += writeSync(descriptor, bytes, at);
}

/** One file, truncated when it is opened, as PyWall's. */
export class SingleLogFile implements LogFile {
  readonly #descriptor: number;

  /** @throws {FirewallError} `LOG_FILE` when it cannot be opened */
  constructor(path: string) {
    try {
      this.#descriptor = openSync(path, "w", FILE_MODE);
    } catch (cause) {
      throw fileFailure("LOG_FILE", `cannot open the log file ${path}`, cause);
    }
  }

  write(text: string): void {
    writeAll(this.#descriptor, text);
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

/** Local date as ISO 8601 writes it: `2026-11-21`. */
export function isoDate(time: Date): string {
  const two = (value: number): string => String(value).padStart(2, "0");
  return `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`;
}

/** One file a day. A second start on the same day goes on in the file of the first. */
export class DatedLogFiles implements LogFile {
  readonly #folder: string;
  #date = "";
  #descriptor: number | undefined;

  /**
   * Makes the folder where there is none, and opens the file of the day.
   *
   * @param folder - holds the files
   * @param time - now
   * @throws {FirewallError} `LOG_FOLDER` when that is not possible
   */
  constructor(folder: string, time: Date) {
    this.#folder = folder;
    try {
      mkdirSync(folder, { recursive: true, mode: FOLDER_MODE });
      this.#begin(isoDate(time));
    } catch (cause) {
      throw fileFailure("LOG_FOLDER", `cannot write log files into ${folder}`, cause);
    }
  }

  write(text: string, time: Date): void {
    const date = isoDate(time);
    if (date !== this.#date) this.#begin(date);
    if (this.#descriptor !== undefined) writeAll(this.#descriptor, text);
  }

  close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
    this.#date = "";
  }

  #begin(date: string): void {
    this.close();
    this.#descriptor = openSync(join(this.#folder, `${date}-logfile.log`), "a", FILE_MODE);
    this.#date = date;
    // Dates of this form are in the order of time when they are in the order of the alphabet.
    const files = readdirSync(this.#folder).filter((name) => DATED_NAME.test(name));
    for (const name of files.sort().slice(0, -LOG_FILES_KEPT)) {
      rmSync(join(this.#folder, name), { force: true });
    }
  }
}

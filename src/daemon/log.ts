/**
 * The daemon's log: PyWall's line format `[time][LEVEL] message` for people, one JSON object a line for
 * programs.
 *
 * Lines go to standard error and, when asked for, to a file that is truncated at start (as PyWall opened it)
 * or to one of each day.
 */
import { DatedLogFiles, isoDate, type LogFile, SingleLogFile } from "./log-file.ts";

/** Levels from chatty to silent, with Python's names, as PyWall's `--log-level` takes them. */
export const LOG_LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] as const;

/** A level by its name. */
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Facts beside the message, for JSON lines; text lines show only the message. */
export type LogFacts = Readonly<Record<string, unknown>>;

/** How a log is written. */
export interface LogOptions {
  readonly level: LogLevel;
  /** File that gets every line too; truncated when the log is opened. */
  readonly file?: string;
  /** Folder that gets a file with every line for each day, in place of `file`; the newest are kept. */
  readonly folder?: string;
  /** One JSON object a line in place of text. */
  readonly json?: boolean;
  /** Where the lines for people go; standard error unless a test says otherwise. */
  readonly write?: (text: string) => unknown;
  /** Wall clock; the system's unless a test says otherwise. */
  readonly now?: () => Date;
}

/** Local time as Python's logging prints it: `2026-11-21 20:13:13,042`. */
function formatTime(time: Date): string {
  const two = (value: number): string => String(value).padStart(2, "0");
  const clock = `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
  return `${isoDate(time)} ${clock},${String(time.getMilliseconds()).padStart(3, "0")}`;
}

let isErrorHeard = false;

/** Nobody may read standard error any more; that is no reason to stop judging packets. */
function writeToStandardError(text: string): void {
  if (!isErrorHeard) process.stderr.on("error", () => undefined);
  isErrorHeard = true;
  process.stderr.write(text);
}

function openLogFile({ file, folder }: LogOptions, now: Date): LogFile | undefined {
  if (folder !== undefined) return new DatedLogFiles(folder, now);
  return file === undefined ? undefined : new SingleLogFile(file);
}

/** A log with a level. */
export class Log {
  readonly level: LogLevel;
  readonly #threshold: number;
  readonly #json: boolean;
  readonly #write: (text: string) => unknown;
  readonly #now: () => Date;
  #file: LogFile | undefined;
  /** Lines in a row that the file did not take. */
  #fileLost = 0;

  /** @throws {FirewallError} `LOG_FILE` or `LOG_FOLDER` when the file cannot be opened */
  constructor(options: LogOptions) {
    this.level = options.level;
    this.#threshold = LOG_LEVELS.indexOf(options.level);
    this.#json = options.json ?? false;
    this.#write = options.write ?? writeToStandardError;
    this.#now = options.now ?? (() => new Date());
    this.#file = openLogFile(options, this.#now());
  }

  /** True when lines of this level are written. */
  enabled(level: LogLevel): boolean {
    return LOG_LEVELS.indexOf(level) >= this.#threshold;
  }

  /** Writes one line, if its level is enabled. */
  log(level: LogLevel, message: string, facts: LogFacts = {}): void {
    if (!this.enabled(level)) return;
    const time = this.#now();
    const line = this.#json
      ? JSON.stringify({ time: time.toISOString(), level, message, ...facts })
      : `[${formatTime(time)}][${level}] ${message}`;
    this.#write(`${line}\n`);
    this.#writeToFile(`${line}\n`, time);
  }

  debug(message: string, facts?: LogFacts): void {
    this.log("DEBUG", message, facts);
  }

  info(message: string, facts?: LogFacts): void {
    this.log("INFO", message, facts);
  }

  warning(message: string, facts?: LogFacts): void {
    this.log("WARNING", message, facts);
  }

  error(message: string, facts?: LogFacts): void {
    this.log("ERROR", message, facts);
  }

  critical(message: string, facts?: LogFacts): void {
    this.log("CRITICAL", message, facts);
  }

  /** A file that cannot be written, on a full disk for instance, costs lines of the file and nothing else. */
  #writeToFile(text: string, time: Date): void {
    if (this.#file === undefined) return;
    try {
      this.#file.write(text, time);
      this.#fileLost = 0;
    } catch (error) {
      this.#fileLost += 1;
      const reason = error instanceof Error ? error.message : String(error);
      if (this.#fileLost === 1)
        this.#write(`the log file cannot be written, its lines are lost: ${reason}\n`);
    }
  }

  /** Closes the log file; standard error stays. */
  close(): void {
    this.#file?.close();
    this.#file = undefined;
  }
}

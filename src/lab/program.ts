/** A program that runs beside us: its output line by line, and a way to end it that always ends it. */
import type { ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import { FirewallError } from "../base/index.ts";

/** How a program ended. */
export interface ProgramEnd {
  /** Exit status; null when a signal ended the program. */
  readonly status: number | null;
  /** Name of the signal that ended the program; null when it exited. */
  readonly signal: NodeJS.Signals | null;
}

/** Longest output kept, in characters; what comes first is dropped first. */
const OUTPUT_CHARACTERS = 1_000_000;

/** How often a wait looks at the output, in milliseconds. */
const POLL_MS = 10;

/** How long a line or an end is waited for, unless the caller says otherwise, in milliseconds. */
const PATIENCE_MS = 30_000;

/** How long output is read after the program's end, in milliseconds, if others keep its pipes open. */
const LAST_WORDS_MS = 250;

/** A program started with `spawn`, with both output streams piped. */
export class RunningProgram {
  /** How it was started, for messages. */
  readonly title: string;
  /** Resolves when the program has ended and its output was read. */
  readonly ended: Promise<ProgramEnd>;
  #child: ChildProcess;
  #output = "";
  #end: ProgramEnd | undefined;

  /**
   * @param child - the process, with stdout and stderr as pipes
   * @param title - how it was started, for messages
   */
  constructor(child: ChildProcess, title: string) {
    this.#child = child;
    this.title = title;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.#output = (this.#output + text).slice(-OUTPUT_CHARACTERS);
      });
    }
    this.ended = new Promise((resolve) => {
      child.once("error", (error) => {
        this.#output += `${error.message}\n`;
        this.#end ??= { status: 127, signal: null };
        resolve(this.#end);
      });
      child.once("exit", (status, signal) => {
        this.#end ??= { status, signal };
        // A grandchild may hold the pipes open for ever.
        setTimeout(resolve, LAST_WORDS_MS, this.#end).unref();
      });
      child.once("close", (status, signal) => resolve(this.#end ?? { status, signal }));
    });
  }

  /** Process id; undefined when the program could not be started. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** What the program wrote to stdout and stderr so far, in the order of arrival. */
  get output(): string {
    return this.#output;
  }

  /** The complete lines of {@link RunningProgram.output}. */
  get lines(): string[] {
    return this.#output.split("\n").slice(0, -1);
  }

  /** False once the program has ended. */
  get isRunning(): boolean {
    return this.#end === undefined;
  }

  /**
   * Hands every complete line of output on, from here on, as it comes.
   *
   * @param listener - takes one line without its end
   */
  follow(listener: (line: string) => void): void {
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      if (stream !== null) createInterface({ input: stream }).on("line", listener);
    }
  }

  /**
   * Waits for a line of output.
   *
   * @param pattern - what the line must match
   * @param timeoutMs - how long to wait, in milliseconds
   * @returns the first line that matches
   * @throws {FirewallError} `PROGRAM_SILENT` when the time is over or the program ends first
   */
  async waitForLine(pattern: RegExp, timeoutMs = PATIENCE_MS): Promise<string> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const line = this.lines.find((candidate) => pattern.test(candidate));
      if (line !== undefined) return line;
      if (!this.isRunning || performance.now() > deadline) throw this.#silent(pattern);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  /**
   * Asks the program to end; kills it when it does not.
   *
   * @param signal - what to ask with
   * @param patienceMs - how long to wait before SIGKILL, in milliseconds
   * @returns how it ended
   */
  async stop(signal: NodeJS.Signals = "SIGTERM", patienceMs = PATIENCE_MS): Promise<ProgramEnd> {
    if (this.isRunning) this.kill(signal);
    const impatience = setTimeout(() => this.kill("SIGKILL"), patienceMs);
    const end = await this.ended;
    clearTimeout(impatience);
    return end;
  }

  /**
   * Sends a signal.
   *
   * @param signal - its name
   */
  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  #silent(pattern: RegExp): FirewallError {
    const why = this.isRunning ? "in time" : `before it ended with status ${this.#end?.status}`;
    return new FirewallError(
      "PROGRAM_SILENT",
      `${this.title} wrote no line like ${pattern} ${why}. Its output:\n${this.#output}`,
    );
  }
}

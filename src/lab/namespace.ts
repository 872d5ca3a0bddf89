/** One host of a laboratory: a network namespace with programs in it. */
import { spawn } from "node:child_process";
import { isIPv4, isIPv6 } from "node:net";
import { FirewallError } from "../base/index.ts";
import { type ProgramEnd, RunningProgram } from "./program.ts";
import { Traffic } from "./traffic.ts";

/** How long a program that shall end may run, unless the caller says otherwise, in milliseconds. */
const PATIENCE_MS = 60_000;

/** A program that has ended, and what it wrote. */
export interface FinishedProgram extends ProgramEnd {
  /** stdout and stderr in the order of arrival. */
  readonly output: string;
}

/** A network namespace in which programs run. */
export class Namespace {
  /** Name of the namespace on this machine, as `ip netns` knows it. */
  readonly fullName: string;
  /** All addresses, in the order of the plan. */
  readonly addresses: readonly string[];
  #programs: RunningProgram[] = [];
  #traffic: Traffic | undefined;

  /**
   * @param fullName - name of the namespace on this machine; it exists already
   * @param addresses - its addresses, without prefix lengths
   */
  constructor(fullName: string, addresses: readonly string[]) {
    this.fullName = fullName;
    this.addresses = addresses;
  }

  /** Its first IPv4 address; empty when it has none. */
  get ipv4(): string {
    return this.addresses.find((address) => isIPv4(address)) ?? "";
  }

  /** Its first IPv6 address; empty when it has none. */
  get ipv6(): string {
    return this.addresses.find((address) => isIPv6(address)) ?? "";
  }

  /** Sockets inside this namespace. */
  get traffic(): Traffic {
    this.#traffic ??= new Traffic(this.fullName);
    return this.#traffic;
  }

  /**
   * Starts a program and lets it run.
   *
   * @param command - the program and its arguments
   */
  start(command: readonly string[]): RunningProgram {
    const child = spawn("ip", ["netns", "exec", this.fullName, ...command], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    const program = new RunningProgram(child, command.join(" "));
    this.#programs.push(program);
    return program;
  }

  /**
   * Runs a program to its end.
   *
   * @param command - the program and its arguments
   * @param timeoutMs - after this time it is killed, in milliseconds
   * @returns how it ended, and its output
   */
  async run(command: readonly string[], timeoutMs = PATIENCE_MS): Promise<FinishedProgram> {
    const program = this.start(command);
    const timer = setTimeout(() => program.kill("SIGKILL"), timeoutMs);
    const end = await program.ended;
    clearTimeout(timer);
    return { ...end, output: program.output };
  }

  /**
   * Runs a program that has to succeed.
   *
   * @param command - the program and its arguments
   * @returns its output
   * @throws {FirewallError} `PROGRAM_FAILED` with its output when its exit status is not 0
   */
  async must(command: readonly string[]): Promise<string> {
    const { status, signal, output } = await this.run(command);
    if (status === 0) return output;
    throw new FirewallError("PROGRAM_FAILED", `${command.join(" ")}: ${signal ?? status}\n${output}`);
  }

  /** Ends every program that was started here. */
  async stopPrograms(): Promise<void> {
    const programs = this.#programs.splice(0);
    await Promise.all([
      ...programs.map((program) => program.stop("SIGTERM", 2_000)),
      this.#traffic?.close() ?? Promise.resolve(),
    ]);
    this.#traffic = undefined;
  }
}

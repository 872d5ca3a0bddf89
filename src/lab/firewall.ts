/** Starts Postern itself inside a namespace. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Namespace } from "./namespace.ts";
import type { RunningProgram } from "./program.ts";

/** The `postern` command of this build. */
export const POSTERN = fileURLToPath(new URL("../cli/main.js", import.meta.url));

/**
 * How the system starts the `postern` command, from its first line: the arguments of `env`, to which the file
 * is added.
 *
 * @returns the program that is named there, and all that stands behind it as one argument
 */
export function posternInterpreter(): readonly [program: string, argument: string] {
  const [, program = "", argument = ""] = /^#!(\S+) (.+)\n/.exec(readFileSync(POSTERN, "utf8")) ?? [];
  return [program, argument];
}

/** What `postern up` writes when it judges packets. */
const READY = /\bready\b/;

/** How long a start may take, in milliseconds: a second of processor time, on a machine that is busy. */
const PATIENCE_MS = 60_000;

/** How a firewall is started. */
export interface FirewallOptions {
  /** Path of a policy file, or the policy itself. */
  readonly policy: string | Readonly<Record<string, unknown>>;
  /** More arguments for `postern up`. */
  readonly words?: readonly string[];
  /** Arguments for Node, such as `--expose-gc`. */
  readonly nodeWords?: readonly string[];
  /** How long to wait until it is ready, in milliseconds; a minute when absent. */
  readonly patienceMs?: number;
}

/** A running firewall. */
export interface RunningFirewall {
  readonly program: RunningProgram;
  /** Path of its policy file. */
  readonly policyFile: string;
  /** Path of its control socket. */
  readonly socket: string;
  /**
   * Ends it and waits until it has undone what it set up.
   *
   * @param signal - SIGINT or SIGTERM: both end it in order; SIGKILL does not
   */
  readonly stop: (signal?: NodeJS.Signals) => Promise<void>;
}

/**
 * Starts `postern up` in a namespace and waits until it judges packets.
 *
 * @param host - where it runs
 * @param options - policy and arguments
 * @throws {FirewallError} `PROGRAM_SILENT` with its whole output when it does not become ready
 */
export async function startFirewall(host: Namespace, options: FirewallOptions): Promise<RunningFirewall> {
  const { policy, words = [], nodeWords = [], patienceMs = PATIENCE_MS } = options;
  const folder = mkdtempSync(join(tmpdir(), "postern-firewall-"));
  const policyFile = typeof policy === "string" ? policy : join(folder, "policy.json");
  if (typeof policy !== "string") writeFileSync(policyFile, JSON.stringify(policy, null, 2));
  const socket = join(folder, "control.sock");
  const start = [process.execPath, ...nodeWords, POSTERN, "up", policyFile, "--socket", socket];
  const program = host.start([...start, ...words]);
  void program.ended.then(() => rmSync(folder, { recursive: true, force: true }));
  await program.waitForLine(READY, patienceMs);
  const stop = async (signal: NodeJS.Signals = "SIGTERM"): Promise<void> => {
    await program.stop(signal);
  };
  return { program, policyFile, socket, stop };
}

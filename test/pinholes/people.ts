/** `postern pinholes` as people run it. */
import { spawn } from "node:child_process";
import { POSTERN } from "#lab";

/** What a command did. */
export interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `postern pinholes`, which must not block this process: the daemon is in it. */
export function runPinholes(socket: string, words: readonly string[], input = ""): Promise<Outcome> {
  const child = spawn(process.execPath, [POSTERN, "pinholes", ...words, "--socket", socket]);
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  child.stdin.end(input);
  return new Promise((resolve) => child.once("close", (status) => resolve({ status, stdout, stderr })));
}

/** Runs a program of the system to its end: for kernels' interfaces that have no other door. */
import { spawn } from "node:child_process";
import { FirewallError } from "../base/index.ts";

/**
 * Runs a program. It is started in the network namespace of the calling thread.
 *
 * @param command - the program and its arguments
 * @param input - what it reads
 * @returns what it wrote
 * @throws {FirewallError} `COMMAND_FAILED` with its complaint; `COMMAND_MISSING` when it is not installed
 */
export function runCommand(command: readonly string[], input = ""): Promise<string> {
  const [program = "", ...words] = command;
  return new Promise((resolve, reject) => {
    const child = spawn(program, words, { stdio: ["pipe", "pipe", "pipe"] });
    let output = "";
    let complaint = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      complaint += text;
    });
    // A program that ends before it has read everything says why on its other end.
    child.stdin.on("error", () => undefined);
    child.once("error", (cause) => {
      reject(new FirewallError("COMMAND_MISSING", `${program} cannot be run: ${cause.message}.`, { cause }));
    });
    child.once("close", (status, signal) => {
      if (status === 0) return resolve(output);
      const details = { command: command.join(" "), complaint };
      const message = `${command.join(" ")} (${signal ?? status}): ${complaint.trim()}`;
      reject(new FirewallError("COMMAND_FAILED", message, { details }));
    });
    child.stdin.end(input);
  });
}

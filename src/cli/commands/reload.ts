/** `postern reload`: another policy for the running firewall. */
import { resolve } from "node:path";
import type { Command } from "commander";
import { ApiError, connect, DEFAULT_SOCKET } from "../../client/index.ts";
import { EXIT } from "../exit.ts";
import { openOutput } from "../output.ts";
import { writeProblems } from "../problems.ts";

interface ReloadFlags {
  socket: string;
  json?: boolean;
}

async function reload(policyFile: string | undefined, flags: ReloadFlags): Promise<void> {
  const output = openOutput(flags);
  try {
    const file = policyFile === undefined ? undefined : resolve(policyFile);
    const { revision, warnings } = await connect({ socket: flags.socket }).reload(file);
    writeProblems(output, warnings);
    if (output.json) output.write(`${JSON.stringify({ revision })}\n`);
    else output.write(`policy revision ${revision} is in force\n`);
  } catch (error) {
    if (!(error instanceof ApiError) || error.problems.length === 0) throw error;
    writeProblems(output, error.problems);
    if (!output.json) output.write("the policy is not valid; the firewall goes on with the one it has\n");
    process.exitCode = EXIT.NO;
  }
}

/** Adds `postern reload`. */
export function addReloadCommand(program: Command): void {
  program
    .command("reload")
    .summary("put another policy in force without losing a packet or a flow")
    .description(
      "Makes the running firewall read its policy anew, or another. An invalid one changes nothing.",
    )
    .argument("[policy]", "the policy file; the one in force when absent")
    .option("--socket <path>", "path of the control socket", DEFAULT_SOCKET)
    .option("--json", "one JSON object a line")
    .action(reload);
}

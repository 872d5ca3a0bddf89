/** `postern limits`: how much of everything there may be, under pf's names. */
import type { Command } from "commander";
import { FirewallError } from "../../base/index.ts";
import { connect, DEFAULT_SOCKET, type LimitReport } from "../../client/index.ts";
import { alignTable, openOutput } from "../output.ts";

interface LimitFlags {
  socket: string;
  json?: boolean;
}

const CHANGE_WORDS = {
  now: "here, at once",
  reload: "in the policy, by a reload",
  start: "in the policy, by a start",
} as const;

const HEAD = ["limit", "value", "used", "of", "in a policy", "is changed"];

function row({ name, value, used, unit, setting, changes }: LimitReport): string[] {
  return [name, String(value), String(used ?? "?"), unit, `limits.${setting}`, CHANGE_WORDS[changes]];
}

/** `tables=50` as a name and a number. */
function parseChange(word: string): [string, number] {
  const [, name = "", value = ""] = /^([^=]+)=(\d+)$/.exec(word) ?? [];
  if (name === "") throw new FirewallError("USAGE", `${word}: a limit is set as name=number`);
  return [name, Number(value)];
}

async function limits(words: readonly string[], flags: LimitFlags): Promise<void> {
  const output = openOutput(flags);
  const client = connect({ socket: flags.socket });
  const changes = Object.fromEntries(words.map(parseChange));
  const all = words.length === 0 ? await client.getLimits() : await client.setLimits(changes);
  if (output.json) for (const limit of all) output.write(`${JSON.stringify(limit)}\n`);
  else output.write(alignTable([HEAD, ...all.map(row)], [1, 2]));
}

/** Adds `postern limits`. */
export function addLimitsCommand(program: Command): void {
  program
    .command("limits [name=number...]")
    .summary("show or change limits of the running firewall")
    .description(
      "Shows limits under pf's names, how much is used (of the fullest worker or table), and changes those that can " +
        "be changed meanwhile; a reload puts those of the policy in force again.",
    )
    .option("--socket <path>", "path of the control socket", DEFAULT_SOCKET)
    .option("--json", "one JSON object a line")
    .action(limits);
}

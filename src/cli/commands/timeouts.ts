/** `postern timeouts`: how long flows may be silent, under pf's names. */
import type { Command } from "commander";
import { FirewallError, SECOND, type TimeoutValues } from "../../base/index.ts";
import { connect, DEFAULT_SOCKET } from "../../client/index.ts";
import { PROFILES, profileTimeouts } from "../../state/index.ts";
import { pfProfile, pfTimeout, profileOf } from "../../view/index.ts";
import { alignTable, openOutput } from "../output.ts";

interface TimeoutFlags {
  socket: string;
  profile?: string;
  json?: boolean;
}

/** Milliseconds as pf shows timeouts; flows stay flows. */
function shown(name: string, value: number): string {
  return name.startsWith("adaptive.") ? `${value} states` : `${value / SECOND}s`;
}

/** What the words change: `tcp.established=3600 udp.first=10`, after a profile if one is named. */
function changes(words: readonly string[], profile: string | undefined): Partial<TimeoutValues> {
  let values: Partial<TimeoutValues> = profile === undefined ? {} : profileTimeouts(pfProfile(profile));
  for (const word of words) {
    const [, name = "", value = ""] = /^([^=]+)=(\d+(?:\.\d+)?)$/.exec(word) ?? [];
    if (name === "") throw new FirewallError("USAGE", `${word}: a timeout is set as name=number`);
    values = { ...values, ...pfTimeout(name, Number(value)) };
  }
  return values;
}

async function timeouts(words: readonly string[], flags: TimeoutFlags): Promise<void> {
  const output = openOutput(flags);
  const values = changes(words, flags.profile);
  const client = connect({ socket: flags.socket });
  const all =
    Object.keys(values).length === 0 ? await client.getTimeouts() : await client.setTimeouts(values);
  if (output.json) {
    output.write(`${JSON.stringify(all)}\n`);
    return;
  }
  output.write(
    alignTable(
      Object.entries(all).map(([name, value]) => [name, shown(name, value)]),
      [1],
    ),
  );
  const profile = profileOf(all);
  output.write(profile === undefined ? "no profile has these\n" : `profile ${profile}\n`);
}

/** Adds `postern timeouts`. */
export function addTimeoutsCommand(program: Command): void {
  program
    .command("timeouts [name=seconds...]")
    .summary("show or change timeouts of the running firewall")
    .description("Shows the timeouts of flows under pf's names, and changes those that are given.")
    .option("--profile <name>", `pf's optimisation profile: ${Object.keys(PROFILES).join(", ")}`)
    .option("--socket <path>", "path of the control socket", DEFAULT_SOCKET)
    .option("--json", "one JSON object, in milliseconds")
    .action(timeouts);
}

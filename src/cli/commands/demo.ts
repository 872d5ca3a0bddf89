/** `postern demo`: a firewall at work, on real traffic. */
import type { Command } from "commander";
import { FirewallError } from "../../base/index.ts";
import { laboratoryObstacle } from "../../lab/index.ts";
import { demonstrate } from "../demo/demonstration.ts";
import { EXIT } from "../exit.ts";
import { openOutput } from "../output.ts";

interface DemoFlags {
  json?: boolean;
}

async function demo(flags: DemoFlags): Promise<void> {
  const obstacle = laboratoryObstacle();
  if (obstacle !== undefined)
    throw new FirewallError("DEMO_IMPOSSIBLE", `the demonstration cannot run: ${obstacle}`);
  if (!(await demonstrate(openOutput({ ...flags, live: true })))) process.exitCode = EXIT.NO;
}

/** Adds `postern demo`. */
export function addDemoCommand(program: Command): void {
  program
    .command("demo")
    .summary("a firewall between two hosts, on real traffic")
    .description(
      "Makes a client, a firewall and a server in network namespaces of their own, sends real traffic, shows every " +
        "verdict, and ends with a table of what was expected and what happened. Leaves nothing behind.",
    )
    .option("--json", "one JSON object a line for each result")
    .action(demo);
}

/** `postern down`: what a crashed run left behind, removed. */
import { rmSync } from "node:fs";
import type { Command } from "commander";
import { DEFAULT_TABLE, removeLeftovers } from "../../backend/index.ts";
import { DEFAULT_SOCKET } from "../../client/index.ts";
import { openOutput } from "../output.ts";

interface DownFlags {
  table: string;
  socket: string;
  json?: boolean;
}

function down(flags: DownFlags): void {
  const removed = removeLeftovers(flags.table);
  rmSync(flags.socket, { force: true });
  const output = openOutput(flags);
  if (output.json) output.write(`${JSON.stringify({ table: flags.table, removed })}\n`);
  else if (removed) output.write(`Tore down nftables: table inet ${flags.table}\n`);
  else output.write(`There is no table inet ${flags.table}: nothing to remove.\n`);
}

/** Adds `postern down`. */
export function addDownCommand(program: Command): void {
  program
    .command("down")
    .summary("remove what a crashed run left behind")
    .description("Removes the nftables table and the control socket that a crashed run left behind.")
    .option("--table <name>", "name of the nftables table", DEFAULT_TABLE)
    .option("--socket <path>", "path of the control socket", DEFAULT_SOCKET)
    .option("--json", "one JSON object")
    .action(down);
}

/** `postern down`: what a crashed run left behind, removed. */
import { rmSync, statSync } from "node:fs";
import type { Command } from "commander";
import { DEFAULT_TABLE, removeLeftovers } from "../../backend/index.ts";
import { DEFAULT_SOCKET } from "../../client/index.ts";
import { OwnerLock, removePolicyPinholes } from "../../daemon/index.ts";
import { openOutput } from "../output.ts";
import { parseTableName } from "../table-name.ts";

interface DownFlags {
  table: string;
  socket: string;
  json?: boolean;
}

/** Removes a socket; a file of another kind is somebody else's. */
function removeSocket(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isSocket() === true) rmSync(path);
}

async function down(flags: DownFlags): Promise<void> {
  const lock = await OwnerLock.take(flags.table);
  let removed: boolean;
  try {
    const hadPinholes = removePolicyPinholes(flags.table);
    removed = removeLeftovers(flags.table) || hadPinholes;
    removeSocket(flags.socket);
  } finally {
    await lock.release();
  }
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
    .description(
      "Removes the nftables table and the control socket that a crashed run left behind. Refuses to take them from a " +
        "firewall that is running: end that one with SIGTERM.",
    )
    .option("--table <name>", "name of the nftables table", parseTableName, DEFAULT_TABLE)
    .option("--socket <path>", "path of the control socket", DEFAULT_SOCKET)
    .option("--json", "one JSON object")
    .action(down);
}

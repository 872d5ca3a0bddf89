/** `postern status`: what the running firewall is doing. */
import type { Command } from "commander";
import { connect, DEFAULT_SOCKET, type FirewallStatus, type WorkerStatus } from "../../client/index.ts";
import { statusLines } from "../../view/index.ts";
import { alignTable, openOutput } from "../output.ts";

interface StatusFlags {
  socket: string;
  json?: boolean;
  pf?: boolean;
}

function uptimeWords(seconds: number): string {
  const two = (value: number): string => String(value).padStart(2, "0");
  return `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
}

function workerRow(worker: WorkerStatus): string[] {
  const { kernel } = worker;
  const counts =
    kernel === undefined ? ["?", "?", "?"] : [kernel.waiting, kernel.queueDropped, kernel.userDropped];
  return [worker.queue, worker.flows, worker.restarts, ...counts].map(String);
}

function statusText(status: FirewallStatus): string {
  const head = alignTable([
    ["policy", `${status.policy.file} (revision ${status.policy.revision})`],
    ["up", uptimeWords(status.uptimeSeconds)],
    ["process", `${status.pid}, postern ${status.version}`],
    ["queue driver", status.driver],
    ["sealed flows", `${status.offloaded.active} at present, ${status.offloaded.total} in all`],
  ]);
  const counters = alignTable(
    Object.entries(status.counters).map(([name, value]) => [name, String(value)]),
    [1],
  );
  const columns = ["queue", "flows", "restarts", "waiting", "dropped: queue full", "dropped: buffer full"];
  const workers = alignTable([columns, ...status.workers.map(workerRow)], [0, 1, 2, 3, 4, 5]);
  return `${head}\n${counters}\n${workers}`;
}

async function showStatus(flags: StatusFlags): Promise<void> {
  const output = openOutput(flags);
  const status = await connect({ socket: flags.socket }).getStatus();
  if (output.json) output.write(`${JSON.stringify(flags.pf === true ? status.pf : status)}\n`);
  else if (flags.pf === true) for (const line of statusLines(status.pf)) output.write(`${line}\n`);
  else output.write(statusText(status));
}

/** Adds `postern status`. */
export function addStatusCommand(program: Command): void {
  program
    .command("status")
    .summary("what the running firewall is doing")
    .description("Shows policy, counters and queues of the running firewall.")
    .option("--pf", "the state table, counters and interfaces, as pfctl shows them")
    .option("--socket <path>", "path of the control socket", DEFAULT_SOCKET)
    .option("--json", "one JSON object")
    .action(showStatus);
}

/** `postern status`: what the running firewall is doing. */
import type { Command } from "commander";
import {
  connect,
  DEFAULT_SOCKET,
  type FirewallStatus,
  type QueueStatus,
  type RulesReport,
  type WorkerStatus,
} from "../../client/index.ts";
import { statusLines } from "../../view/index.ts";
import { alignTable, openOutput } from "../output.ts";

interface StatusFlags {
  socket: string;
  json?: boolean;
  pf?: boolean;
  rules?: boolean;
}

function uptimeWords(seconds: number): string {
  const two = (value: number): string => String(value).padStart(2, "0");
  return `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
}

function waitWords(milliseconds: number | null): string {
  return milliseconds === null ? "-" : milliseconds.toFixed(2);
}

function queueRow(worker: number, { class: of, queue, kernel, wait }: QueueStatus): string[] {
  const counts =
    kernel === undefined
      ? ["?", "?", "?", "?"]
      : [kernel.queued, kernel.waiting, kernel.queueDropped, kernel.userDropped];
  return [worker, queue, of, ...counts, waitWords(wait.p50Ms), waitWords(wait.p99Ms)].map(String);
}

const QUEUE_COLUMNS = [
  "worker",
  "queue",
  "class",
  "packets",
  "waiting",
  "dropped: queue full",
  "dropped: buffer full",
  "wait ms: half",
  "99 %",
];

function workersText(workers: readonly WorkerStatus[]): string {
  const rows = workers.map(({ worker, flows, restarts, isPressed }) =>
    [worker, flows, restarts, isPressed ? "since packets wait too long" : "no"].map(String),
  );
  const queues = workers.flatMap((each) => each.queues.map((queue) => queueRow(each.worker, queue)));
  return `${alignTable([["worker", "flows", "restarts", "seals early"], ...rows], [0, 1, 2])}\n${alignTable(
    [QUEUE_COLUMNS, ...queues],
    [0, 1, 3, 4, 5, 6, 7, 8],
  )}`;
}

function statusText(status: FirewallStatus): string {
  const head = alignTable([
    ["policy", `${status.policy.file} (revision ${status.policy.revision})`],
    ["up", uptimeWords(status.uptimeSeconds)],
    ["process", `${status.pid}, postern ${status.version}`],
    ["queue driver", status.driver],
    [
      "sealed flows",
      `${status.offloaded.active} at present, ${status.offloaded.total} in all, ${status.offloaded.early} of them early`,
    ],
  ]);
  const counters = alignTable(
    Object.entries(status.counters).map(([name, value]) => [name, String(value)]),
    [1],
  );
  return `${head}\n${counters}\n${workersText(status.workers)}`;
}

/** Rules with what they have judged, and below what the kernel judged by itself. */
function rulesText({ kernel, kernelJudges, rules }: RulesReport): string {
  const head = [
    "chain",
    "rule",
    "line",
    "kind",
    "judged in",
    "packets: kernel",
    "bytes: kernel",
    "packets: userspace",
  ];
  const rows = rules.map((row) => [
    row.chain,
    row.rule === null ? "end" : String(row.rule),
    row.line === null ? "" : String(row.line),
    row.name,
    row.place,
    String(row.kernel.packets),
    String(row.kernel.bytes),
    row.rule === null ? "" : String(row.userspacePackets),
  ]);
  const verdicts = Object.entries(kernel).map(([verdict, { packets }]) => `${packets} ${verdict}`);
  const words = kernelJudges
    ? `The kernel has judged by itself: ${verdicts.join(", ")}.`
    : "Every packet is judged in userspace.";
  return `${alignTable([head, ...rows], [1, 2, 5, 6, 7])}\n${words}\n`;
}

async function showStatus(flags: StatusFlags): Promise<void> {
  const output = openOutput(flags);
  if (flags.rules === true) {
    const report = await connect({ socket: flags.socket }).getRules();
    output.write(output.json ? `${JSON.stringify(report)}\n` : rulesText(report));
    return;
  }
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
    .option("--rules", "each rule of the policy: where it is judged, and what met it")
    .option("--socket <path>", "path of the control socket", DEFAULT_SOCKET)
    .option("--json", "one JSON object")
    .action(showStatus);
}

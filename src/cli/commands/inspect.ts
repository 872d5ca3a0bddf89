/** `postern inspect`: which protocols does that traffic speak? */
import type { Command } from "commander";
import { defaultLimits } from "../../base/index.ts";
import { loadRecognisers } from "../../daemon/index.ts";
import { type FlowReport, Inspector } from "../../inspect/index.ts";
import { decodeRecord, isLinkTypeKnown, Packet } from "../../wire/index.ts";
import { readCapture } from "../capture-file.ts";
import { openOutput, type Output, paint } from "../output.ts";

function writeFlow(output: Output, report: FlowReport): void {
  if (output.json) {
    output.write(`${JSON.stringify(report)}\n`);
    return;
  }
  const { flow, l4, client, server, protocol, confidence, layers } = report;
  const name = protocol === null ? "unknown" : (layers?.join(" > ") ?? protocol);
  const sure = protocol === null || confidence === "certain" ? "" : ` (${confidence})`;
  const colour = report.encrypted ? "green" : "yellow";
  const known = [report.serverName, report.clientSoftware, report.serverSoftware, report.kind];
  const details = known.filter((value) => value !== undefined).join(", ");
  const words = `${paint(output, protocol === null ? "grey" : colour, name)}${sure}  ${details}`;
  output.write(`${String(flow).padStart(6)}  ${l4.padEnd(4)}  ${client} > ${server}  ${words.trimEnd()}\n`);
}

function reportFailure(protocol: string, error: unknown, isOff: boolean): void {
  const end = isOff ? "; it is asked no more" : "";
  process.stderr.write(`the recogniser of ${protocol} failed: ${String(error)}${end}\n`);
}

function addModule(file: string, before: readonly string[] = []): string[] {
  return [...before, file];
}

async function inspect(capture: string, flags: { json?: boolean; module?: string[] }): Promise<void> {
  const output = openOutput({ json: flags.json, jsonWhenPiped: true });
  const limits = defaultLimits();
  const onFlow = (report: FlowReport): void => writeFlow(output, report);
  const own = await loadRecognisers(flags.module ?? []);
  const inspector = new Inspector({ limits, onFlow, own, failed: reportFailure });
  const packet = new Packet();
  const unread = new Map<number, number>();
  try {
    await readCapture(capture, limits, (record) => {
      const { linkType } = record;
      if (decodeRecord(packet, record)) inspector.push(packet, record.timestampMs);
      else if (!isLinkTypeKnown(linkType)) unread.set(linkType, (unread.get(linkType) ?? 0) + 1);
    });
  } finally {
    // What stands before a place that cannot be read is still worth a word.
    for (const report of inspector.finish()) writeFlow(output, report);
    for (const [linkType, packets] of unread) {
      process.stderr.write(`${packets} packets passed over: link type ${linkType} is not read\n`);
    }
  }
}

/** Adds `postern inspect`. */
export function addInspectCommand(program: Command): void {
  program
    .command("inspect")
    .summary("recognise the protocols of a capture")
    .description(
      "Puts the streams of a pcap or pcapng in order and says of each flow which protocol it speaks, on any port; " +
        "needs no root and no kernel. One JSON object a line unless a person looks on; fields that are not known are " +
        "left out.",
    )
    .argument("<capture>", "a pcap or pcapng file")
    .option("--module <file>", "a module with recognisers of your own; may be repeated", addModule)
    .option("--json", "one JSON object a line, also for a person")
    .action(inspect);
}

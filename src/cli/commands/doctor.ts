/** `postern doctor`: what can this machine do for the firewall, and what is missing? */
import type { Command } from "commander";
import { type KernelReport, PROBES, type ProbeName, probeKernel } from "../../backend/index.ts";
import { EXIT } from "../exit.ts";
import { alignTable, openOutput, type Output, paint } from "../output.ts";

interface DoctorFlags {
  json?: boolean;
}

/** Without these no firewall runs; the others are used where they are. */
const NEEDED: readonly ProbeName[] = ["queue", "nftables", "reject", "rules"];

function isFit(report: KernelReport): boolean {
  return report.queueExpression !== undefined && NEEDED.every((name) => report.findings[name].available);
}

function findingRow(output: Output, report: KernelReport, name: ProbeName): string[] {
  const { available, detail } = report.findings[name];
  const missing = NEEDED.includes(name) ? paint(output, "red", "missing") : paint(output, "yellow", "absent");
  return [available ? paint(output, "green", "ok") : missing, PROBES[name], detail];
}

function reportText(output: Output, report: KernelReport): string {
  const names = Object.keys(PROBES) as ProbeName[];
  const rows = alignTable(names.map((name) => findingRow(output, report, name)));
  const driver = { queue: "nftables' queue statement", target: "the NFQUEUE target in an nftables table" };
  const way = report.queueExpression === undefined ? "no way" : driver[report.queueExpression];
  const fit = isFit(report)
    ? paint(output, "green", "This machine can run the firewall.")
    : paint(output, "red", "This machine cannot run the firewall.");
  const capabilities = report.capabilities.join(", ") || "none of those that matter";
  return `kernel ${report.release}, Node ${process.versions.node}\ncapabilities: ${capabilities}\n${rows}packets come up by ${way}\n${fit}\n`;
}

function doctor(flags: DoctorFlags): void {
  const output = openOutput(flags);
  const report = probeKernel();
  output.write(
    output.json ? `${JSON.stringify({ fit: isFit(report), ...report })}\n` : reportText(output, report),
  );
  if (!isFit(report)) process.exitCode = EXIT.NO;
}

/** Adds `postern doctor`. */
export function addDoctorCommand(program: Command): void {
  program
    .command("doctor")
    .summary("what this machine can do")
    .description(
      "Tries everything the firewall needs of the kernel, in a network namespace that vanishes. Exit status 1 when " +
        "something that it cannot do without is missing.",
    )
    .option("--json", "one JSON object")
    .action(doctor);
}

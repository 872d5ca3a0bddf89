/** The live view: the firewall's own JSON log, one short coloured line a verdict. */
import { type Output, paint } from "../output.ts";

/** The part of a verdict's log line that is shown. */
interface VerdictLine {
  readonly event: string;
  readonly verdict: string;
  readonly hook: string;
  readonly chain: string | null;
  readonly rule: number | null;
  readonly source: string;
  readonly destination: string;
  readonly protocol: number;
}

const PROTOCOLS: Readonly<Record<number, string>> = { 1: "ICMP", 6: "TCP", 17: "UDP", 58: "ICMPv6" };

function readLine(text: string): VerdictLine | undefined {
  try {
    return JSON.parse(text) as VerdictLine;
  } catch {
    return undefined;
  }
}

/**
 * One line of the firewall's log as the live view shows it.
 *
 * @returns `undefined` for lines that are no verdict
 */
export function verdictText(output: Output, line: string): string | undefined {
  const found = readLine(line);
  if (found?.event !== "verdict") return undefined;
  const { verdict, hook, chain, rule, source, destination, protocol } = found;
  const by = rule === null ? "" : `  (${chain} rule ${rule})`;
  const name = PROTOCOLS[protocol] ?? String(protocol);
  const words = `${hook.padEnd(7)} ${name.padEnd(6)} ${source} > ${destination}${by}`;
  const colour = verdict === "ACCEPT" ? "green" : "red";
  return `    ${paint(output, colour, verdict.padEnd(6))} ${paint(output, "grey", words)}\n`;
}

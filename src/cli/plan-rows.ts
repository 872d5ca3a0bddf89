/** Where each rule of a policy is judged, as rows for people and for programs. */
import { type Place, planPolicy } from "../backend/index.ts";
import { allocateMemory, type Policy } from "../policy/index.ts";
import { alignTable, type Output } from "./output.ts";

/** A rule of a policy, or the end of a chain, and where it is judged. */
interface PlanRow {
  readonly chain: string;
  /** Index in the chain, `null` for its end. */
  readonly rule: number | null;
  /** Kind of the rule, `default` for the end of a chain. */
  readonly name: string;
  /** Line in the file, `null` for the end of a chain. */
  readonly line: number | null;
  readonly place: Place;
  readonly reasons: readonly string[];
}

function planRows(policy: Policy): PlanRow[] {
  return planPolicy(policy, allocateMemory(policy)).places.map(({ chain, rule, place, reasons }) => {
    const { name, rules } = policy.chains[chain] ?? { name: "", rules: [] };
    const row = rules[rule];
    const which =
      row === undefined
        ? { rule: null, name: "default", line: null }
        : { rule, name: row.name, line: row.line };
    return { chain: name, ...which, place, reasons };
  });
}

/** The plan as a table. */
export function planTable(policy: Policy): string {
  const head = ["chain", "rule", "line", "kind", "judged in", "why not only in the kernel"];
  const rows = planRows(policy).map(({ chain, rule, line, name, place, reasons }) => [
    chain,
    rule === null ? "end" : String(rule),
    line === null ? "" : String(line),
    name,
    place,
    reasons.join("; "),
  ]);
  const notes =
    policy.settings.offload === "none"
      ? ["settings.offload is none: every packet goes to userspace all the same."]
      : [
          "Fragments, IPv6 packets with extension headers and malformed packets always go to userspace. With a log",
          "level of DEBUG every packet does, with INFO a thousand a second of those that are dropped or rejected.",
        ];
  return `\n${alignTable([head, ...rows], [1, 2])}\n${notes.join("\n")}\n`;
}

/** The plan, one JSON object a line. */
export function writePlan(output: Output, policy: Policy): void {
  for (const row of planRows(policy)) output.write(`${JSON.stringify({ kind: "plan", ...row })}\n`);
}

/** Findings about policies, for people and programs. */
import type { ProblemReport } from "../client/index.ts";
import { type Output, paint } from "./output.ts";

/** `policy.json:4:7: error: … ($.INPUT[0].action)`, the severity in colour. */
function problemLine(output: Output, problem: ProblemReport): string {
  const { file, line, column, severity, message, path } = problem;
  const colour = severity === "error" ? "red" : "yellow";
  return `${file}:${line}:${column}: ${paint(output, colour, severity)}: ${message} (${path})\n`;
}

/** Writes findings, one a line. */
export function writeProblems(output: Output, problems: readonly ProblemReport[]): void {
  for (const problem of problems) {
    output.write(output.json ? `${JSON.stringify(problem)}\n` : problemLine(output, problem));
  }
}

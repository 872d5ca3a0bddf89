/** `postern check`: is this policy valid? */
import type { Command } from "commander";
import { compileSource, readPolicySource, readTables } from "../../daemon/index.ts";
import { countNoun } from "../../policy/index.ts";
import { planTable, writePlan } from "../plan-rows.ts";
import { EXIT } from "../exit.ts";
import { openOutput, paint } from "../output.ts";
import { writeProblems } from "../problems.ts";

interface CheckFlags {
  json?: boolean;
  plan?: boolean;
}

async function check(policyFile: string, flags: CheckFlags): Promise<void> {
  const output = openOutput(flags);
  const source = readPolicySource(policyFile);
  const compiled = await compileSource(source);
  const inTables = compiled.policy === undefined ? [] : readTables(compiled.policy).problems;
  const policy = inTables.length === 0 ? compiled.policy : undefined;
  const problems = [...compiled.problems, ...inTables];
  writeProblems(
    output,
    problems.map((problem) => (problem.file === source.file ? { ...problem, file: policyFile } : problem)),
  );
  if (policy === undefined) process.exitCode = EXIT.NO;
  if (output.json) {
    if (policy !== undefined && flags.plan === true) writePlan(output, policy);
    return;
  }
  const errors = problems.filter((problem) => problem.severity === "error").length;
  const counts = `${countNoun(errors, "error")}, ${countNoun(problems.length - errors, "warning")}`;
  if (policy === undefined) output.write(`${paint(output, "red", "invalid")}: ${counts}\n`);
  else output.write(`${paint(output, "green", "valid")}: ${counts}\n`);
  if (policy !== undefined && flags.plan === true) output.write(planTable(policy));
}

/** Adds `postern check`. */
export function addCheckCommand(program: Command): void {
  program
    .command("check")
    .summary("validate a policy")
    .description(
      "Validates a policy and names everything that is wrong with it, with file, line, column and JSON path, and " +
        "every rule that PyWall would have treated otherwise. Exit status 1 when it is not valid.",
    )
    .argument("<policy>", "the policy file")
    .option("--plan", "show for each rule whether the kernel judges by it, and if not, why")
    .option("--json", "one JSON object a line for each finding, and with --plan for each rule")
    .action(check);
}

/** The `postern` command: which commands there are, and how their failures become exit statuses. */
import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { FirewallError } from "../base/index.ts";
import { PinholeError } from "../client/index.ts";
import { addBenchCommand } from "./commands/bench.ts";
import { addCheckCommand } from "./commands/check.ts";
import { addClassifyCommand } from "./commands/classify.ts";
import { addDemoCommand } from "./commands/demo.ts";
import { addDoctorCommand } from "./commands/doctor.ts";
import { addDownCommand } from "./commands/down.ts";
import { addExplainCommand } from "./commands/explain.ts";
import { addInspectCommand } from "./commands/inspect.ts";
import { addLimitsCommand } from "./commands/limits.ts";
import { addPinholdCommand } from "./commands/pinhold.ts";
import { addPinholesCommand } from "./commands/pinholes.ts";
import { addReloadCommand } from "./commands/reload.ts";
import { addReplayCommand } from "./commands/replay.ts";
import { addSchemaCommand } from "./commands/schema.ts";
import { addSimcoCommand } from "./commands/simco.ts";
import { addStatesCommand } from "./commands/states.ts";
import { addStatusCommand } from "./commands/status.ts";
import { addTablesCommand } from "./commands/tables.ts";
import { addTimeoutsCommand } from "./commands/timeouts.ts";
import { addUpCommand } from "./commands/up.ts";
import { EXIT } from "./exit.ts";

/** Failures by code whose exit status is not "the system refused". */
const STATUS_BY_CODE: Readonly<Record<string, number>> = {
  POLICY_INVALID: EXIT.NO,
  PACKET_WORDS: EXIT.USAGE,
  FLOW_AMBIGUOUS: EXIT.USAGE,
  FLOW_UNKNOWN: EXIT.NO,
  USAGE: EXIT.USAGE,
  TABLE_NAME_INVALID: EXIT.USAGE,
  FILTER_INVALID: EXIT.USAGE,
  TIMEOUT_INVALID: EXIT.USAGE,
  TIMEOUT_UNKNOWN: EXIT.USAGE,
  PROFILE_UNKNOWN: EXIT.USAGE,
  STATE_GONE: EXIT.NO,
  SIMCO_ENDS: EXIT.USAGE,
  SIMCO_REFUSED: EXIT.NO,
  SIMCO_UNSUPPORTED: EXIT.NO,
  TABLE_UNKNOWN: EXIT.USAGE,
  TABLE_NAME: EXIT.USAGE,
  TABLE_CAPACITY: EXIT.USAGE,
  TABLE_ENTRY: EXIT.USAGE,
  LIMIT_UNKNOWN: EXIT.USAGE,
  LIMIT_INVALID: EXIT.USAGE,
};

/** What became of a request about pinholes, by its HTTP status. */
const STATUS_BY_PROBLEM: Readonly<Record<number, number>> = {
  400: EXIT.USAGE,
  404: EXIT.NO,
  409: EXIT.NO,
  412: EXIT.NO,
  422: EXIT.USAGE,
};

/** What was refused, and where, in one line. */
function pinholeRefusalText({ message, problem }: PinholeError): string {
  const { operation, conflicts = [], code } = problem;
  const place = operation === undefined ? "" : `operation ${operation}: `;
  const against = conflicts.length === 0 ? "" : ` (${conflicts.join(", ")})`;
  return `${place}${message}${against} [${code}]`;
}

function version(): string {
  const file = new URL("../../package.json", import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}

/** Builds the command line. */
export function createProgram(): Command {
  const program = new Command("postern")
    .description("A programmable, stateful, application-aware firewall for Linux")
    .version(version())
    .exitOverride()
    .showHelpAfterError("(postern --help shows all commands)")
    .addHelpText(
      "after",
      "\nExit status: 0 done, 1 the answer is no (policy invalid, self-test failed), 2 wrong usage, 3 the system refused.",
    );
  addUpCommand(program);
  addDownCommand(program);
  addReloadCommand(program);
  addStatusCommand(program);
  addStatesCommand(program);
  addTablesCommand(program);
  addTimeoutsCommand(program);
  addLimitsCommand(program);
  addPinholdCommand(program);
  addPinholesCommand(program);
  addSimcoCommand(program);
  addCheckCommand(program);
  addReplayCommand(program);
  addExplainCommand(program);
  addInspectCommand(program);
  addClassifyCommand(program);
  addSchemaCommand(program);
  addDoctorCommand(program);
  addDemoCommand(program);
  addBenchCommand(program);
  return program;
}

/** Says what went wrong and which exit status that is. */
function reportFailure(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.DONE : EXIT.USAGE;
  if (error instanceof PinholeError) {
    process.stderr.write(`postern: ${pinholeRefusalText(error)}\n`);
    return STATUS_BY_PROBLEM[error.problem.status] ?? EXIT.REFUSED;
  }
  if (error instanceof FirewallError) {
    process.stderr.write(`postern: ${error.message}\n`);
    return STATUS_BY_CODE[error.code] ?? EXIT.REFUSED;
  }
  const system = error as NodeJS.ErrnoException;
  if (system.code !== undefined && system.syscall !== undefined) {
    process.stderr.write(`postern: ${system.message}\n`);
    return EXIT.REFUSED;
  }
  throw error;
}

/**
 * Runs one command line.
 *
 * @param argv - as in `process.argv`
 * @returns the exit status
 */
export async function runCommandLine(argv: readonly string[]): Promise<number> {
  try {
    await createProgram().parseAsync(argv);
    return typeof process.exitCode === "number" ? process.exitCode : EXIT.DONE;
  } catch (error) {
    return reportFailure(error);
  }
}

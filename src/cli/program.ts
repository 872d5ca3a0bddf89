/** The `postern` command: which commands there are, and how their failures become exit statuses. */
import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { FirewallError } from "../base/index.ts";
import { PinholeError } from "../client/pinhole-connection.ts";
import { EXIT } from "./exit.ts";

/**
 * How each command comes into the program. A module is read for its command alone: a firewall runs for
 * months.
 */
const COMMANDS: ReadonlyMap<string, () => Promise<(program: Command) => void>> = new Map(
  Object.entries({
    up: async () => (await import("./commands/up.ts")).addUpCommand,
    down: async () => (await import("./commands/down.ts")).addDownCommand,
    reload: async () => (await import("./commands/reload.ts")).addReloadCommand,
    status: async () => (await import("./commands/status.ts")).addStatusCommand,
    states: async () => (await import("./commands/states.ts")).addStatesCommand,
    tables: async () => (await import("./commands/tables.ts")).addTablesCommand,
    timeouts: async () => (await import("./commands/timeouts.ts")).addTimeoutsCommand,
    limits: async () => (await import("./commands/limits.ts")).addLimitsCommand,
    pinhold: async () => (await import("./commands/pinhold.ts")).addPinholdCommand,
    pinholes: async () => (await import("./commands/pinholes.ts")).addPinholesCommand,
    simco: async () => (await import("./commands/simco.ts")).addSimcoCommand,
    check: async () => (await import("./commands/check.ts")).addCheckCommand,
    replay: async () => (await import("./commands/replay.ts")).addReplayCommand,
    explain: async () => (await import("./commands/explain.ts")).addExplainCommand,
    inspect: async () => (await import("./commands/inspect.ts")).addInspectCommand,
    classify: async () => (await import("./commands/classify.ts")).addClassifyCommand,
    schema: async () => (await import("./commands/schema.ts")).addSchemaCommand,
    doctor: async () => (await import("./commands/doctor.ts")).addDoctorCommand,
    demo: async () => (await import("./commands/demo.ts")).addDemoCommand,
    bench: async () => (await import("./commands/bench.ts")).addBenchCommand,
  }),
);

/** Failures by code whose exit status is not "the system refused". */
const STATUS_BY_CODE: Readonly<Record<string, number>> = {
  POLICY_INVALID: EXIT.NO,
  PACKET_WORDS: EXIT.USAGE,
  FLOW_AMBIGUOUS: EXIT.USAGE,
  FLOW_UNKNOWN: EXIT.NO,
  USAGE: EXIT.USAGE,
  TABLE_NAME_INVALID: EXIT.USAGE,
  CHAIN_NAME_INVALID: EXIT.USAGE,
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

/** Lets the complaint about a wrong command line end with where the right one is written. */
function pointToHelp(command: Command, path: string): void {
  command.showHelpAfterError(`(${path} --help says what there is)`);
  for (const inner of command.commands) pointToHelp(inner, `${path} ${inner.name()}`);
}

/**
 * Builds the command line.
 *
 * @param name - the command that is asked for; any other word brings all of them
 */
async function createProgram(name?: string): Promise<Command> {
  const wanted = COMMANDS.get(name ?? "");
  const modules = wanted === undefined ? [...COMMANDS.values()] : [wanted];
  const adders = await Promise.all(modules.map((read) => read()));
  const program = new Command("postern")
    .description("A programmable, stateful, application-aware firewall for Linux")
    .version(version())
    .exitOverride()
    .addHelpText(
      "after",
      "\nExit status: 0 done, 1 the answer is no (policy invalid, self-test failed), 2 wrong usage, 3 the system refused.",
    );
  for (const add of adders) add(program);
  pointToHelp(program, "postern");
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
    const program = await createProgram(argv[2]);
    await program.parseAsync(argv);
    return typeof process.exitCode === "number" ? process.exitCode : EXIT.DONE;
  } catch (error) {
    return reportFailure(error);
  }
}

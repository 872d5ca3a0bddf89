/** `postern up`: the firewall in the foreground. */
import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import { FirewallError } from "../../base/index.ts";
import { DEFAULT_SOCKET } from "../../client/index.ts";
import {
  Firewall,
  LOG_LEVELS,
  Log,
  type LogLevel,
  loadPolicy,
  readPolicySource,
} from "../../daemon/index.ts";
import { resolveGroup } from "../../system/index.ts";
import { parseTableName } from "../table-name.ts";

interface UpFlags {
  logLevel: LogLevel;
  logFile?: string;
  logDir?: string;
  logJson?: boolean;
  socket: string;
  socketMode: number;
  socketGroup?: string;
  table?: string;
  firstQueue: number;
}

function parseMode(text: string): number {
  if (!/^[0-7]{3,4}$/.test(text)) throw new InvalidArgumentError("It takes an octal mode such as 660.");
  return Number.parseInt(text, 8);
}

const HIGHEST_QUEUE = 65_535;
/** Most workers that a policy can ask for. */
const WORKERS_MAX = 256;

function parseQueue(text: string): number {
  const queue = Number(text);
  if (!/^\d+$/.test(text) || queue > HIGHEST_QUEUE)
    throw new InvalidArgumentError("It takes a number from 0 to 65535.");
  return queue;
}

/** Each worker takes a queue of its own, so the last one must have a number too. */
async function checkQueues(policyFile: string, firstQueue: number): Promise<void> {
  if (firstQueue + WORKERS_MAX - 1 <= HIGHEST_QUEUE) return;
  const { policy } = await loadPolicy(readPolicySource(policyFile));
  const workers = policy.settings.workers ?? availableParallelism();
  if (firstQueue + workers - 1 <= HIGHEST_QUEUE) return;
  const highest = HIGHEST_QUEUE - workers + 1;
  const message = `--first-queue ${firstQueue} leaves no queue for each of ${workers} workers: at most ${highest}`;
  throw new FirewallError("USAGE", message);
}

function groupId(name: string): number {
  const id = resolveGroup(name);
  if (id === undefined) throw new FirewallError("USAGE", `there is no group "${name}"`);
  return id;
}

/** Resolves with the name of the signal that asks the firewall to end. */
function untilSignal(): Promise<string> {
  return new Promise((done) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => done(signal));
  });
}

async function reloadAndReport(firewall: Firewall, log: Log): Promise<void> {
  try {
    await firewall.reload();
  } catch (error) {
    log.error(`the policy stays as it is: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Prints lines of rules while somebody reads them. */
function createPrinter(): (line: string) => void {
  let read = true;
  process.stdout.removeAllListeners("error");
  process.stdout.on("error", () => {
    read = false;
  });
  return (line) => {
    if (read) process.stdout.write(`${line}\n`);
  };
}

function openLog(flags: UpFlags): Log {
  const { logLevel, logJson = false, logFile, logDir } = flags;
  const file = logFile === undefined ? {} : { file: logFile };
  const folder = logDir === undefined ? {} : { folder: logDir };
  return new Log({ level: logLevel, json: logJson, ...file, ...folder });
}

async function up(policyFile: string, flags: UpFlags): Promise<void> {
  await checkQueues(policyFile, flags.firstQueue);
  const log = openLog(flags);
  const group = flags.socketGroup === undefined ? {} : { groupId: groupId(flags.socketGroup) };
  const running: { firewall?: Firewall } = {};
  // A SIGHUP that comes before there is anything to reload asks for what is being done anyway.
  process.on("SIGHUP", () => {
    if (running.firewall !== undefined) void reloadAndReport(running.firewall, log);
  });
  const stopped = untilSignal();
  const firewall = await Firewall.start({
    policyFile,
    log,
    print: createPrinter(),
    control: { path: resolve(flags.socket), mode: flags.socketMode, ...group },
    firstQueue: flags.firstQueue,
    ...(flags.table === undefined ? {} : { table: flags.table }),
  });
  running.firewall = firewall;
  log.info("ready");
  const reason = await Promise.race([stopped, firewall.failed]);
  if (reason instanceof Error) {
    log.critical(`stopping: ${reason.message}`);
    await firewall.stop(firewall.failsClosed);
    log.close();
    throw reason;
  }
  log.info(`stopping on ${reason}`);
  await firewall.stop();
  log.close();
}

/** Adds `postern up`. */
export function addUpCommand(program: Command): void {
  program
    .command("up")
    .summary("run the firewall in the foreground")
    .description(
      "Runs the firewall in the network namespace it is started in, until SIGINT or SIGTERM, and then undoes\n" +
        "everything it set up. SIGHUP reads the policy anew.\n\n" +
        "Whoever may open the control socket may load any policy, and a policy may name modules: that is code,\n" +
        "and it runs as root. So --socket-mode and --socket-group give root to those they let in.",
    )
    .argument("<policy>", "the policy file")
    .addOption(
      new Option("-l, --log-level <level>", "least urgent lines to log").choices(LOG_LEVELS).default("INFO"),
    )
    .option("-f, --log-file <file>", "log to this file too; it is truncated first")
    .addOption(
      new Option(
        "--log-dir <folder>",
        "log to a file of each day in this folder too; the newest 20 are kept",
      ).conflicts("logFile"),
    )
    .option("--log-json", "log one JSON object a line")
    .option("--socket <path>", "where the control socket shall be", DEFAULT_SOCKET)
    .option("--socket-mode <mode>", "its permissions, octal", parseMode, 0o600)
    .option("--socket-group <group>", "the group that owns it")
    .option("--table <name>", "name of the nftables table", parseTableName)
    .option("--first-queue <number>", "number of the first kernel queue", parseQueue, 0)
    .action(up);
}

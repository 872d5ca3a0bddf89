/** `postern up`: the firewall in the foreground. */
import { availableParallelism } from "node:os";
import { type Command, InvalidArgumentError } from "commander";
import { DEFAULT_TABLE } from "../../backend/index.ts";
import { FirewallError, QUEUE_CLASSES } from "../../base/index.ts";
import { DEFAULT_SOCKET } from "../../client/index.ts";
import { Firewall, type Log, loadPolicy, readPolicySource } from "../../daemon/index.ts";
import { keepMemorySmall } from "../../system/index.ts";
import {
  addLogFlags,
  addSocketFlags,
  type LogFlags,
  openLog,
  type SocketFlags,
  socketPlace,
  untilSignal,
} from "../daemon-flags.ts";
import {
  addPolicyPinholeFlags,
  type PolicyPinholeFlags,
  type PolicyPinholes,
  startPolicyPinholes,
} from "../policy-pinholes.ts";
import { parseTableName } from "../table-name.ts";

interface UpFlags extends LogFlags, SocketFlags, PolicyPinholeFlags {
  table?: string;
  firstQueue: number;
  offload: boolean;
}

const HIGHEST_QUEUE = 65_535;
/** Most workers that a policy can ask for. */
const WORKERS_MAX = 256;
const CLASSES: number = QUEUE_CLASSES.length;

function parseQueue(text: string): number {
  const queue = Number(text);
  if (!/^\d+$/.test(text) || queue > HIGHEST_QUEUE)
    throw new InvalidArgumentError("It takes a number from 0 to 65535.");
  return queue;
}

/** Each worker takes a queue of its own for each class of packets, so the last one must have a number too. */
async function checkQueues(policyFile: string, firstQueue: number): Promise<void> {
  if (firstQueue + CLASSES * WORKERS_MAX - 1 <= HIGHEST_QUEUE) return;
  const { policy } = await loadPolicy(readPolicySource(policyFile));
  const workers = policy.settings.workers ?? availableParallelism();
  if (firstQueue + CLASSES * workers - 1 <= HIGHEST_QUEUE) return;
  const highest = HIGHEST_QUEUE - CLASSES * workers + 1;
  const message = `--first-queue ${firstQueue} leaves no ${CLASSES} queues for each of ${workers} workers: at most ${highest}`;
  throw new FirewallError("USAGE", message);
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

async function up(policyFile: string, flags: UpFlags): Promise<void> {
  keepMemorySmall();
  await checkQueues(policyFile, flags.firstQueue);
  const log = openLog(flags);
  const running: { firewall?: Firewall; pinholes?: PolicyPinholes } = {};
  // A SIGHUP that comes before there is anything to reload asks for what is being done anyway.
  process.on("SIGHUP", () => {
    running.pinholes?.reload();
    if (running.firewall !== undefined) void reloadAndReport(running.firewall, log);
  });
  const stopped = untilSignal();
  const { table = DEFAULT_TABLE } = flags;
  const pinholes = await startPolicyPinholes(flags, table, log);
  running.pinholes = pinholes;
  try {
    running.firewall = await Firewall.start({
      policyFile,
      log,
      print: createPrinter(),
      control: socketPlace(flags),
      firstQueue: flags.firstQueue,
      offload: flags.offload,
      table,
    });
    log.info("ready");
    await serve(running.firewall, stopped, log);
  } finally {
    await pinholes.stop();
    log.close();
  }
}

/** Runs until a signal asks for the end, or the firewall cannot go on. */
async function serve(firewall: Firewall, stopped: Promise<string>, log: Log): Promise<void> {
  const reason = await Promise.race([stopped, firewall.failed]);
  if (reason instanceof Error) {
    log.critical(`stopping: ${reason.message}`);
    await firewall.stop(firewall.failsClosed);
    throw reason;
  }
  log.info(`stopping on ${reason}`);
  await firewall.stop();
}

/** Adds `postern up`. */
export function addUpCommand(program: Command): void {
  const command = program
    .command("up")
    .summary("run the firewall in the foreground")
    .description(
      "Runs the firewall in the network namespace it is started in, until SIGINT or SIGTERM, and then undoes " +
        "everything it set up. SIGHUP reads the policy anew.\n\n" +
        "Whoever may open the control socket may load any policy, and a policy may name modules: that is code, " +
        "and it runs as root. So --socket-mode and --socket-group give root to those they let in.",
    )
    .argument("<policy>", "the policy file")
    .option("--socket <path>", "where the control socket shall be", DEFAULT_SOCKET)
    .option("--table <name>", "name of the nftables table", parseTableName)
    .option("--first-queue <number>", "number of the first kernel queue", parseQueue, 0)
    .option("--no-offload", "judge every packet in userspace, whatever the policy says")
    .action(up);
  addPolicyPinholeFlags(addSocketFlags(addLogFlags(command)));
}

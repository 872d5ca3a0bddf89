/**
 * `postern pinhold`: pinholes as a service of the machine, in the foreground.
 *
 * It comes from the files themselves and not from the lists of their layers, also in what it imports: who
 * reads all that judges packets starts a third of a second later, and pinholes wait for their daemon.
 */
import { resolve } from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import { IptablesPinholes } from "../../backend/iptables/iptables-pinholes.ts";
import { checkPlan } from "../../backend/pinholes/chain-plan.ts";
import { NftablesPinholes } from "../../backend/pinholes/nftables-pinholes.ts";
import { SimulatedPinholes } from "../../backend/pinholes/simulator.ts";
import { FirewallError, HOOK_NAMES, type HookName } from "../../base/index.ts";
import { DEFAULT_PINHOLE_SOCKET } from "../../client/api.ts";
import { AgentDirectory } from "../../daemon/pinholes/agent-directory.ts";
import { openTlsDoor, openUnixDoor } from "../../daemon/pinholes/http/http-door.ts";
import { PinholeDaemon } from "../../daemon/pinholes/pinhole-daemon.ts";
import { resolveUser } from "../../system/index.ts";
import {
  addLogFlags,
  addSocketFlags,
  type LogFlags,
  openLog,
  type SocketFlags,
  socketPlace,
  untilSignal,
} from "../daemon-flags.ts";
import { type HostPort, parseHostPort } from "../host-port.ts";
import { addSimcoFlags, simcoDoors, type SimcoFlags } from "../simco-doors.ts";
import { readTlsMaterial } from "../tls-file.ts";
import { parseTableName } from "../table-name.ts";

type BackendName = "nftables" | "iptables" | "simulator";

/** The table of the chain unless another is named. */
const DEFAULT_TABLE = "filter";

interface PinholdFlags extends LogFlags, SocketFlags, SimcoFlags {
  user?: string;
  chain: string;
  target?: string;
  table: string;
  hooks?: HookName[];
  otherwise?: "accept" | "drop";
  backend: BackendName;
  state: string;
  salvage?: boolean;
  agents?: string;
  tlsListen?: HostPort;
}

function parseHooks(text: string): HookName[] {
  return text.split(",").map((word) => {
    const hook = HOOK_NAMES.find((name) => name.toLowerCase() === word.toLowerCase());
    if (hook !== undefined) return hook;
    throw new InvalidArgumentError(`It takes hooks such as forward,input: "${word}" is none.`);
  });
}

/** Refuses flags that the packet filter has no use for. @throws {FirewallError} `USAGE` */
function checkFlags({ backend, hooks, otherwise, table }: PinholdFlags): void {
  if (otherwise !== undefined && hooks === undefined) {
    throw new FirewallError("USAGE", "--otherwise needs --hooks: without them your own rules decide");
  }
  if (backend !== "iptables") return;
  if (hooks !== undefined) {
    throw new FirewallError("USAGE", "with --backend iptables your own rules jump to the chain: no --hooks");
  }
  if (table !== DEFAULT_TABLE) {
    throw new FirewallError("USAGE", `with --backend iptables the table is ${DEFAULT_TABLE}: no --table`);
  }
}

function openBackend(flags: PinholdFlags): NftablesPinholes | IptablesPinholes | SimulatedPinholes {
  const { table, chain, hooks, otherwise } = flags;
  const target = flags.target === undefined ? {} : { target: flags.target };
  // Whichever filter it is: who tries things out with the simulator learns what the others take.
  checkPlan({ table, chain, ...target });
  switch (flags.backend) {
    case "simulator":
      return new SimulatedPinholes();
    case "iptables":
      return IptablesPinholes.open({ chain, ...target });
    case "nftables":
      return NftablesPinholes.open({
        table,
        chain,
        ...target,
        ...(hooks === undefined ? {} : { hooks, otherwise: otherwise ?? "accept" }),
      });
  }
}

function tlsDoors(flags: PinholdFlags): ReturnType<typeof openTlsDoor>[] {
  if (flags.tlsListen === undefined) return [];
  return [openTlsDoor({ ...flags.tlsListen, material: readTlsMaterial("--tls-listen", flags) })];
}

function socketUser(name: string | undefined): { name: string; userId: number } | undefined {
  if (name === undefined) return undefined;
  const userId = resolveUser(name);
  if (userId === undefined) throw new FirewallError("USAGE", `there is no user "${name}"`);
  return { name, userId };
}

async function pinhold(flags: PinholdFlags): Promise<void> {
  checkFlags(flags);
  const log = openLog(flags);
  const user = socketUser(flags.user);
  const agents = new AgentDirectory({
    ...(flags.agents === undefined ? {} : { file: resolve(flags.agents) }),
    ...(user === undefined ? {} : { socketUser: user }),
  });
  process.on("SIGHUP", () => agents.reloadOrKeep(log));
  const stopped = untilSignal();
  const place = { ...socketPlace(flags), ...(user === undefined ? {} : { userId: user.userId }) };
  const daemon = await PinholeDaemon.start({
    openBackend: () => openBackend(flags),
    lockName: `${flags.table}/${flags.chain}`,
    stateFolder: resolve(flags.state),
    isSalvage: flags.salvage === true,
    agents,
    limits: agents.limits,
    doors: [openUnixDoor(place), ...tlsDoors(flags), ...simcoDoors(flags, user?.userId)],
    log,
  });
  log.info("ready");
  log.info(`stopping on ${await stopped}`);
  await daemon.stop();
  log.close();
}

/** Adds `postern pinhold`. */
export function addPinholdCommand(program: Command): void {
  const command = program
    .command("pinhold")
    .summary("serve pinholes in the foreground")
    .description(
      "Opens and closes pinholes in one chain of the packet filter, for programs that ask it to, until SIGINT " +
        "or SIGTERM. Pinholes stay in force then, until their leases end; the next start takes them up. " +
        "SIGHUP reads the agents anew.\n\n" +
        "The chain is made if need be. Jump to it from rules of your own; nothing else of the table is touched.",
    )
    .option("-s, --socket <path>", "where the socket shall be", DEFAULT_PINHOLE_SOCKET)
    .option("-u, --user <user>", "the user that owns the socket, and may open pinholes")
    .option("-c, --chain <chain>", "the chain that holds the pinholes", "pinholes")
    .option("-t, --target <chain>", "where permitted packets go: accept, or a chain of the same table")
    .option("--table <name>", "the table of the chain, of family inet", parseTableName, DEFAULT_TABLE)
    .option(
      "--hooks <hooks>",
      "jump to the chain from base chains of our own, such as forward,input",
      parseHooks,
    )
    .addOption(
      new Option(
        "--otherwise <verdict>",
        "with --hooks: what becomes of packets that no pinhole permits (default: accept)",
      ).choices(["accept", "drop"]),
    )
    .addOption(
      new Option("--backend <name>", "the packet filter")
        .choices(["nftables", "iptables", "simulator"])
        .default("nftables"),
    )
    .option("--state <folder>", "where the journal is", "/var/lib/postern/pinholes")
    .option("--salvage", "take up what is left of a damaged journal")
    .option("--agents <file>", "who may open what")
    .option(
      "--tls-listen <address:port>",
      "listen with TLS too, for clients with certificates",
      parseHostPort,
    )
    .option("--tls-cert <file>", "our certificate, PEM")
    .option("--tls-key <file>", "its key, PEM")
    .option("--tls-ca <file>", "authorities of clients' certificates, PEM");
  addSocketFlags(addLogFlags(addSimcoFlags(command))).action(pinhold);
}

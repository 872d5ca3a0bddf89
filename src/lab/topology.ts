/**
 * Builds a laboratory of network namespaces, lends it to a function, and takes it down again, whatever
 * happens.
 */
import { execFile, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { promisify } from "node:util";
import { FirewallError } from "../base/index.ts";
import { claimNames, findLeftovers, removeNamespace } from "./leftovers.ts";
import { Namespace } from "./namespace.ts";
import { addressesOf, type TopologyPlan } from "./plan.ts";

const execute = promisify(execFile);

/** Bit of CAP_SYS_ADMIN in a capability set (capability.h); making namespaces needs it. */
const CAP_SYS_ADMIN = 21n;

/**
 * Interface number of the first end of the first cable. The two ends of a cable need different numbers: the
 * kernel announces "cable plugged in" at once for a virtual interface, which it knows by a peer with another
 * number, and up to a second later for what looks like hardware (linkwatch_urgent_event). IPv6 neighbour
 * discovery would wait.
 */
const FIRST_INDEX = 11;

/** The hosts of a laboratory by name. */
export type Topology<Name extends string> = Readonly<Record<Name, Namespace>>;

/** How a laboratory behaves. */
export interface TopologyOptions {
  /** True when the caller handles SIGINT, SIGTERM and SIGHUP and then lets the function return. */
  readonly keepSignals?: boolean;
}

/**
 * Tells why no laboratory can be made here.
 *
 * @returns one clause for a message; `undefined` when nothing stands in the way
 */
export function laboratoryObstacle(): string | undefined {
  if (process.getuid?.() !== 0) return "network namespaces need root";
  const capabilities = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
  if (capabilities !== undefined && ((BigInt(`0x${capabilities}`) >> CAP_SYS_ADMIN) & 1n) === 0n) {
    return "network namespaces need CAP_SYS_ADMIN, which root lacks here";
  }
  const folders = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
  if (!folders.some((folder) => existsSync(`${folder}/ip`))) return "the program `ip` (iproute2) is missing";
  return undefined;
}

/**
 * Runs a function in a laboratory of its own.
 *
 * The namespaces have names nobody else uses, and their cables never touch the machine's own network. They
 * are gone when this function returns or throws, and also when the process ends or is ended meanwhile.
 *
 * @param plan - hosts and links
 * @param body - what to do there
 * @param options - who handles signals
 * @returns what `body` returned
 * @throws {FirewallError} `LABORATORY_FAILED` when the system refuses
 */
export async function withTopology<Name extends string, Result>(
  plan: TopologyPlan<Name>,
  body: (hosts: Topology<Name>) => Promise<Result>,
  options: TopologyOptions = {},
): Promise<Result> {
  for (const leftover of findLeftovers()) removeNamespace(leftover);
  const names = claimNames(plan.hosts, options.keepSignals === true);
  const hosts = plan.hosts.map((host, index) => new Namespace(names[index] ?? "", addressesOf(plan, host)));
  const topology = Object.fromEntries(
    plan.hosts.map((host, index) => [host, hosts[index]]),
  ) as Topology<Name>;
  try {
    await build(plan, topology);
    return await body(topology);
  } finally {
    await Promise.all(hosts.map((host) => host.stopPrograms()));
    for (const host of hosts) removeNamespace(host.fullName);
  }
}

async function build<Name extends string>(plan: TopologyPlan<Name>, hosts: Topology<Name>): Promise<void> {
  const names = plan.hosts.map((host) => hosts[host].fullName);
  await Promise.all(names.map((name) => ip(["netns", "add", name])));
  await Promise.all(plan.hosts.map((host) => configure(hosts[host], plan.routers.includes(host))));
  await ipBatch(
    plan.links.map(([near, far], index) => linkCommand(hosts, near, far, FIRST_INDEX + 2 * index)),
  );
  await Promise.all(plan.hosts.map((host) => ipBatch(addressCommands(plan, host), hosts[host].fullName)));
}

function linkCommand<Name extends string>(
  hosts: Topology<Name>,
  near: { readonly host: Name; readonly interface: string },
  far: { readonly host: Name; readonly interface: string },
  index: number,
): string {
  const nearEnd = `${near.interface} index ${index} netns ${hosts[near.host].fullName}`;
  const farEnd = `${far.interface} index ${index + 1} netns ${hosts[far.host].fullName}`;
  return `link add ${nearEnd} type veth peer name ${farEnd}`;
}

function addressCommands<Name extends string>(plan: TopologyPlan<Name>, host: Name): string[] {
  const ends = plan.links.flat().filter((end) => end.host === host);
  const gateways = plan.defaultRoutes.filter((route) => route.host === host).flatMap((route) => route.via);
  return [
    "link set lo up",
    ...ends.flatMap((end) => [
      // An address that must first be probed for duplicates is unusable for a second or two (RFC 4862, 5.4).
      ...end.addresses.map((address) => `address add ${address} dev ${end.interface} nodad`),
      `link set ${end.interface} up`,
    ]),
    ...gateways.map((gateway) => `route add default via ${gateway}`),
  ];
}

/** Turns off what a quiet laboratory does not need, and forwarding on where it is wanted. */
async function configure(host: Namespace, isRouter: boolean): Promise<void> {
  const settings: Record<string, string> = {
    "ipv6/conf/all/accept_dad": "0",
    "ipv6/conf/default/accept_dad": "0",
    "ipv6/conf/default/accept_ra": "0",
    "ipv6/conf/default/router_solicitations": "0",
    ...(isRouter ? { "ipv4/ip_forward": "1", "ipv6/conf/all/forwarding": "1" } : {}),
  };
  const script = Object.entries(settings).map(([name, value]) => `echo ${value} > /proc/sys/net/${name}`);
  await ip(["netns", "exec", host.fullName, "sh", "-c", script.join(" && ")]);
}

async function ip(words: readonly string[]): Promise<void> {
  try {
    await execute("ip", words);
  } catch (error) {
    throw refused(words.join(" "), (error as { stderr?: string }).stderr ?? "", error);
  }
}

/** Runs many `ip` commands in one process: each start costs more than the command. */
function ipBatch(commands: readonly string[], namespace?: string): Promise<void> {
  const words = [...(namespace === undefined ? [] : ["-n", namespace]), "-batch", "-"];
  const child = spawn("ip", words, { stdio: ["pipe", "ignore", "pipe"] });
  let complaint = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    complaint += text;
  });
  child.stdin.end(`${commands.join("\n")}\n`);
  return new Promise((resolve, reject) => {
    child.once("error", (error) => reject(refused(words.join(" "), error.message, error)));
    child.once("close", (status) => {
      if (status === 0) resolve();
      else reject(refused(words.join(" "), complaint));
    });
  });
}

function refused(words: string, complaint: string, cause?: unknown): FirewallError {
  return new FirewallError("LABORATORY_FAILED", `ip ${words}: ${complaint.trim()}`, { cause });
}

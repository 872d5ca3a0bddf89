/**
 * What this kernel can do for us, found out by doing it.
 *
 * Everything is tried in a network namespace that vanishes with all that was made in it. Where no namespace
 * can be made, a table without hooks serves, which no packet ever meets; what would have an effect beyond
 * such a table (connection tracking, flow tables) is then not tried. Modules that the kernel loads on the way
 * stay loaded.
 */
import { FirewallError, invariant } from "../base/index.ts";
import { DEFAULT_MARK_MASK, NftablesBatch, type QueueExpression, TABLE_FAMILY } from "../netlink/index.ts";
import {
  type CapabilityName,
  inFreshNamespace,
  kernelRelease,
  NETLINK_PROTOCOL,
  NetlinkSocket,
  Nftables,
  QueueSocket,
  readCapabilities,
} from "../system/index.ts";
import { DEFAULT_PRIORITY, KernelRules, removeLeftovers } from "./kernel-rules.ts";

/** What is probed, and what it is for. */
export const PROBES = {
  namespaces: "network namespaces: probing without a trace, the demonstration, the tests",
  queue: "NFQUEUE: packets come to userspace",
  nftables: "nftables and its library",
  queueStatement: "nftables' queue statement",
  queueTarget: "the NFQUEUE target in an nftables table (nft_compat)",
  reject: "nftables' reject statement: refused packets are answered",
  rules: "our own table, as `postern up` makes it",
  conntrack: "connection tracking in nftables rules",
  flowTable: "flow tables: forwarding decided flows past all chains",
} as const;

/** A probe by its name. */
export type ProbeName = keyof typeof PROBES;

/** What a probe found. */
export interface Finding {
  readonly available: boolean;
  /** The system's words when it is not available, else "". */
  readonly detail: string;
}

/** What this machine can do. */
export interface KernelReport {
  /** Release of the running kernel. */
  readonly release: string;
  /** Capabilities of this process, of those that matter. */
  readonly capabilities: readonly CapabilityName[];
  readonly findings: Readonly<Record<ProbeName, Finding>>;
  /** How this kernel is to be told to queue; `undefined` when it cannot. */
  readonly queueExpression: QueueExpression | undefined;
}

const PROBE_TABLE = `postern-probe-${process.pid}`;
const PROBE_CHAIN = "probe";
const PROBE_QUEUE = 65_535;

const AVAILABLE: Finding = { available: true, detail: "" };

function unavailable(detail: string): Finding {
  return { available: false, detail };
}

/** Tries a thing; what the system objects is the finding. */
function attempt(work: () => void): Finding {
  try {
    work();
    return AVAILABLE;
  } catch (error) {
    if (error instanceof FirewallError) return unavailable(error.message);
    throw error;
  }
}

function probeQueue(): void {
  const queue = QueueSocket.open({
    queue: PROBE_QUEUE,
    copyRangeBytes: 128,
    queuePackets: 1,
    batchPackets: 1,
    receiveBufferBytes: 65_536,
    failOpen: true,
    wholeSuperPackets: true,
    acceptUnanswered: true,
    wakeFd: -1,
  });
  queue.close();
}

/** Does something with a table that has one chain without a hook. */
function withTable(work: (nftables: Nftables) => void): void {
  const nftables = Nftables.open();
  try {
    nftables.run(`table inet ${PROBE_TABLE} {\n\tchain ${PROBE_CHAIN} {\n\t}\n}`);
    work(nftables);
  } finally {
    nftables.close();
    removeLeftovers(PROBE_TABLE);
  }
}

function probeRule(rule: string): void {
  withTable((nftables) => nftables.run(`add rule inet ${PROBE_TABLE} ${PROBE_CHAIN} ${rule}`));
}

function probeExpression(expression: QueueExpression): void {
  withTable(() => {
    const table = { family: TABLE_FAMILY.INET, name: PROBE_TABLE };
    const batch = new NftablesBatch(1);
    batch.appendQueueRule(table, PROBE_CHAIN, { first: PROBE_QUEUE, count: 1, bypass: true }, expression);
    const socket = NetlinkSocket.open(NETLINK_PROTOCOL.NETFILTER);
    try {
      socket.request(batch.end(), "Cannot make a queueing rule");
    } finally {
      socket.close();
    }
  });
}

function probeFlowTable(): void {
  withTable((nftables) =>
    nftables.run(`add flowtable inet ${PROBE_TABLE} probe { hook ingress priority 0; devices = { lo }; }`),
  );
}

function probeRules(expression: QueueExpression): void {
  const plan = {
    table: PROBE_TABLE,
    hooks: [],
    priority: DEFAULT_PRIORITY,
    markMask: DEFAULT_MARK_MASK,
    queues: { first: PROBE_QUEUE, count: 1, bypass: true },
  };
  KernelRules.install(plan, expression).remove();
}

/** What can be tried in a table that no packet meets. */
function probeHarmless(): Omit<Record<ProbeName, Finding>, "namespaces" | "conntrack" | "flowTable"> {
  const nftables = attempt(() => withTable(() => undefined));
  const queueStatement = attempt(() => probeExpression("queue"));
  const queueTarget = attempt(() => probeExpression("target"));
  const expression = chooseExpression(queueStatement, queueTarget);
  return {
    queue: attempt(probeQueue),
    nftables,
    queueStatement,
    queueTarget,
    reject: attempt(() => probeRule("reject with icmpx type admin-prohibited")),
    rules:
      expression === undefined
        ? unavailable("The kernel has no way to queue.")
        : attempt(() => probeRules(expression)),
  };
}

function chooseExpression(statement: Finding, target: Finding): QueueExpression | undefined {
  if (statement.available) return "queue";
  return target.available ? "target" : undefined;
}

/** Everything, in a namespace of its own; `undefined` when none can be made. */
function probeInNamespace(): Record<ProbeName, Finding> | undefined {
  let findings: Record<ProbeName, Finding> | undefined;
  const namespaces = attempt(() =>
    inFreshNamespace(() => {
      findings = {
        namespaces: AVAILABLE,
        ...probeHarmless(),
        conntrack: attempt(() => probeRule("ct state established accept")),
        flowTable: attempt(probeFlowTable),
      };
    }),
  );
  invariant(!namespaces.available || findings !== undefined, "what ran in a namespace has findings");
  return findings;
}

/** Without a namespace: only what has no effect on anything. */
function probeInPlace(): Record<ProbeName, Finding> {
  const reason = "Not tried: it needs a network namespace, and none can be made (CAP_SYS_ADMIN).";
  return {
    namespaces: unavailable("No network namespace can be made (CAP_SYS_ADMIN)."),
    ...probeHarmless(),
    conntrack: unavailable(reason),
    flowTable: unavailable(reason),
  };
}

function probeNothing(): Record<ProbeName, Finding> {
  const finding = unavailable("Not tried: it needs CAP_NET_ADMIN. Run as root.");
  const names = Object.keys(PROBES) as ProbeName[];
  return Object.fromEntries(names.map((name) => [name, finding])) as Record<ProbeName, Finding>;
}

/**
 * Finds out what the kernel can do. Leaves nothing behind, and never throws for what a kernel lacks.
 *
 * @returns a finding for every probe, and the way to queue that follows from them
 */
export function probeKernel(): KernelReport {
  const capabilities = readCapabilities();
  const findings = capabilities.includes("CAP_NET_ADMIN")
    ? (probeInNamespace() ?? probeInPlace())
    : probeNothing();
  const expression = chooseExpression(findings.queueStatement, findings.queueTarget);
  return {
    release: kernelRelease(),
    capabilities,
    findings,
    queueExpression: findings.queue.available ? expression : undefined,
  };
}

/**
 * The way to queue on this kernel, for `postern up`.
 *
 * @throws {FirewallError} `KERNEL_UNFIT` with the first thing that is missing
 */
export function requireQueueExpression(report: KernelReport): QueueExpression {
  const { findings, queueExpression } = report;
  const needed: readonly ProbeName[] = ["nftables", "queue", "reject", "rules"];
  const missing = needed.find((name) => !findings[name].available);
  if (missing === undefined && queueExpression !== undefined) return queueExpression;
  const name = missing ?? "queueTarget";
  const message = `This machine cannot run the firewall: ${PROBES[name]}: ${findings[name].detail}`;
  throw new FirewallError("KERNEL_UNFIT", message, { details: { missing: name } });
}

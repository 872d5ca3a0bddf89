/**
 * The running firewall: workers, rules in the kernel, control socket, and their life from "ready" to nothing
 * left.
 *
 * Start: policy ─► workers bind their queues ─► rules installed ─► control socket ─► ready. Stop: queueing
 * rule out ─► workers answer what waits and end ─► table removed ─► socket removed. A worker that dies is
 * started anew on the same queue; meanwhile the policy's `queueBypass` decides. One that keeps dying ends the
 * firewall.
 */
import { randomInt } from "node:crypto";
import {
  DEFAULT_PRIORITY,
  DEFAULT_TABLE,
  KernelRules,
  type PlanOptions,
  planPolicy,
  probeKernel,
  type QueueClassing,
  requireQueueExpression,
  type SealForm,
} from "../backend/index.ts";
import {
  FirewallError,
  HOOK_NAMES,
  QUEUE_CLASSES,
  type LimitName,
  type Milliseconds,
  SECOND,
} from "../base/index.ts";
import { type QueueExpression, SealMarks } from "../netlink/index.ts";
import type { FirewallStatus, ReloadAnswer } from "../client/index.ts";
import { sumCounters } from "../engine/index.ts";
import { formatProblem, type Policy, type RuleMemory, type Settings } from "../policy/index.ts";
import { readQueueStatistics, releaseMemory } from "../system/index.ts";
import { ControlServer } from "./control-server.ts";
import { FlowService } from "./flow-service.ts";
import type { Log } from "./log.ts";
import { OwnerLock } from "./owner-lock.ts";
import { pfStatus } from "./pf-status.ts";
import { changePolicy } from "./policy-change.ts";
import { loadPolicy, readPolicySource } from "./policy-file.ts";
import { KernelTable } from "./kernel-table.ts";
import { LimitService } from "./limit-service.ts";
import type { SocketPlace } from "./socket-place.ts";
import { RuleService } from "./rule-service.ts";
import { clearSeals, FIRST_GENERATION, SealService } from "./seal-service.ts";
import { StateService } from "./state-service.ts";
import { tableContents, TableMirror } from "./table-mirror.ts";
import { type PreparedTables, TableRegistry } from "./table-registry.ts";
import { TableService } from "./table-service.ts";
import { packageVersion } from "./package-version.ts";
import { WorkerPool } from "./worker-pool.ts";
import type { PolicySource } from "./worker-protocol.ts";

/** How a firewall is started. */
export interface FirewallOptions {
  /** The policy file. */
  readonly policyFile: string;
  readonly log: Log;
  /** Takes what rules print, a line at a time without its end. */
  readonly print: (line: string) => void;
  readonly control: SocketPlace;
  /** Name of our nftables table; two firewalls in one network namespace need two. */
  readonly table?: string;
  /** Number of the first kernel queue. */
  readonly firstQueue?: number;
  /** False: the kernel judges nothing by itself, whatever the policy says. */
  readonly offload?: boolean;
}

/** A policy in force. */
interface InForce {
  readonly source: PolicySource;
  readonly policy: Policy;
  readonly memory: RuleMemory;
  readonly revision: number;
}

/** Settings that a running firewall cannot change: kernel objects and tables were made from them. */
const FIXED_SETTINGS = [
  "failMode",
  "queues",
  "queueBypass",
  "workers",
  "timeouts",
  "strictTcp",
  "markMask",
  "connectionMarkMask",
] as const satisfies readonly (keyof Settings)[];

/** Limits of which the same is true. */
const FIXED_LIMITS = [
  "flows",
  "queuePackets",
  "receiveBufferBytes",
  "copyRangeBytes",
  "batchPackets",
  "pendingEvents",
] as const satisfies readonly LimitName[];

/** How long after a policy was read its garbage is collected. */
const TIDY_AFTER_MS: Milliseconds = SECOND;

/** The two ways of sending packets up, as `postern status` shows them. */
const DRIVER_WORDS = { queue: "nftables queue statement", target: "NFQUEUE target in nftables" } as const;

/** Names of the fixed settings in which two policies differ. */
function changedSettings(before: Settings, after: Settings): string[] {
  const limits = FIXED_LIMITS.filter((name) => before.limits[name] !== after.limits[name]);
  return [
    ...FIXED_SETTINGS.filter((name) => JSON.stringify(before[name]) !== JSON.stringify(after[name])),
    ...limits.map((name) => `limits.${name}`),
  ];
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}

/** How the kernel's table takes seals; `undefined` when it shall take none. */
function sealForm(
  { log, offload = true }: FirewallOptions,
  { settings }: Policy,
  tracksConnections: boolean,
): SealForm | undefined {
  const isWanted = settings.offload === "full" || settings.offload === "flows";
  // A log of every packet needs every packet.
  if (!tracksConnections || !offload || !isWanted || log.level === "DEBUG") return undefined;
  return { connectionMarkMask: settings.connectionMarkMask, generation: FIRST_GENERATION };
}

/** The same, once no connection bears a seal of an earlier run; `undefined` where that cannot be seen to. */
function usableSeals(form: SealForm | undefined, log: Log): SealForm | undefined {
  if (form === undefined) return undefined;
  try {
    clearSeals(new SealMarks(form.connectionMarkMask));
    return form;
  } catch (error) {
    if (!(error instanceof FirewallError)) throw error;
    log.warning(`no flow is handed over to the kernel: ${error.message}`);
    return undefined;
  }
}

/** Whether packets that go up shall tell their state in the kernel's connection tracking. */
function canTellStates({ asksConntrack }: Policy, tracksConnections: boolean, log: Log): boolean {
  if (asksConntrack && !tracksConnections) {
    log.warning("this kernel tracks no connections: ConntrackRule goes by Postern's own state table");
  }
  return asksConntrack && tracksConnections;
}

/** What a running firewall is made of. */
interface FirewallParts {
  readonly pool: WorkerPool;
  readonly rules: KernelRules;
  readonly tracksConnections: boolean;
  readonly driver: string;
  readonly creatorId: number;
  readonly registry: TableRegistry;
  readonly lock: OwnerLock;
  /** Absent where the kernel's table takes no seals. */
  readonly seals: SealService | undefined;
}

/** What a start has before it sets anything up. */
interface StartParts extends Pick<FirewallParts, "lock" | "registry" | "tracksConnections"> {
  readonly queueing: QueueExpression;
}

/** A firewall in force in the network namespace of the process. */
export class Firewall {
  readonly #options: FirewallOptions;
  readonly #pool: WorkerPool;
  readonly #rules: KernelRules;
  readonly #tracksConnections: boolean;
  readonly #driver: string;
  readonly #lock: OwnerLock;
  readonly #creatorId: number;
  readonly #kernel: KernelTable;
  /** The state table. */
  readonly states: StateService;
  /** The address tables. */
  readonly tables: TableService;
  readonly limits: LimitService;
  /** The rules of the policy in force. */
  readonly rules: RuleService;
  /** Explains flows. */
  readonly flows: FlowService;
  readonly #registry: TableRegistry;
  readonly #mirror: TableMirror;
  readonly #seals: SealService | undefined;
  readonly #startedAt: number = performance.now();
  #inForce: InForce;
  /** The last revision that was given to a policy; a policy that is refused after all uses one up. */
  #revision: number;
  #control: ControlServer | undefined;
  #reloading: Promise<unknown> = Promise.resolve();
  #tidying: NodeJS.Timeout | undefined;

  private constructor(options: FirewallOptions, inForce: InForce, parts: FirewallParts) {
    this.#options = options;
    this.#inForce = inForce;
    this.#revision = inForce.revision;
    this.#pool = parts.pool;
    this.#rules = parts.rules;
    this.#tracksConnections = parts.tracksConnections;
    this.#driver = parts.driver;
    this.#lock = parts.lock;
    this.#creatorId = parts.creatorId;
    this.#kernel = new KernelTable(parts.creatorId);
    this.states = new StateService({ pool: parts.pool, rules: parts.rules, kernel: this.#kernel });
    this.#registry = parts.registry;
    this.#seals = parts.seals;
    const mirror = new TableMirror(parts.rules, options.log);
    this.#mirror = mirror;
    parts.registry.onExpiry = (expired, all) => mirror.expired(expired, all);
    this.tables = new TableService(parts.registry, {
      changed: async (table) => {
        try {
          mirror.tell([table]);
        } finally {
          await parts.seals?.renewSoon();
        }
      },
      readStatistics: () => mirror.readStatistics(),
      zeroed: ({ name }) => mirror.zero(name),
    });
    this.rules = new RuleService({
      pool: parts.pool,
      rules: parts.rules,
      planOptions: this.#planOptions(),
      inForce: () => this.#inForce,
    });
    this.flows = new FlowService({
      pool: parts.pool,
      states: this.states,
      rules: this.rules,
      kernelRules: parts.rules,
      seals: parts.seals,
      inForce: () => this.#inForce,
    });
    this.limits = new LimitService({
      pool: parts.pool,
      tables: parts.registry,
      limits: () => this.#inForce.policy.settings.limits,
    });
  }

  /**
   * Starts a firewall. When it returns, every packet of the three hooks is judged.
   *
   * @throws {PolicyInvalidError} when the policy is not valid
   * @throws {FirewallError} when the system refuses; then nothing is left behind
   */
  static async start(options: FirewallOptions): Promise<Firewall> {
    const source = readPolicySource(options.policyFile);
    const { policy, warnings } = await loadPolicy(source);
    for (const warning of warnings) options.log.warning(formatProblem(warning));
    const report = probeKernel();
    const queueing = requireQueueExpression(report);
    const tracksConnections = report.findings.conntrack.available;
    const registry = new TableRegistry(policy.settings.limits);
    const prepared = registry.prepare(policy);
    prepared.commit();
    const inForce: InForce = { source, policy, memory: prepared.memory, revision: 1 };
    // The workers read the policy as well, all at once, and nobody waits for packets yet.
    releaseMemory();
    const lock = await OwnerLock.take(options.table ?? DEFAULT_TABLE);
    try {
      return await Firewall.#startLocked(options, inForce, { lock, queueing, registry, tracksConnections });
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  /** Starts workers, rules and control socket, in this order; undoes what is done when one fails. */
  static async #startLocked(
    options: FirewallOptions,
    inForce: InForce,
    { lock, queueing, registry, tracksConnections }: StartParts,
  ): Promise<Firewall> {
    const { log, print, table = DEFAULT_TABLE, firstQueue = 0 } = options;
    const { queueBypass, markMask, connectionMarkMask } = inForce.policy.settings;
    const creatorId = randomInt(1, 2 ** 32);
    const form = usableSeals(sealForm(options, inForce.policy, tracksConnections), log);
    const pool = await WorkerPool.start(inForce, {
      firstQueue,
      log,
      print,
      creatorId,
      seals: form !== undefined,
    });
    let rules: KernelRules | undefined;
    try {
      const queues = { first: firstQueue, count: pool.size, bypass: queueBypass };
      const marks = new SealMarks(connectionMarkMask);
      const tellsStates = canTellStates(inForce.policy, tracksConnections, log);
      const base = { table, hooks: HOOK_NAMES, priority: DEFAULT_PRIORITY, markMask };
      const classing: QueueClassing = form === undefined ? "protocol" : "state";
      rules = KernelRules.install({ ...base, queues, classing, seals: form, tellsStates }, queueing);
      const lastQueue = firstQueue + QUEUE_CLASSES.length * pool.size - 1;
      log.info(`Set up nftables: table inet ${table}, queues ${firstQueue} to ${lastQueue}`);
      const driver = DRIVER_WORDS[queueing];
      const seals =
        form === undefined ? undefined : new SealService({ pool, rules, marks, log, clear: clearSeals });
      const parts = { pool, rules, tracksConnections, driver, creatorId, lock, registry, seals };
      const firewall = new Firewall(options, inForce, parts);
      firewall.#preparePlan(inForce);
      rules.commitPlan();
      await seals?.start();
      firewall.#control = await ControlServer.open(firewall, options.control);
      firewall.#tidySoon();
      return firewall;
    } catch (error) {
      rules?.stopQueueing();
      await pool.stop();
      rules?.remove();
      throw error;
    }
  }

  /** Resolves with the reason when the firewall cannot go on; {@link Firewall.stop} must still be called. */
  get failed(): Promise<Error> {
    return this.#pool.failed;
  }

  /**
   * Puts another policy, or the same file read anew, in force; an invalid one changes nothing.
   *
   * @param file - absolute path; the file in force when absent
   * @throws {PolicyInvalidError} with all problems
   */
  reload(file?: string): Promise<ReloadAnswer> {
    const reloaded = this.#reloading.then(() => this.#reload(file ?? this.#inForce.source.file));
    this.#reloading = reloaded.catch(() => undefined);
    return reloaded;
  }

  async status(): Promise<FirewallStatus> {
    const statistics = readQueueStatistics();
    const { workers, trackers } = await this.#pool.status(statistics);
    const counters = sumCounters(this.#pool.counters);
    const runningForMs = performance.now() - this.#startedAt;
    return {
      version: packageVersion(),
      pid: process.pid,
      uptimeSeconds: Math.floor(runningForMs / 1000),
      policy: { file: this.#inForce.source.file, revision: this.#inForce.revision },
      driver: this.#driver,
      counters,
      offloaded: {
        active: sum(trackers.map(({ offloaded }) => offloaded)),
        total: counters.sealed,
        early: counters.sealedEarly,
      },
      workers,
      pf: pfStatus({
        runningForMs,
        hostId: this.#creatorId,
        debug: this.#options.log.level,
        policy: this.#inForce.source.text,
        trackers,
        counters,
        queues: workers.flatMap(({ queues }) => queues.flatMap(({ kernel }) => kernel ?? [])),
        kernel: this.#kernel.status(),
      }),
    };
  }

  /**
   * Stops judging and removes everything that was set up.
   *
   * @param keepRules - leaves the table: without workers every packet takes what `queueBypass` says
   */
  async stop(keepRules = false): Promise<void> {
    const { log, table = DEFAULT_TABLE } = this.#options;
    clearTimeout(this.#tidying);
    this.states.close();
    this.#registry.close();
    await this.#control?.close();
    await this.#reloading;
    if (!keepRules) this.#rules.stopQueueing();
    await this.#pool.stop();
    this.#seals?.close();
    if (keepRules) {
      log.critical(`table inet ${table} stays: packets are ${this.#orphanedWords()} until "postern down"`);
    } else {
      this.#rules.remove();
      log.info(`Tore down nftables: table inet ${table}`);
    }
    await this.#lock.release();
  }

  /**
   * True when a firewall that cannot go on must leave its table, because the policy wants no packet unjudged.
   */
  get failsClosed(): boolean {
    return !this.#inForce.policy.settings.queueBypass;
  }

  /** Gives memory back that only reading the policy needed, once whoever asked has an answer. */
  #tidySoon(): void {
    clearTimeout(this.#tidying);
    this.#tidying = setTimeout(releaseMemory, TIDY_AFTER_MS);
  }

  #orphanedWords(): string {
    return this.failsClosed ? "dropped" : "passed";
  }

  /**
   * Builds what the kernel can judge of a policy by itself. Where that cannot be, all packets go to
   * userspace, which is slower and not less right.
   */
  #preparePlan({ policy, memory, revision }: InForce): void {
    const { log, offload = true } = this.#options;
    // A log of every packet needs every packet.
    if (!offload || policy.settings.offload === "none" || log.level === "DEBUG") return;
    const options = this.#planOptions();
    try {
      const plan = planPolicy(policy, memory, options);
      this.rules.take(plan);
      const tables = policy.attachTables(memory).filter(({ name }) => plan.tables.includes(name));
      this.#rules.preparePlan(plan, { ...options, revision }, tables.map(tableContents));
    } catch (error) {
      if (!(error instanceof FirewallError)) throw error;
      log.warning(`the kernel judges no packet by itself: ${error.message}`);
    }
  }

  #planOptions(): PlanOptions {
    const logsDrops = this.#options.log.level === "INFO";
    return { tracksConnections: this.#tracksConnections, logsDrops };
  }

  /** Entries that the policy itself names, and tables that begin anew. */
  #commitTables(prepared: PreparedTables): void {
    const before = new Map(this.#registry.list().map(({ name, memory }) => [name, memory.buffer]));
    prepared.commit();
    const tables = this.#registry.list();
    for (const { name, memory } of tables) if (before.get(name) !== memory.buffer) this.#mirror.zero(name);
    this.#mirror.tell(tables);
  }

  async #reload(file: string): Promise<ReloadAnswer> {
    const source = readPolicySource(file);
    const { policy, warnings } = await loadPolicy(source);
    const before = this.#inForce;
    const isTelling = canTellStates(policy, this.#tracksConnections, this.#options.log);
    const tables = this.#registry.prepare(policy, before.memory);
    this.#revision += 1;
    const next: InForce = { source, policy, memory: tables.memory, revision: this.#revision };
    const { log } = this.#options;
    await changePolicy(
      { pool: this.#pool, rules: this.#rules, seals: this.#seals, log },
      {
        next,
        tables,
        isTelling,
        preparePlan: () => this.#preparePlan(next),
        begun: () => {
          this.#inForce = next;
        },
        commitTables: () => this.#commitTables(tables),
      },
    );
    const changed = changedSettings(before.policy.settings, policy.settings);
    if (changed.length > 0) log.warning(`settings that take effect at the next start: ${changed.join(", ")}`);
    log.info(`policy revision ${next.revision} is in force: ${file}`);
    this.#tidySoon();
    return { revision: next.revision, warnings };
  }
}

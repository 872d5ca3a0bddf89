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
import { readFileSync } from "node:fs";
import {
  DEFAULT_PRIORITY,
  DEFAULT_TABLE,
  KernelRules,
  probeKernel,
  requireQueueExpression,
} from "../backend/index.ts";
import { HOOK_NAMES, type LimitName } from "../base/index.ts";
import type { FirewallStatus, ReloadAnswer } from "../client/index.ts";
import { sumCounters } from "../engine/index.ts";
import { formatProblem, type Policy, type RuleMemory, type Settings } from "../policy/index.ts";
import { readQueueStatistics } from "../system/index.ts";
import { type ControlOptions, ControlServer } from "./control-server.ts";
import type { Log } from "./log.ts";
import { loadPolicy, readPolicySource } from "./policy-file.ts";
import { KernelTable } from "./kernel-table.ts";
import { LimitService } from "./limit-service.ts";
import { StateService } from "./state-service.ts";
import { TableRegistry } from "./table-registry.ts";
import { TableService } from "./table-service.ts";
import { WorkerPool } from "./worker-pool.ts";
import type { PolicySource } from "./worker-protocol.ts";

/** How a firewall is started. */
export interface FirewallOptions {
  /** The policy file. */
  readonly policyFile: string;
  readonly log: Log;
  /** Takes what rules print, a line at a time without its end. */
  readonly print: (line: string) => void;
  readonly control: ControlOptions;
  /** Name of our nftables table; two firewalls in one network namespace need two. */
  readonly table?: string;
  /** Number of the first kernel queue. */
  readonly firstQueue?: number;
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
  "queueBypass",
  "workers",
  "timeouts",
  "strictTcp",
  "markMask",
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

function packageVersion(): string {
  const file = new URL("../../package.json", import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}

/** What a running firewall is made of. */
interface FirewallParts {
  readonly pool: WorkerPool;
  readonly rules: KernelRules;
  readonly driver: string;
  readonly creatorId: number;
  readonly registry: TableRegistry;
}

/** A firewall in force in the network namespace of the process. */
export class Firewall {
  readonly #options: FirewallOptions;
  readonly #pool: WorkerPool;
  readonly #rules: KernelRules;
  readonly #driver: string;
  /** The state table. */
  readonly states: StateService;
  /** The address tables. */
  readonly tables: TableService;
  readonly limits: LimitService;
  readonly #registry: TableRegistry;
  readonly #startedAt: number = performance.now();
  #inForce: InForce;
  #control: ControlServer | undefined;
  #reloading: Promise<unknown> = Promise.resolve();

  private constructor(options: FirewallOptions, inForce: InForce, parts: FirewallParts) {
    this.#options = options;
    this.#inForce = inForce;
    this.#pool = parts.pool;
    this.#rules = parts.rules;
    this.#driver = parts.driver;
    const kernel = new KernelTable(parts.creatorId);
    this.states = new StateService({ pool: parts.pool, rules: parts.rules, kernel });
    this.#registry = parts.registry;
    this.tables = new TableService(parts.registry);
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
    const { settings } = policy;
    const queueing = requireQueueExpression(probeKernel());
    const registry = new TableRegistry(settings.limits);
    const prepared = registry.prepare(policy);
    prepared.commit();
    const inForce: InForce = { source, policy, memory: prepared.memory, revision: 1 };
    const first = options.firstQueue ?? 0;
    const creatorId = randomInt(1, 2 ** 32);
    const pool = await WorkerPool.start(inForce, {
      firstQueue: first,
      log: options.log,
      print: options.print,
      creatorId,
    });
    try {
      const table = options.table ?? DEFAULT_TABLE;
      const queues = { first, count: pool.size, bypass: settings.queueBypass };
      const plan = {
        table,
        hooks: HOOK_NAMES,
        priority: DEFAULT_PRIORITY,
        markMask: settings.markMask,
        queues,
      };
      const rules = KernelRules.install(plan, queueing);
      options.log.info(`Set up nftables: table inet ${table}, queues ${first} to ${first + pool.size - 1}`);
      const firewall = new Firewall(options, inForce, {
        pool,
        rules,
        driver: DRIVER_WORDS[queueing],
        creatorId,
        registry,
      });
      await firewall.#openControl();
      return firewall;
    } catch (error) {
      await pool.stop();
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
    const workers = await this.#pool.status();
    return {
      version: packageVersion(),
      pid: process.pid,
      uptimeSeconds: Math.floor((performance.now() - this.#startedAt) / 1000),
      policy: { file: this.#inForce.source.file, revision: this.#inForce.revision },
      driver: this.#driver,
      counters: sumCounters(this.#pool.counters),
      workers: workers.map((worker) => {
        const kernel = statistics.find((entry) => entry.queue === worker.queue);
        return kernel === undefined ? worker : { ...worker, kernel };
      }),
    };
  }

  /** Stops judging and removes everything that was set up. */
  async stop(): Promise<void> {
    const { log, table } = this.#options;
    this.states.close();
    this.#registry.close();
    await this.#control?.close();
    await this.#reloading;
    this.#rules.stopQueueing();
    await this.#pool.stop();
    this.#rules.remove();
    log.info(`Tore down nftables: table inet ${table ?? DEFAULT_TABLE}`);
  }

  async #openControl(): Promise<void> {
    try {
      this.#control = await ControlServer.open(this, this.#options.control);
    } catch (error) {
      this.#rules.stopQueueing();
      this.#rules.remove();
      throw error;
    }
  }

  async #reload(file: string): Promise<ReloadAnswer> {
    const source = readPolicySource(file);
    const { policy, warnings } = await loadPolicy(source);
    const before = this.#inForce;
    const tables = this.#registry.prepare(policy, before.memory);
    const next: InForce = { source, policy, memory: tables.memory, revision: before.revision + 1 };
    try {
      await this.#pool.replacePolicy(next);
    } catch (error) {
      tables.rollback();
      throw error;
    }
    tables.commit();
    this.#inForce = next;
    const { log } = this.#options;
    const changed = changedSettings(before.policy.settings, policy.settings);
    if (changed.length > 0) log.warning(`settings that take effect at the next start: ${changed.join(", ")}`);
    log.info(`policy revision ${next.revision} is in force: ${file}`);
    return { revision: next.revision, warnings };
  }
}

/**
 * Pinholes as a service of the machine: journal, packet filter and doors, put together.
 *
 * Start: lock ─► journal read ─► packet filter compared and put right ─► doors opened, in their order ─►
 * ready. Stop: doors closed ─► what is on its way finished ─► journal and filter let go. Pinholes stay in
 * force: their leases run on in the kernel, and the next start takes them up.
 */
import { randomBytes } from "node:crypto";
import { FirewallError, type LimitValues } from "../../base/index.ts";
import { type PinholeBackend, type PinholeEventRecord, PinholeStore } from "../../pinhole/index.ts";
import { FolderLock, machineBootId, machineMoment } from "../../system/index.ts";
import type { Log } from "../log.ts";
import { packageVersion } from "../package-version.ts";
import { OwnerLock } from "../owner-lock.ts";
import type { AgentDirectory } from "./agent-directory.ts";
import { DiskJournal } from "./disk-journal.ts";
import type { OpenDoor, PinholeDoor, PinholeHouse } from "./pinhole-door.ts";
import { PinholeService } from "./service.ts";

/** How pinholes are served. */
export interface PinholeDaemonOptions {
  /** Opens the packet filter; called once the lock is ours. */
  readonly openBackend: () => PinholeBackend;
  /** What no other daemon of this network namespace may have: names our rules. */
  readonly lockName: string;
  /** Where the journal is. */
  readonly stateFolder: string;
  /** True: a journal that is damaged is taken up as far as it is whole. */
  readonly isSalvage: boolean;
  readonly agents: AgentDirectory;
  readonly limits: LimitValues;
  readonly doors: readonly OpenDoor[];
  readonly log: Log;
}

/** Something that was opened and must be closed. */
type Closing = () => Promise<void> | void;

/** Events that a person who watches the log wants to see. */
const LOGGED_AS: Readonly<Partial<Record<PinholeEventRecord["type"], "WARNING" | "INFO">>> = {
  "backend.degraded": "WARNING",
  "backend.drift": "WARNING",
  "backend.recovered": "INFO",
};

async function closeAll(closings: readonly Closing[]): Promise<void> {
  for (const close of [...closings].reverse()) await close();
}

/** A running service with its doors. */
export class PinholeDaemon {
  readonly service: PinholeService;
  /** The doors that are open. */
  readonly doors: readonly PinholeDoor[];
  readonly #closings: readonly Closing[];
  #stopping: Promise<void> | undefined;

  private constructor(service: PinholeService, doors: readonly PinholeDoor[], closings: readonly Closing[]) {
    this.service = service;
    this.doors = doors;
    this.#closings = closings;
  }

  /**
   * Starts everything. When it returns, the pinholes of the former run are in force and the doors are open.
   *
   * @throws {FirewallError} when the system refuses; then nothing stays open
   */
  static async start(options: PinholeDaemonOptions): Promise<PinholeDaemon> {
    const closings: Closing[] = [];
    try {
      const service = await startService(options, closings);
      const { agents, limits, log } = options;
      const house: PinholeHouse = { service, agents, limits, log, version: packageVersion() };
      const doors: PinholeDoor[] = [];
      for (const open of options.doors) {
        const door = await open(house);
        closings.push(() => door.close());
        doors.push(door);
        log.info(`listening at ${door.address}`, { address: door.address });
      }
      return new PinholeDaemon(service, doors, closings);
    } catch (error) {
      await closeAll(closings);
      throw error;
    }
  }

  /** Closes the doors, finishes what is on its way, and lets go. What is in force stays. */
  stop(): Promise<void> {
    this.#stopping ??= closeAll(this.#closings);
    return this.#stopping;
  }
}

async function startService(options: PinholeDaemonOptions, closings: Closing[]): Promise<PinholeService> {
  const { lockName, stateFolder, isSalvage, limits, log } = options;
  const lock = await OwnerLock.take(lockName, "pinholes");
  closings.push(() => lock.release());
  const folder = FolderLock.take(stateFolder);
  closings.push(() => folder.release());
  const bootId = machineBootId();
  const journal = new DiskJournal(stateFolder, bootId, { isSalvage, notice: (text) => log.warning(text) });
  closings.push(() => journal.close());
  const backend = options.openBackend();
  closings.push(() => backend.close());
  const { translation } = options.agents;
  if (translation !== undefined && !backend.abilities.translates) {
    const message = `${backend.name} translates no addresses: take "translation" out of the file of agents`;
    throw new FirewallError("TRANSLATION_UNSUPPORTED", message);
  }
  const store = new PinholeStore({
    limits,
    expansionMax: backend.abilities.expansionMax,
    entropy: (bytes) => randomBytes(bytes),
    hideForeign: options.agents.hidesForeign,
    ...(translation === undefined ? {} : { translation }),
  });
  const service = await PinholeService.start({
    store,
    journal,
    backend,
    moment: machineMoment,
    bootId,
    eventsKept: limits.pinholeEvents,
  });
  // From here on the service closes both.
  closings.splice(-2, 2, () => service.close());
  service.listen((event) => {
    const level = LOGGED_AS[event.type];
    if (level !== undefined) log.log(level, event.text ?? event.type, { event: event.type });
  });
  const { pinholes, generation } = service.status;
  log.info(`${pinholes} pinholes are in force (generation ${generation})`, { pinholes, generation });
  return service;
}

/** A house with pinholes behind doors, for tests: everything but the journal is as in the daemon. */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SimulatedPinholes } from "../../backend/index.ts";
import type { LimitValues } from "../../base/index.ts";
import {
  AgentDirectory,
  Log,
  MemoryJournal,
  type OpenDoor,
  openUnixDoor,
  type PinholeDoor,
  PinholeService,
} from "../../daemon/index.ts";
import { type Moment, type PinholeBackend, PinholeStore, type TranslationPlan } from "../../pinhole/index.ts";
import { machineMoment } from "../../system/index.ts";
import { closeAtEnd } from "../test-file.ts";

/** How a house is built. */
export interface HousePlan {
  /** Text of a file of agents; absent: root alone. */
  readonly agents?: string;
  /** Limits that are not the defaults. */
  readonly limits?: Partial<LimitValues>;
  /** The simulator when absent. */
  readonly backend?: PinholeBackend;
  /** Addresses to translate to; absent: none. */
  readonly translation?: TranslationPlan;
  /** The machine's own clocks when absent. */
  readonly moment?: () => Moment;
  /** Doors beside the Unix socket. */
  readonly doors?: readonly OpenDoor[];
}

/** A house; one that a test leaves open is closed when all tests of its file have ended. */
export interface TestHouse {
  /** Path of its Unix socket. */
  readonly socket: string;
  /** A folder that goes with it. */
  readonly folder: string;
  readonly service: PinholeService;
  readonly agents: AgentDirectory;
  /** All doors, the Unix socket first. */
  readonly doors: readonly PinholeDoor[];
  /** Lines that were logged. */
  readonly log: readonly string[];
  /** Writes the file of agents anew, without its being read. */
  readonly writeAgents: (text: string) => void;
  /** Closes the doors and the service, and removes the folder. */
  close(): Promise<void>;
}

/** Builds a house and opens its doors. */
export async function openHouse(plan: HousePlan = {}): Promise<TestHouse> {
  const folder = mkdtempSync(join(tmpdir(), "postern-house-"));
  const file = join(folder, "agents.json");
  const writeAgents = (text: string): void => writeFileSync(file, text);
  writeAgents(plan.agents ?? "{}");
  const agents = new AgentDirectory({ file });
  const limits = { ...agents.limits, ...plan.limits };
  const backend = plan.backend ?? new SimulatedPinholes();
  const { expansionMax } = backend.abilities;
  const service = await PinholeService.start({
    store: new PinholeStore({
      limits,
      expansionMax,
      entropy: (bytes) => randomBytes(bytes),
      ...(plan.translation === undefined ? {} : { translation: plan.translation }),
    }),
    journal: new MemoryJournal(),
    backend,
    moment: plan.moment ?? machineMoment,
    bootId: "test",
    eventsKept: limits.pinholeEvents,
  });
  const log: string[] = [];
  const logger = new Log({ level: "INFO", write: (text) => log.push(text) });
  const socket = join(folder, "pinholes.sock");
  const house = { service, agents, limits, log: logger, version: "0.0.0" };
  const doors: PinholeDoor[] = [];
  for (const open of [openUnixDoor({ path: socket }), ...(plan.doors ?? [])]) doors.push(await open(house));
  const close = closeAtEnd(async () => {
    for (const door of doors) await door.close();
    await service.close();
    rmSync(folder, { recursive: true });
  });
  return { socket, folder, service, agents, doors, log, writeAgents, close };
}

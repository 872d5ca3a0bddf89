/**
 * The crash matrix: what is in force, in the journal and promised after a process was killed where it hurts.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { NftablesPinholes } from "../../backend/index.ts";
import { defaultLimits } from "../../base/index.ts";
import type { Namespace, RunningProgram, TopologyPlan } from "../../lab/index.ts";
import { PinholeStore } from "../../pinhole/index.ts";
import { inNamespace, machineBootId, machineMoment } from "../../system/index.ts";
import { fakeEntropy, netnsTest } from "../../testing/index.ts";
import { DiskJournal } from "./journal.ts";
import { PinholeService } from "./service.ts";

const WORKER = fileURLToPath(new URL("../../testing/programs/pinhole-worker.js", import.meta.url));
const ALONE: TopologyPlan<"firewall"> = { hosts: ["firewall"], links: [], routers: [], defaultRoutes: [] };
const PLAN = { table: "pinholes", chain: "ph", hooks: ["FORWARD"], otherwise: "drop" } as const;

function work(firewall: Namespace, words: readonly string[]): RunningProgram {
  return firewall.start([process.execPath, WORKER, ...words]);
}

/** Ids of the pinholes whose owners were told that they are in force. */
function promised(worker: RunningProgram): string[] {
  return worker.lines.filter((line) => line.startsWith("ph_")).flatMap((line) => line.split(" "));
}

/** Elements in the kernel, as the kernel's own tool sees them. */
async function enforced(firewall: Namespace): Promise<string[]> {
  const { output } = await firewall.run(["nft", "-j", "list", "table", "inet", "pinholes"]);
  return [...output.matchAll(/"concat": \["203\.0\.113\.1", 6004, "10\.1\.0\.1", (\d+), "udp"\]/g)].map(
    (match) => match[1] ?? "",
  );
}

interface Revival {
  readonly service: PinholeService;
  readonly found: number | undefined;
  readonly ids: string[];
}

async function revive(firewall: Namespace, folder: string, bootId = machineBootId()): Promise<Revival> {
  const backend = inNamespace(firewall.fullName, () => NftablesPinholes.open(PLAN));
  const restore = backend.restore.bind(backend);
  let found: number | undefined;
  backend.restore = async (desired) => {
    const restoration = await restore(desired);
    found = restoration.found;
    return restoration;
  };
  const service = await PinholeService.start({
    store: new PinholeStore({ limits: defaultLimits(), expansionMax: 64, entropy: fakeEntropy() }),
    journal: new DiskJournal(folder, bootId),
    backend,
    moment: machineMoment,
    bootId,
    eventsKept: 16,
  });
  const ids = await service.read((store) => [...store.all()].map(({ id }) => id));
  return { service, found, ids };
}

async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "pinhole-crash-"));
  try {
    await body(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Where the worker dies at its third commit, and how many of its pinholes there are afterwards. */
const MATRIX = [
  { point: "decided", pinholes: 4, why: "nobody was told, and nothing is known of it" },
  { point: "written", pinholes: 6, why: "what is written comes into force" },
  { point: "enforced", pinholes: 6, why: "what is in force stays" },
] as const;

for (const { point, pinholes, why } of MATRIX) {
  netnsTest(`killed when a commit is ${point}: ${why}`, ALONE, ({ firewall }) =>
    withFolder(async (folder) => {
      const worker = work(firewall, [folder, "10", point, "3"]);
      assert.equal((await worker.ended).signal, "SIGKILL", worker.output);
      const told = promised(worker);
      assert.equal(told.length, 4);
      const meanwhile = await enforced(firewall);
      assert.equal(meanwhile.length, point === "enforced" ? 6 : 4, "the last generation stays in force");

      const { service, found, ids } = await revive(firewall, folder);
      assert.ok(found !== undefined, "what was in force is adopted, not built anew");
      assert.equal(ids.length, pinholes);
      assert.ok(
        told.every((id) => ids.includes(id)),
        "what was promised is there",
      );
      assert.equal((await enforced(firewall)).length, pinholes);
      await service.close();
    }),
  );
}

netnsTest(
  "killed at any moment: what was promised is there, and no transaction by half",
  ALONE,
  ({ firewall }) =>
    withFolder(async (folder) => {
      for (const afterMs of [30, 110, 190, 270]) {
        await firewall.run(["nft", "delete", "table", "inet", "pinholes"]);
        rmSync(folder, { recursive: true, force: true });
        const worker = work(firewall, [folder, "10000", "never", "0"]);
        await worker.waitForLine(/^ph_/);
        await delay(afterMs);
        worker.kill("SIGKILL");
        await worker.ended;
        const { service, ids } = await revive(firewall, folder);
        const told = promised(worker);
        assert.ok(told.every((id) => ids.includes(id)));
        assert.ok(ids.length - told.length <= 2, "at most the one that was on its way");
        assert.equal(ids.length % 2, 0);
        assert.equal((await enforced(firewall)).length, ids.length);
        await service.close();
      }
    }),
);

netnsTest(
  "after a start of the machine the journal's pinholes come back, without what is over",
  ALONE,
  ({ firewall }) =>
    withFolder(async (folder) => {
      const worker = work(firewall, [folder, "3", "never", "0"]);
      assert.equal((await worker.ended).status, 0, worker.output);
      await firewall.must(["nft", "flush", "ruleset"]);
      const { service, found, ids } = await revive(firewall, folder, "another start");
      assert.equal(found, undefined);
      assert.equal(ids.length, 6);
      assert.equal((await enforced(firewall)).length, 6);
      const left = await service.read((store) => [...store.all()].map(({ deadline }) => deadline));
      const { now } = machineMoment();
      assert.ok(left.every((deadline) => deadline - now > 500_000 && deadline - now <= 600_000));
      await service.close();
    }),
);

netnsTest("two services cannot share a chain: the second to commit notices", ALONE, ({ firewall }) =>
  withFolder(async (folder) => {
    const { service } = await revive(firewall, folder);
    const other = inNamespace(firewall.fullName, () => NftablesPinholes.open(PLAN));
    await other.restore({ now: 0, generation: 77, elements: [], limits: [] });
    const plan = { now: 0, put: [], remove: [], putLimits: [], removeLimits: [] };
    await other.commit(other.prepare({ ...plan, generation: 78 }));
    await service.audit();
    const late = other.commit(other.prepare({ ...plan, generation: 79 }));
    await assert.rejects(late, { code: "BACKEND_DRIFTED" });
    await other.close();
    await service.close();
  }),
);

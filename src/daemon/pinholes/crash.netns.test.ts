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
import { defaultLimits, parseAddress } from "../../base/index.ts";
import type { Namespace, RunningProgram, TopologyPlan } from "../../lab/index.ts";
import { type Moment, type PacketFacts, type PinholeSpec, PinholeStore } from "../../pinhole/index.ts";
import { inNamespace, machineBootId, machineMoment } from "../../system/index.ts";
import { ALICE, BORDER, eventually, fakeEntropy, netnsTest, PacketProbe } from "../../testing/index.ts";
import { DiskJournal } from "./disk-journal.ts";
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

interface Circumstances {
  readonly bootId?: string;
  readonly moment?: () => Moment;
}

interface Revival {
  readonly service: PinholeService;
  readonly found: number | undefined;
  readonly ids: string[];
}

async function revive(
  firewall: Namespace,
  folder: string,
  { bootId = machineBootId(), moment = machineMoment }: Circumstances = {},
): Promise<Revival> {
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
    moment,
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
      const { service, found, ids } = await revive(firewall, folder, { bootId: "another start" });
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

/** The packet that the worker's first pinhole is for. */
const FIRST: PacketFacts = {
  family: 4,
  protocol: 17,
  source: parseAddress("203.0.113.1")?.words ?? new Uint32Array(4),
  destination: parseAddress("10.1.0.1")?.words ?? new Uint32Array(4),
  sourcePort: 6004,
  destinationPort: 10_000,
  opensTcp: false,
};

netnsTest(
  "packets pass all the while: before, when the service is killed, and while it starts again",
  BORDER,
  (hosts) =>
    withFolder(async (folder) => {
      const { firewall } = hosts;
      const probe = await PacketProbe.open(hosts);
      const worker = work(firewall, [folder, "10000", "never", "0"]);
      await worker.waitForLine(/^ph_/);
      let shown = 0;
      let lost = 0;
      let isOver = false;
      const stream = (async (): Promise<void> => {
        while (!isOver) {
          const passed = await probe.show([FIRST, FIRST]);
          shown += passed.length;
          lost += passed.filter((one) => !one).length;
        }
      })();
      /** Waits until more packets were shown, begun and ended from now on. */
      const more = async (): Promise<void> => {
        const before = shown;
        assert.ok(
          (await eventually(
            () => shown,
            (now) => now > before + 4,
          )) >
            before + 4,
        );
      };
      await more();
      worker.kill("SIGKILL");
      await worker.ended;
      await more();
      const { service } = await revive(firewall, folder);
      await more();
      isOver = true;
      await stream;
      assert.equal(lost, 0);
      probe.close();
      await service.close();
    }),
);

netnsTest(
  "a full disk: what opens is refused, what closes is done, and nothing that was promised is lost",
  ALONE,
  (hosts) =>
    withFolder(async (folder) => {
      const { firewall } = hosts;
      // A disk of its own, which nobody but the worker sees.
      const script = `mount -t tmpfs -o size=400k tmpfs ${folder} && exec ${process.execPath} ${WORKER} ${folder} 10000 never 0`;
      const worker = firewall.start(["unshare", "--mount", "sh", "-c", script]);
      assert.equal((await worker.ended).status, 0, worker.output);
      const told = promised(worker);
      assert.ok(told.length > 0);
      assert.ok(worker.lines.includes("refused JOURNAL_UNAVAILABLE"), worker.output);
      assert.ok(worker.lines.includes(`closed ${told[0] ?? ""}`), worker.output);
      assert.equal((await enforced(firewall)).length, told.length - 1);
    }),
);

netnsTest(
  "a disk without any room keeps no start waiting: what was promised comes into force",
  ALONE,
  (hosts) =>
    withFolder(async (folder) => {
      const { firewall } = hosts;
      const worker = (count: number): string => `${process.execPath} ${WORKER} ${folder} ${count} never 0`;
      const script = [
        `mount -t tmpfs -o size=400k tmpfs ${folder}`,
        worker(5),
        "nft delete table inet pinholes",
        `! cat /dev/zero > ${folder}/fill`,
        worker(0),
      ].join(" && ");
      const run = firewall.start(["unshare", "--mount", "sh", "-c", script]);
      assert.equal((await run.ended).status, 0, run.output);
      assert.equal(promised(run).length, 10);
      assert.equal((await enforced(firewall)).length, 10);
    }),
);

netnsTest(
  "when the wall clock jumps, leases keep their time by the machine's own clock",
  ALONE,
  ({ firewall }) =>
    withFolder(async (folder) => {
      const jumps = { ms: 0 };
      const moment = (): Moment => {
        const { now, wall } = machineMoment();
        return { now, wall: wall + jumps.ms };
      };
      const spec: PinholeSpec = {
        kind: "permit",
        internal: { family: 4, address: "10.1.0.1", ports: [10_000, 10_000] },
        external: { family: 4, address: "203.0.113.1", ports: [6004, 6004] },
        protocol: 17,
        direction: "in",
        lifetime: 600,
      };
      const { service: first } = await revive(firewall, folder, { moment });
      await first.apply(ALICE, [{ op: "open", spec }]);
      for (const days of [30, -30]) {
        jumps.ms = days * 86_400_000;
        await first.audit();
        assert.equal((await enforced(firewall)).length, 1);
      }
      await first.close();
      const { service: second, ids } = await revive(firewall, folder, { moment });
      assert.equal(ids.length, 1);
      const [left] = await second.read((store) =>
        [...store.all()].map(({ deadline }) => deadline - moment().now),
      );
      assert.ok(left !== undefined && left > 500_000 && left <= 600_000, `${left} ms left`);
      await second.close();
    }),
);

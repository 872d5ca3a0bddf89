/**
 * A service of pinholes that dies where it is told: for tests of what a crash leaves.
 *
 * Runs in the network namespace in which it is started, opens one pinhole after the other, and writes a line
 * for each that was answered: its id. Usage: `node pinhole-worker.js JOURNAL-FOLDER COUNT POINT AT`: at the
 * AT-th commit it kills itself at POINT: `decided` (nothing is written yet), `written` (the journal knows),
 * `enforced` (the packet filter too), or `never`. When an opening is refused, it says why, closes the first
 * pinhole, and ends.
 */
import { writeSync } from "node:fs";
import { NftablesPinholes } from "../../backend/index.ts";
import { defaultLimits } from "../../base/index.ts";
import { DiskJournal, PinholeService } from "../../daemon/index.ts";
import {
  type PinholeBackend,
  type PinholeRefusal,
  type PinholeSpec,
  PinholeStore,
} from "../../pinhole/index.ts";
import { machineBootId, machineMoment } from "../../system/index.ts";
import { ALICE, fakeEntropy } from "../pinholes/agents.ts";

const STDOUT = 1;
const [folder = "", count = "0", point = "never", at = "0"] = process.argv.slice(2);

let commits = 0;

function dieAt(name: string): void {
  if (point === name && commits === Number(at)) process.kill(process.pid, "SIGKILL");
}

/** Lets a backend die before and after it commits. */
function mortal(backend: PinholeBackend): PinholeBackend {
  const commit = backend.commit.bind(backend);
  backend.commit = async (prepared) => {
    dieAt("written");
    await commit(prepared);
    dieAt("enforced");
  };
  return backend;
}

class MortalJournal extends DiskJournal {
  override append(changes: Parameters<DiskJournal["append"]>[0]): Promise<void> {
    commits += 1;
    dieAt("decided");
    return super.append(changes);
  }
}

function pinhole(index: number): PinholeSpec {
  return {
    kind: "permit",
    internal: { family: 4, address: "10.1.0.1", ports: [10_000 + index, 10_000 + index] },
    external: { family: 4, address: "203.0.113.1", ports: [6004, 6004] },
    protocol: 17,
    direction: "in",
    lifetime: 600,
  };
}

const backend = mortal(
  NftablesPinholes.open({ table: "pinholes", chain: "ph", hooks: ["FORWARD"], otherwise: "drop" }),
);
const service = await PinholeService.start({
  store: new PinholeStore({
    limits: defaultLimits(),
    expansionMax: backend.abilities.expansionMax,
    entropy: fakeEntropy(Date.now()),
  }),
  journal: new MortalJournal(folder, machineBootId()),
  backend,
  moment: machineMoment,
  bootId: machineBootId(),
  eventsKept: 16,
});
const opened: string[] = [];
try {
  for (let index = 0; index < Number(count); index += 1) {
    const { results } = await service.apply(ALICE, [
      { op: "open", spec: pinhole(2 * index) },
      { op: "open", spec: pinhole(2 * index + 1) },
    ]);
    opened.push(...results.map(({ id }) => id));
    writeSync(STDOUT, `${results.map(({ id }) => id).join(" ")}\n`);
  }
} catch (error) {
  writeSync(STDOUT, `refused ${(error as PinholeRefusal).code}\n`);
  const [first = ""] = opened;
  await service.apply(ALICE, [{ op: "close", id: first }]);
  writeSync(STDOUT, `closed ${first}\n`);
}
await service.close();

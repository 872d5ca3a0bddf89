/** Address tables in the kernel, when it is slow, and when somebody has removed our table. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  DEFAULT_PRIORITY,
  KernelRules,
  planPolicy,
  probeKernel,
  requireQueueExpression,
  type TableContents,
} from "../backend/index.ts";
import { HOOK_NAMES } from "../base/index.ts";
import { laboratoryObstacle } from "../lab/index.ts";
import { DEFAULT_MARK_MASK } from "../netlink/index.ts";
import { allocateMemory } from "../policy/index.ts";
import { inFreshNamespace, Nftables } from "../system/index.ts";
import { type AddressTable, EntryList } from "../tables/index.ts";
import { compileValid } from "../testing/policy-probe.ts";
import { Log } from "./log.ts";
import { TableMirror, tableContents } from "./table-mirror.ts";

const skip = laboratoryObstacle() ?? false;
const POLICY = {
  settings: { tables: { some: {} } },
  INPUT: [{ name: "TableRule", table: "some", action: "DROP" }],
};

/** Runs a command in the namespace one is in; what it prints. */
function nft(command: string): string {
  const nftables = Nftables.open();
  try {
    return nftables.run(command);
  } finally {
    nftables.close();
  }
}

interface Scene {
  readonly rules: KernelRules;
  readonly table: AddressTable;
  /** Builds the plan of {@link POLICY}. */
  readonly prepare: (contents: TableContents) => void;
}

/** Our rules in a namespace of their own, and the table that a policy asks there. */
function withRules(work: (scene: Scene) => void): void {
  const expression = requireQueueExpression(probeKernel());
  const policy = compileValid(POLICY);
  const memory = allocateMemory(policy);
  const [table] = policy.attachTables(memory);
  assert.ok(table !== undefined);
  inFreshNamespace(() => {
    const queues = { first: 0, count: 1, bypass: true };
    const form = {
      table: "postern",
      hooks: HOOK_NAMES,
      priority: DEFAULT_PRIORITY,
      markMask: DEFAULT_MARK_MASK,
    };
    const rules = KernelRules.install({ ...form, queues }, expression);
    const prepare = (contents: TableContents): void =>
      rules.preparePlan(
        planPolicy(policy, memory),
        { tracksConnections: true, logsDrops: false, revision: 1 },
        [contents],
      );
    work({ rules, table, prepare });
  });
}

test("lifetimes are reckoned when the plan stands, however long it took to build", { skip }, () => {
  withRules(({ table, prepare }) => {
    table.add(EntryList.of(["192.0.2.1"]), 0, 60_000);
    let asked = 0;
    const clock = (): number => {
      asked += 1;
      assert.match(nft("list sets table inet postern"), /set plan1-in-some-4 /);
      return 0;
    };
    prepare({ ...tableContents(table), clock });
    assert.ok(asked > 0);
    assert.match(nft("list set inet postern plan1-in-some-4"), /192\.0\.2\.1 timeout 59s/);
  });
});

test("entries that the kernel was told of too late are left to userspace", { skip }, () => {
  withRules(({ rules, table, prepare }) => {
    table.add(EntryList.of(["192.0.2.1"]), 0, 60_000);
    table.add(EntryList.of(["192.0.2.8"]), 0);
    let time = 0;
    let step = 1001;
    const clock = (): number => (time += step) - step;
    const contents = (): TableContents => ({ ...tableContents(table), clock });
    const held = (list: string): string[] =>
      nft(`list set inet postern plan1-${list}-some-4`).match(/192\.0\.2\.\d+/g) ?? [];
    prepare(contents());
    rules.commitPlan();
    assert.deepEqual([held("in"), held("ask")], [["192.0.2.8"], ["192.0.2.1"]]);
    step = 1000;
    rules.changeTables([contents()]);
    assert.deepEqual(held("in"), ["192.0.2.1", "192.0.2.8"], "just in time");
    step = 1001;
    table.add(EntryList.of(["192.0.2.9"]), 0, 60_000);
    rules.changeTables([contents()]);
    assert.deepEqual([held("in"), held("ask")], [["192.0.2.8"], ["192.0.2.1", "192.0.2.9"]]);
  });
});

test("a change of a table survives that somebody has removed ours, and says so", { skip }, () => {
  withRules(({ rules, table, prepare }) => {
    const lines: string[] = [];
    const log = new Log({ level: "WARNING", write: (line) => lines.push(line) });
    const mirror = new TableMirror(rules, log);
    prepare(tableContents(table));
    rules.commitPlan();
    table.add(EntryList.of(["192.0.2.1"]), 0);
    nft("delete table inet postern");
    mirror.tell([table]);
    assert.match(lines.at(-1) ?? "", /\[CRITICAL\] .*start the firewall anew: .*No such file/);
    const { length } = lines;
    for (let change = 2; change < 5; change += 1) {
      table.add(EntryList.of([`192.0.2.${change}`]), 0);
      mirror.tell([table]);
    }
    assert.equal(lines.length, length, "that is told once");
    for (const read of [() => mirror.readStatistics(), () => mirror.zero("some")]) {
      assert.throws(read, {
        code: "KERNEL_RULES_MISSING",
        message: /start the firewall anew: .*No such file/,
      });
    }
  });
});

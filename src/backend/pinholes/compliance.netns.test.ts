import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { laboratoryObstacle, type Namespace, withTopology } from "../../lab/index.ts";
import type { PinholeBackend } from "../../pinhole/index.ts";
import { inNamespace, machineMoment } from "../../system/index.ts";
import { BORDER, COMPLIANCE, ComplianceWorld, PacketProbe } from "../../testing/index.ts";
import { IptablesPinholes } from "../iptables/iptables-pinholes.ts";
import { NftablesPinholes } from "./nftables-pinholes.ts";

const OPTIONS = { skip: laboratoryObstacle() ?? false, timeout: 300_000 };

/** Cases that there are at least. */
const CASES_MIN = 20;

/** Makes a filter of the kernel as it is before each test. */
type SetUp = (firewall: Namespace) => Promise<PinholeBackend>;

const ownTable: SetUp = async (firewall) => {
  await firewall.run(["nft", "delete", "table", "inet", "pinholes"]);
  return inNamespace(firewall.fullName, () =>
    NftablesPinholes.open({ table: "pinholes", chain: "ph", hooks: ["FORWARD"], otherwise: "drop" }),
  );
};

const administratorsTable: SetUp = async (firewall) => {
  await firewall.run(["nft", "delete", "table", "inet", "filter"]);
  const backend = inNamespace(firewall.fullName, () =>
    NftablesPinholes.open({ table: "filter", chain: "ph" }),
  );
  await firewall.must(["nft", "add table inet filter; add chain inet filter ph;"]);
  const hook = "{ type filter hook forward priority 0; policy drop; }";
  await firewall.must([
    "nft",
    `add chain inet filter forward ${hook}; add rule inet filter forward jump ph;`,
  ]);
  return backend;
};

const iptables: SetUp = async (firewall) => {
  const launcher = ["ip", "netns", "exec", firewall.fullName];
  for (const program of ["iptables", "ip6tables"]) {
    for (const words of [
      ["-F"],
      ["-X"],
      ["-N", "ph"],
      ["-A", "FORWARD", "-j", "ph"],
      ["-A", "FORWARD", "-j", "DROP"],
    ]) {
      await firewall.run([program, ...words]);
    }
  }
  await firewall.run(["ipset", "destroy"]);
  return inNamespace(firewall.fullName, () => IptablesPinholes.open({ chain: "ph", launcher }));
};

/** Without what newer kernels can do: to remove what may be gone, and to renew a lifetime. */
const oldKernel: SetUp = async (firewall) => {
  await firewall.run(["nft", "delete", "table", "inet", "pinholes"]);
  return inNamespace(firewall.fullName, () =>
    NftablesPinholes.open(
      { table: "pinholes", chain: "ph", hooks: ["FORWARD"], otherwise: "drop" },
      { destroys: false, renews: false },
    ),
  );
};

/** Runs the cases of all filters, each with the filter made anew. */
async function carryOut(context: TestContext, setUp: SetUp): Promise<void> {
  await withTopology(BORDER, async (hosts) => {
    const probe = await PacketProbe.open(hosts);
    let carriedOut = 0;
    for (const one of COMPLIANCE) {
      await context.test(one.title, async () => {
        const backend = await setUp(hosts.firewall);
        const world = new ComplianceWorld({
          backend,
          show: (packets, payloadBytes) => probe.show(packets, payloadBytes),
          moment: machineMoment,
          pass: (ms) => delay(ms),
        });
        try {
          await world.restore();
          await one.run(world);
          carriedOut += 1;
        } finally {
          await backend.close();
        }
      });
    }
    probe.close();
    assert.ok(carriedOut >= CASES_MIN, `${carriedOut} cases`);
  });
}

void test(
  "nftables in a table of its own lets real packets through as every filter must",
  OPTIONS,
  (context) => carryOut(context, ownTable),
);

void test(
  "nftables in the administrator's table lets real packets through as every filter must",
  OPTIONS,
  (context) => carryOut(context, administratorsTable),
);

void test(
  "nftables as on kernels before 6.3 lets real packets through as every filter must",
  OPTIONS,
  (context) => carryOut(context, oldKernel),
);

void test("iptables with ipset lets real packets through as every filter must", OPTIONS, (context) =>
  carryOut(context, iptables),
);

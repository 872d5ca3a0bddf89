import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { laboratoryObstacle, type Namespace, withTopology } from "../../lab/index.ts";
import type { PinholeBackend } from "../../pinhole/index.ts";
import { inNamespace, machineMoment } from "../../system/index.ts";
import { BORDER, COMPLIANCE, ComplianceWorld, PacketProbe } from "../../testing/index.ts";
import { IptablesPinholes } from "../iptables/iptables-pinholes.ts";
import { NftablesPinholes } from "./nftables-pinholes.ts";

const skip = laboratoryObstacle() ?? false;

/** Filters of the kernel, and how they are set up before each test. */
const FILTERS: Readonly<Record<string, (firewall: Namespace) => Promise<PinholeBackend>>> = {
  "nftables, in a table of its own": async (firewall) => {
    await firewall.run(["nft", "delete", "table", "inet", "pinholes"]);
    return inNamespace(firewall.fullName, () =>
      NftablesPinholes.open({ table: "pinholes", chain: "ph", hooks: ["FORWARD"], otherwise: "drop" }),
    );
  },
  "nftables, in the administrator's table": async (firewall) => {
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
  },
  "iptables and ipset": async (firewall) => {
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
  },
};

for (const [name, setUp] of Object.entries(FILTERS)) {
  void test(name, { skip, timeout: 300_000 }, (context) =>
    withTopology(BORDER, async (hosts) => {
      const probe = await PacketProbe.open(hosts);
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
          } finally {
            await backend.close();
          }
        });
      }
      probe.close();
    }),
  );
}

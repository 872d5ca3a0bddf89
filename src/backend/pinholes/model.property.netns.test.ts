import assert from "node:assert/strict";
import fc from "fast-check";
import { judgePacket } from "../../pinhole/index.ts";
import { inNamespace } from "../../system/index.ts";
import { BORDER, HistoryWorld, histories, netnsTest, PacketProbe, packets } from "../../testing/index.ts";
import { NftablesPinholes } from "./nftables-pinholes.ts";
import { SimulatedPinholes } from "./simulator.ts";

/** Leases outlast the test, because the kernel's clock is not the model's. */
const SHAPE = { lifetimes: [1000, 5000], pauseMaxMs: 500_000, stepsMax: 12 } as const;

netnsTest(
  "model, simulator and nftables agree about real packets after any history",
  BORDER,
  async (hosts) => {
    const probe = await PacketProbe.open(hosts);
    const kernel = inNamespace(hosts.firewall.fullName, () =>
      NftablesPinholes.open({ table: "pinholes", chain: "ph", hooks: ["FORWARD"], otherwise: "drop" }),
    );
    const seen = { passed: 0, stopped: 0, blocked: 0 };
    try {
      await fc.assert(
        fc.asyncProperty(
          histories(SHAPE),
          fc.array(packets(), { minLength: 100, maxLength: 100 }),
          async (history, shown) => {
            const simulator = new SimulatedPinholes();
            const world = new HistoryWorld([simulator, kernel]);
            await world.begin();
            for (const step of history) {
              await world.step(step);
              const passed = await probe.show(shown);
              for (const [index, packet] of shown.entries()) {
                const judgement = judgePacket(world.store.all(), packet);
                const verdict = simulator.judge(packet, world.moment.now);
                seen[passed[index] === true ? "passed" : "stopped"] += 1;
                if (judgement === "block") seen.blocked += 1;
                assert.equal(verdict === "accept", judgement === "permit", "simulator and model");
                assert.equal(passed[index], judgement === "permit", "kernel and model");
              }
            }
            await world.audit();
          },
        ),
        { numRuns: 40 },
      );
    } finally {
      probe.close();
      await kernel.close();
    }
    assert.ok(seen.passed > 300 && seen.blocked > 50, JSON.stringify(seen));
  },
);

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { COMPLIANCE, ComplianceWorld, type Harness } from "../../testing/index.ts";
import { SimulatedPinholes } from "./simulator.ts";

const IP_UDP_BYTES = 28;

function simulate(): Harness {
  const backend = new SimulatedPinholes();
  let now = 1000;
  return {
    backend,
    show: (packets, payloadBytes = 8) => {
      const bytes = IP_UDP_BYTES + payloadBytes;
      return Promise.resolve(packets.map((packet) => backend.judge(packet, now, bytes) === "accept"));
    },
    moment: () => ({ now, wall: now }),
    pass: (ms) => {
      now += ms;
      return Promise.resolve();
    },
  };
}

describe("the simulator does as every filter must", () => {
  it("in more than twenty cases", () => {
    assert.ok(COMPLIANCE.length > 20);
  });

  for (const test of COMPLIANCE) {
    it(test.title, async () => {
      const world = new ComplianceWorld(simulate());
      await world.restore();
      await test.run(world);
    });
  }
});

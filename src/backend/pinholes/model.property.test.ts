import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { forwardPacket } from "../../pinhole/index.ts";
import { HistoryWorld, histories, packets, packetsToLeases } from "../../testing/index.ts";
import { SimulatedPinholes } from "./simulator.ts";

const SHAPE = { lifetimes: [1, 200], pauseMaxMs: 60_000, stepsMax: 25 } as const;
const VERDICTS = { block: "drop", permit: "accept", none: "none" } as const;

describe("model and simulator", () => {
  it("agree about every packet after any history, deaths and translations among it", async () => {
    const seen = { accept: 0, drop: 0, none: 0, translated: 0 };
    await fc.assert(
      fc.asyncProperty(
        histories(SHAPE),
        fc.array(packets(), { minLength: 60, maxLength: 60 }),
        async (history, shown) => {
          const filter = new SimulatedPinholes();
          const world = new HistoryWorld([filter]);
          await world.begin();
          for (const step of history) {
            await world.step(step);
            const pinholes = [...world.store.all()];
            for (const packet of [...shown, ...pinholes.flatMap(packetsToLeases)]) {
              const { verdict, packet: left } = filter.forward(packet, world.moment.now);
              const passage = forwardPacket(pinholes, packet);
              seen[verdict] += 1;
              assert.equal(verdict, VERDICTS[passage.judgement]);
              assert.deepEqual(left, passage.packet);
              if (left.source !== packet.source || left.destination !== packet.destination) {
                seen.translated += 1;
              }
            }
          }
        },
      ),
      { numRuns: 150 },
    );
    assert.ok(Math.min(seen.accept, seen.drop, seen.translated) > 300, JSON.stringify(seen));
  });
});

/** Of what every packet filter must do: counting and limits. */
import assert from "node:assert/strict";
import { PROTOCOL } from "../../base/index.ts";
import { ALICE, BOB } from "./agents.ts";
import { type ComplianceCase, flow, IN, OUT, OURS, THEIRS, packet } from "./compliance-world.ts";

const TCP = PROTOCOL.TCP;

const LIMIT_PACKETS = Array.from({ length: 60 }, () => packet(IN));

/** Tests of counting and limits. */
export const LIMIT_CASES: readonly ComplianceCase[] = [
  {
    title: "counts what passes through an element",
    run: async (world) => {
      if (!world.backend.abilities.counts) return;
      const id = await world.open(flow(4, { direction: "in" }));
      const pinhole = world.store.find(ALICE, id);
      assert.ok(pinhole !== undefined);
      const elements = world.store.elementsOf(pinhole);
      await world.expect([
        [IN, true],
        [IN, true],
        [OUT, false],
      ]);
      const [traffic] = await world.backend.traffic(elements);
      assert.equal(traffic?.packets, 2);
      assert.ok((traffic?.bytes ?? 0) >= 2 * 36);
    },
  },
  {
    title: "lets so many packets a second through and no more, over all elements of a pinhole",
    run: async (world) => {
      if (!world.backend.abilities.limits.includes("pps")) return;
      await world.open(
        flow(4, {
          limit: { pps: 1, burst: 10 },
          internal: { family: 4, address: OURS[4], ports: [5004, 5005] },
        }),
      );
      const passed = await world.harness.show(LIMIT_PACKETS);
      const count = passed.filter((one) => one).length;
      assert.ok(count >= 10 && count <= 13, `${count} passed`);
      await world.expect([[{ ...IN, ourPort: 5005 }, false]]);
    },
  },
  {
    title: "lets so many bytes through and no more",
    run: async (world) => {
      if (!world.backend.abilities.limits.includes("quotaBytes")) return;
      await world.open(flow(4, { limit: { quotaBytes: 5500 } }));
      const passed = await world.harness.show(LIMIT_PACKETS.slice(0, 20), 972);
      assert.equal(passed.filter((one) => one).length, 5);
    },
  },
  {
    title: "lets so many bits a second through and no more",
    run: async (world) => {
      if (!world.backend.abilities.limits.includes("bps")) return;
      const range = { family: 4, address: OURS[4], ports: [5000, 9999] } as const;
      await world.open(flow(4, { limit: { bps: 80_000 }, internal: range }));
      const passed = await world.harness.show(LIMIT_PACKETS, 972);
      const count = passed.filter((one) => one).length;
      assert.ok(count >= 9 && count <= 12, `${count} passed`);
    },
  },
  {
    title: "lets so many connections a second be set up and no more",
    run: async (world) => {
      if (!world.backend.abilities.limits.includes("newPerSec")) return;
      const limit = { newPerSec: 1 };
      await world.open(flow(4, { protocol: TCP, limit, external: { family: 4, address: THEIRS[4] } }));
      const knocks = Array.from({ length: 30 }, (_, index) =>
        packet({ ...IN, protocol: TCP, syn: true, theirPort: 2000 + index }),
      );
      const count = (await world.harness.show(knocks)).filter((one) => one).length;
      assert.ok(count >= 5 && count <= 7, `${count} passed`);
    },
  },
  {
    title: "tells which packets went beyond which limit, and each of them once",
    run: async (world) => {
      if (!world.backend.abilities.limits.includes("pps")) return;
      const external = { family: 4, address: THEIRS[4] } as const;
      await world.open(flow(4, { limit: { pps: 1, burst: 5 } }));
      await world.open(flow(6, { limit: { quotaBytes: 1 }, internal: { family: 6, address: OURS[6] } }));
      await world.open(flow(4, { protocol: TCP, limit: { newPerSec: 1 }, external }));
      assert.deepEqual(await world.backend.overruns(), [], "nothing was refused yet");
      const knocks = Array.from({ length: 10 }, (_, index) => ({
        ...IN,
        protocol: TCP,
        syn: true,
        theirPort: 2000 + index,
      }));
      const words = [...LIMIT_PACKETS.map(() => IN), { ...IN, family: 6 } as const, ...knocks];
      const passed = await world.harness.show(words.map(packet));
      const told = new Map<string, number>();
      for (const { limit, packet: one, packets } of await world.backend.overruns()) {
        const flowOf = `${limit} ${one.family} ${one.protocol} ${one.sourcePort} ${one.destinationPort}`;
        told.set(flowOf, (told.get(flowOf) ?? 0) + packets);
      }
      const refused = passed.slice(0, LIMIT_PACKETS.length).filter((one) => !one).length;
      assert.ok(refused > 50, `${refused} refused`);
      const expected = new Map([
        ["pps 4 17 6004 5004", refused],
        ["quotaBytes 6 17 6004 5004", 1],
      ]);
      for (const [index, { theirPort }] of knocks.entries()) {
        const isPassed = passed[LIMIT_PACKETS.length + 1 + index] === true;
        if (!isPassed) expected.set(`newPerSec 4 6 ${theirPort} 5004`, 1);
      }
      assert.deepEqual(Object.fromEntries(told), Object.fromEntries(expected));
      assert.deepEqual(await world.backend.overruns(), [], "what was told is not told again");
      const { added, removed } = await world.restore();
      assert.deepEqual({ added, removed }, { added: [], removed: [] });
      await world.harness.show(LIMIT_PACKETS);
      const [again] = await world.backend.overruns();
      assert.equal(again?.limit, "pps", "also after everything was looked at");
    },
  },
  {
    title: "limits end with their pinhole, and another pinhole has limits of its own",
    run: async (world) => {
      if (!world.backend.abilities.limits.includes("pps")) return;
      const limited = flow(4, { limit: { pps: 1, burst: 5 } });
      const first = await world.open(limited);
      const second = await world.open(limited, BOB);
      await world.harness.show(LIMIT_PACKETS);
      await world.close(first);
      const passed = await world.harness.show(LIMIT_PACKETS);
      assert.ok(passed.filter((one) => one).length >= 5, "the limits of the second count");
      await world.open(flow(4));
      await world.expect([
        [IN, true],
        [IN, true],
        [IN, true],
        [IN, true],
        [IN, true],
        [IN, true],
        [IN, true],
      ]);
      await world.close(second, BOB);
      const { added, removed } = await world.restore();
      assert.deepEqual({ added, removed }, { added: [], removed: [] });
    },
  },
];

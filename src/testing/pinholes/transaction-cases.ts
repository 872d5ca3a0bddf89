/** Of what every packet filter must do: transactions, leases and restoration. */
import assert from "node:assert/strict";
import { ALICE } from "./agents.ts";
import { ComplianceWorld, type ComplianceCase, flow, IN, THEIRS } from "./compliance-world.ts";

/** Tests of transactions, leases and restoration. */
export const TRANSACTION_CASES: readonly ComplianceCase[] = [
  {
    title: "a commit is all or nothing: closing and opening change places together",
    run: async (world) => {
      const id = await world.open(flow(4));
      await world.apply([
        { op: "close", id },
        { op: "open", spec: flow(4) },
        { op: "open", spec: flow(6) },
      ]);
      await world.expect([
        [IN, true],
        [{ ...IN, family: 6 }, true],
      ]);
    },
  },
  {
    title: "what is prepared and rolled back has no effect, and can be prepared again",
    run: async (world) => {
      const { backend } = world;
      for (const external of [
        { family: 4, address: THEIRS[4], ports: [1, 60_000] } as const,
        { family: 4 } as const,
      ]) {
        const transaction = world.store.stage(ALICE, world.harness.moment());
        transaction.open(flow(4, { external }));
        const prepared = world.store.prepare([{ transaction, options: {} }], world.harness.moment());
        backend.rollback(backend.prepare(prepared.plan));
        prepared.takeBack();
        await world.expect([[IN, false]]);
        const id = await world.open(flow(4, { external }));
        await world.expect([[IN, true]]);
        await world.close(id);
      }
    },
  },
  {
    title: "a lease ends by itself at its time, and a renewed one lives on",
    run: async (world) => {
      if (!world.backend.abilities.expires) return;
      const [, renewed = ""] = await world.apply([
        { op: "open", spec: flow(4, { lifetime: 2 }) },
        { op: "open", spec: flow(6, { lifetime: 2 }) },
      ]);
      await world.apply([{ op: "renew", id: renewed, lifetime: 30 }]);
      await world.expect([
        [IN, true],
        [{ ...IN, family: 6 }, true],
      ]);
      await world.harness.pass(3100);
      await world.expect([
        [IN, false],
        [{ ...IN, family: 6 }, true],
      ]);
      await world.apply([{ op: "open", spec: flow(4) }]);
      await world.expect([[IN, true]]);
    },
  },
  {
    title: "a shortened lease ends early",
    run: async (world) => {
      const id = await world.open(
        flow(4, { external: { family: 4, address: THEIRS[4], ports: [6000, 6999] } }),
      );
      await world.apply([{ op: "renew", id, lifetime: 1 }]);
      await world.expect([[IN, true]]);
      await world.harness.pass(2100);
      await world.expect([[IN, false]]);
    },
  },
  {
    title: "restoring finds nothing to do when all is right, and says which generation it found",
    run: async (world) => {
      await world.apply([
        { op: "open", spec: flow(4) },
        { op: "open", spec: flow(6, { external: { family: 6, address: THEIRS[6], ports: [6000, 6999] } }) },
        {
          op: "open",
          spec: flow(4, { kind: "block", external: { family: 4, address: "198.18.0.0", prefix: 16 } }),
        },
      ]);
      const { found, added, renewed, removed } = await world.restore();
      assert.deepEqual(
        { found, added, renewed, removed },
        { found: world.store.generation, added: [], renewed: [], removed: [] },
      );
      await world.expect([
        [IN, true],
        [{ ...IN, family: 6 }, true],
      ]);
    },
  },
  {
    title: "a plan for another rule set than the one in force changes nothing",
    run: async (world) => {
      await world.open(flow(4));
      const stranger = new ComplianceWorld(world.harness);
      await stranger.restore();
      await world.expect([[IN, false]]);
      await world.restore();
      await world.expect([[IN, true]]);
    },
  },
];

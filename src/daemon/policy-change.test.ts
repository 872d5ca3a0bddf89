import assert from "node:assert/strict";
import { test } from "node:test";
import { FirewallError } from "../base/index.ts";
import { changePolicy } from "./policy-change.ts";
import type { PoolPolicy } from "./worker-pool.ts";

/** What a change did, in order, and what was logged of it. */
interface Outcome {
  readonly steps: string[];
  readonly logged: string[];
  readonly error: unknown;
}

/** Changes the policy in a world where the n-th call of each named step fails. */
async function change(failing: Readonly<Record<string, readonly number[]>>): Promise<Outcome> {
  const steps: string[] = [];
  const logged: string[] = [];
  const step = (name: string): void => {
    const nth = steps.filter((each) => each === name).length;
    steps.push(name);
    if (failing[name]?.includes(nth) === true) throw new FirewallError("NFTABLES_REFUSED", `${name} refused`);
  };
  const log = (message: string): void => void logged.push(message);
  const error = await changePolicy(
    {
      pool: { replacePolicy: async () => step("workers") },
      rules: {
        commitPlan: () => step("commitPlan"),
        rollbackPlan: () => step("rollbackPlan"),
        tellStates: (isTelling) => step(`tellStates ${isTelling}`),
        isTellingStates: false,
      },
      seals: {
        renew: async (during) => {
          step("renew");
          await during?.();
        },
      },
      log: { warning: log, critical: log },
    },
    {
      next: {} as PoolPolicy,
      isTelling: true,
      preparePlan: () => step("preparePlan"),
      begun: () => step("begun"),
      commitTables: () => step("commitTables"),
      tables: { rollback: () => step("tables rolled back") },
    },
  ).catch((refusal: unknown) => refusal);
  return { steps, logged, error };
}

const WHOLE = ["preparePlan", "renew", "tellStates true", "workers", "begun"];

test("a policy is in force once the workers judge by it; the kernel follows", async () => {
  const { steps, error, logged } = await change({});
  assert.equal(error, undefined);
  assert.deepEqual(steps, [...WHOLE, "commitPlan", "tellStates true", "commitTables"]);
  assert.deepEqual(logged, []);
});

for (const name of ["preparePlan", "renew", "tellStates true", "workers"]) {
  test(`a change that fails at "${name}" lets table commands go before anything else`, async () => {
    // The ways back fail as well: none of them may keep table commands waiting, or hide what went wrong.
    const failing = { [name]: [0], rollbackPlan: [0], "tellStates false": [0] };
    const { steps, error } = await change(failing);
    const at = WHOLE.indexOf(name) + 1;
    assert.deepEqual(steps.slice(0, at), WHOLE.slice(0, at));
    assert.deepEqual(steps.slice(at), ["tables rolled back", "rollbackPlan", "tellStates false"]);
    assert.match(String(error), new RegExp(`${name} refused`));
  });
}

test("a plan that the kernel refuses behind the workers' swap leaves the new policy in force, without one", async () => {
  const { steps, error, logged } = await change({ commitPlan: [0] });
  assert.equal(error, undefined);
  const fallback = ["commitPlan", "rollbackPlan", "commitPlan"];
  assert.deepEqual(steps, [...WHOLE, ...fallback, "tellStates true", "commitTables"]);
  assert.match(logged.join("\n"), /judges no packet by itself any more: commitPlan refused/);
});

test("whatever the kernel refuses behind the workers' swap, each step takes place and nothing is undone", async () => {
  const failing = { commitPlan: [0, 1], rollbackPlan: [0], "tellStates true": [1], commitTables: [0] };
  const { steps, error, logged } = await change(failing);
  assert.equal(error, undefined);
  assert.ok(!steps.includes("tables rolled back") && !steps.includes("tellStates false"));
  assert.equal(steps.at(-1), "commitTables");
  assert.equal(logged.length, 5);
});

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { defaultLimits } from "../../base/index.ts";
import {
  judgePacket,
  type Moment,
  type Operation,
  PinholeRefusal,
  PinholeStore,
} from "../../pinhole/index.ts";
import { ADMIN, ALICE, BOB, fakeEntropy, packets, pinholeSpecs } from "../../testing/index.ts";
import { SimulatedPinholes } from "./simulator.ts";

const AGENTS = [ALICE, BOB, ADMIN];

/** One step of a history: an agent's transaction, or time that passes. */
type Step =
  | { readonly agent: number; readonly operations: readonly Wish[]; readonly isDropped: boolean }
  | { readonly passMs: number };

/** An operation whose target is chosen among what lives when its turn comes. */
type Wish =
  | { readonly op: "open"; readonly spec: Extract<Operation, { op: "open" }>["spec"] }
  | { readonly op: "close"; readonly target: number }
  | { readonly op: "renew"; readonly target: number; readonly lifetime: number };

const wishes: fc.Arbitrary<Wish> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ op: fc.constant("open" as const), spec: pinholeSpecs() }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant("close" as const), target: fc.nat(50) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      op: fc.constant("renew" as const),
      target: fc.nat(50),
      lifetime: fc.integer({ min: 1, max: 200 }),
    }),
  },
);

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        agent: fc.nat(2),
        operations: fc.array(wishes, { minLength: 1, maxLength: 5 }),
        isDropped: fc.boolean(),
      }),
    },
    { weight: 1, arbitrary: fc.record({ passMs: fc.integer({ min: 1, max: 60_000 }) }) },
  ),
  { minLength: 1, maxLength: 25 },
);

class World {
  readonly store: PinholeStore = new PinholeStore({
    limits: defaultLimits(),
    expansionMax: 8,
    entropy: fakeEntropy(),
  });
  readonly filter: SimulatedPinholes = new SimulatedPinholes();
  moment: Moment = { now: 1000, wall: 1_700_000_000_000 };

  async begin(): Promise<void> {
    await this.filter.restore(this.store.desired(this.moment.now));
  }

  async step(step: Step): Promise<void> {
    if ("passMs" in step) return this.#pass(step.passMs);
    const before = this.#snapshot();
    const agent = AGENTS[step.agent] ?? ALICE;
    const transaction = this.store.stage(agent, this.moment);
    const ids = [...this.store.all()].map((pinhole) => pinhole.id);
    for (const wish of step.operations) {
      if (wish.op === "open") transaction.open(wish.spec);
      else if (ids.length === 0) continue;
      else if (wish.op === "close") transaction.close(ids[wish.target % ids.length] ?? "");
      else transaction.renew(ids[wish.target % ids.length] ?? "", wish.lifetime);
    }
    const prepared = this.store.prepare([{ transaction, options: {} }], this.moment);
    const [outcome] = prepared.outcomes;
    if (step.isDropped) prepared.takeBack();
    else {
      await this.filter.commit(this.filter.prepare(prepared.plan));
      prepared.settle();
    }
    if (step.isDropped || outcome instanceof PinholeRefusal) {
      assert.deepEqual(this.#snapshot(), before, "what is refused or taken back leaves no trace");
    }
  }

  async #pass(ms: number): Promise<void> {
    this.moment = { now: this.moment.now + ms, wall: this.moment.wall + ms };
    const prepared = this.store.expire(this.moment);
    if (prepared === undefined) return;
    await this.filter.commit(this.filter.prepare(prepared.plan));
    prepared.settle();
  }

  #snapshot(): unknown {
    const pinholes = [...this.store.all()].map(({ id, revision, deadline, state }) =>
      [id, revision, deadline, state].join(" "),
    );
    const groups = this.store.groups(ADMIN).map((group) => [group.id, ...group.members].join(" "));
    return {
      pinholes: pinholes.sort(),
      groups: groups.sort(),
      elements: this.#elements(),
      held: this.filter.keys,
    };
  }

  #elements(): string[] {
    const { elements } = this.store.desired(0);
    return [...elements].map(({ key, deadline }) => `${key} ${deadline}`).sort();
  }
}

describe("model and simulator", () => {
  it("agree about every packet after any history", async () => {
    const seen = { accept: 0, drop: 0, none: 0 };
    await fc.assert(
      fc.asyncProperty(
        steps,
        fc.array(packets(), { minLength: 60, maxLength: 60 }),
        async (history, shown) => {
          const world = new World();
          await world.begin();
          for (const step of history) {
            await world.step(step);
            for (const packet of shown) {
              const judged = judgePacket(world.store.all(), packet);
              const verdict = world.filter.judge(packet, world.moment.now);
              seen[verdict] += 1;
              assert.equal(verdict, { block: "drop", permit: "accept", none: "none" }[judged]);
            }
          }
        },
      ),
      { numRuns: 150 },
    );
    assert.ok(Math.min(seen.accept, seen.drop) > 300, JSON.stringify(seen));
  });
});

/**
 * Histories by chance: what agents do to pinholes one after the other, told to a store and to packet filters.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { defaultLimits, type Family } from "../../base/index.ts";
import {
  type Moment,
  type Operation,
  type PinholeBackend,
  PinholeRefusal,
  PinholeStore,
  type PreparedCommit,
  type Transaction,
} from "../../pinhole/index.ts";
import { MemoryJournal } from "../../daemon/index.ts";
import { ADMIN, ALICE, BOB, fakeEntropy } from "./agents.ts";
import { pinholeSpecs, POOLS } from "./arbitraries.ts";

const AGENTS = [ALICE, BOB, ADMIN];

/** Targets are chosen among what lives when the turn of an operation comes. */
const TARGETS = 50;

/** An operation whose target is a number among those that live. */
type Wish =
  | { readonly op: "open"; readonly spec: Extract<Operation, { op: "open" }>["spec"] }
  | { readonly op: "close"; readonly target: number }
  | { readonly op: "renew"; readonly target: number; readonly lifetime: number };

/**
 * How a transaction ends. `dropped`: given up when it is decided. The others: the process dies when it is
 * decided, when it is written in the journal, or when it is in force; and another one takes over.
 */
const FATES = ["carried", "dropped", "decided", "written", "enforced"] as const;
type Fate = (typeof FATES)[number];

/** One step: an agent's transaction and its fate, or time that passes. */
export type HistoryStep =
  | { readonly agent: number; readonly wishes: readonly Wish[]; readonly fate: Fate }
  | { readonly passMs: number };

/** How histories shall be. */
export interface HistoryShape {
  readonly families?: readonly Family[];
  /** Shortest and longest lease, in seconds. */
  readonly lifetimes: readonly [number, number];
  /** Longest pause, in milliseconds. */
  readonly pauseMaxMs: number;
  readonly stepsMax: number;
}

/** A history. */
export function histories(shape: HistoryShape): fc.Arbitrary<HistoryStep[]> {
  const [min, max] = shape.lifetimes;
  const target = fc.nat(TARGETS);
  const lifetime = fc.integer({ min, max });
  const wish: fc.Arbitrary<Wish> = fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        op: fc.constant("open" as const),
        spec: pinholeSpecs({ families: shape.families ?? [4, 6], lifetimes: shape.lifetimes }),
      }),
    },
    { weight: 2, arbitrary: fc.record({ op: fc.constant("close" as const), target }) },
    { weight: 1, arbitrary: fc.record({ op: fc.constant("renew" as const), target, lifetime }) },
  );
  const step: fc.Arbitrary<HistoryStep> = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        agent: fc.nat(AGENTS.length - 1),
        wishes: fc.array(wish, { minLength: 1, maxLength: 5 }),
        fate: fc.constantFrom("carried" as const, "carried" as const, "carried" as const, ...FATES),
      }),
    },
    { weight: 1, arbitrary: fc.record({ passMs: fc.integer({ min: 1, max: shape.pauseMaxMs }) }) },
  );
  return fc.array(step, { minLength: 1, maxLength: shape.stepsMax });
}

function makeStore(seed: number): PinholeStore {
  const entropy = fakeEntropy(seed);
  return new PinholeStore({ limits: defaultLimits(), expansionMax: 8, entropy, translation: POOLS });
}

/** What can never be is refused at once, and then the transaction goes on without it. */
function stage(transaction: Transaction, wish: Wish, ids: readonly string[]): void {
  try {
    if (wish.op === "open") transaction.open(wish.spec);
    else if (ids.length === 0) return;
    else if (wish.op === "close") transaction.close(ids[wish.target % ids.length] ?? "");
    else transaction.renew(ids[wish.target % ids.length] ?? "", wish.lifetime);
  } catch (error) {
    if (!(error instanceof PinholeRefusal)) throw error;
  }
}

/** A store and packet filters that live through a history together. */
export class HistoryWorld {
  /** Another one after each death. */
  store: PinholeStore = makeStore(1);
  #deaths = 0;
  readonly #journal: MemoryJournal = new MemoryJournal();
  readonly filters: readonly PinholeBackend[];
  moment: Moment = { now: 1000, wall: 1_700_000_000_000 };

  constructor(filters: readonly PinholeBackend[]) {
    this.filters = filters;
  }

  /** Makes the filters empty. */
  async begin(): Promise<void> {
    for (const filter of this.filters) await filter.restore(this.store.desired(this.moment.now));
  }

  /** Does one step. What is refused or dropped must leave no trace. */
  async step(step: HistoryStep): Promise<void> {
    if ("passMs" in step) return this.#pass(step.passMs);
    const before = this.#snapshot();
    const agent = AGENTS[step.agent] ?? ALICE;
    const transaction = this.store.stage(agent, this.moment);
    const ids = [...this.store.all()].map((pinhole) => pinhole.id);
    for (const wish of step.wishes) stage(transaction, wish, ids);
    const prepared = this.store.prepare([{ transaction, options: {} }], this.moment);
    const decided = this.#snapshot();
    if (step.fate === "dropped") this.#drop(prepared);
    else if (step.fate === "carried") await this.#carry(prepared);
    else await this.#die(prepared, step.fate);
    const isGone = step.fate === "dropped" || step.fate === "decided";
    if (isGone || prepared.outcomes[0] instanceof PinholeRefusal) {
      assert.deepEqual(this.#snapshot(), before, "what is refused or dropped leaves no trace");
    } else assert.deepEqual(this.#snapshot(), decided, "what is written comes into force");
  }

  /** Reads the filters and expects to find nothing to be put right. */
  async audit(): Promise<void> {
    for (const filter of this.filters) {
      const { added, removed } = await filter.restore(this.store.desired(this.moment.now));
      assert.deepEqual({ added, removed }, { added: [], removed: [] }, filter.name);
    }
  }

  async #pass(ms: number): Promise<void> {
    this.moment = { now: this.moment.now + ms, wall: this.moment.wall + ms };
    const due = this.store.takeDue(this.moment);
    if (due.length > 0) await this.#carry(this.store.end(due, "expire", this.moment));
  }

  /** The process dies while it carries something out, and another one begins with the journal. */
  async #die(prepared: PreparedCommit, point: "decided" | "written" | "enforced"): Promise<void> {
    if (point !== "decided") await this.#journal.append(prepared.journal);
    if (point === "enforced") {
      for (const filter of this.filters) await filter.commit(filter.prepare(prepared.plan));
    }
    this.#deaths += 1;
    this.store = makeStore(1 + this.#deaths);
    await this.store.load(this.#journal.load(), this.moment, "boot");
    await this.begin();
  }

  async #carry(prepared: PreparedCommit): Promise<void> {
    await this.#journal.append(prepared.journal);
    for (const filter of this.filters) await filter.commit(filter.prepare(prepared.plan));
    prepared.settle();
  }

  #drop(prepared: PreparedCommit): void {
    for (const filter of this.filters) filter.rollback(filter.prepare(prepared.plan));
    prepared.takeBack();
  }

  #snapshot(): unknown {
    const pinholes = [...this.store.all()].map(({ id, revision, deadline, state }) =>
      [id, revision, deadline, state].join(" "),
    );
    const groups = this.store.groups(ADMIN).map((group) => [group.id, ...group.members].join(" "));
    const elements = [...this.store.desired(0).elements].map(({ key, deadline }) => `${key} ${deadline}`);
    return { pinholes: pinholes.sort(), groups: groups.sort(), elements: elements.sort() };
  }
}

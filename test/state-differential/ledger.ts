/** Keeps the account of a comparison: how often both tables agreed, and under which names they did not. */
import { agree, breach, DISAGREEMENTS, type Disagreement, ODD_DISAGREEMENTS } from "./disagreements.ts";
import type { Pair, Step } from "./twin-tables.ts";

/** What happened on one flow so far, for messages. */
export type Story = () => string;

/** Failures that a message shows. */
const FAILURES_SHOWN = 5;

function shows(disagreement: Disagreement, { own, kernel }: Pair): boolean {
  return disagreement.pairs?.some(([mine, theirs]) => mine === own && theirs === kernel) ?? true;
}

/** See above. */
export class Ledger {
  /** Comparisons. */
  steps = 0;
  /** Those in which both tables said the same. */
  agreed = 0;
  /** Those in which they did not, by name. */
  readonly named = new Map<string, number>();
  readonly #failures: string[] = [];
  readonly #odd: boolean;
  readonly #known: readonly Disagreement[];
  readonly #open = new Map<string, Disagreement>();
  /** Names that each flow has had. */
  readonly #histories = new Map<string, Set<string>>();

  /** @param odd - whether names may explain that only odd segments bring about */
  constructor(odd = false) {
    this.#odd = odd;
    this.#known = odd ? [...DISAGREEMENTS, ...ODD_DISAGREEMENTS] : DISAGREEMENTS;
  }

  /** The first of the comparisons that no name explains, and of the breaches. */
  get failures(): string[] {
    return this.#failures.slice(0, FAILURES_SHOWN);
  }

  /** Share of comparisons in which both tables agreed, 0 to 1. */
  get agreement(): number {
    return this.steps === 0 ? 0 : this.agreed / this.steps;
  }

  /** Enters a comparison. @param story - what led there */
  enter(step: Step, story: Story): void {
    this.steps += 1;
    const broken = breach(step.after);
    if (broken !== undefined && !this.#isExcused(step)) this.#failures.push(`BREACH ${broken}: ${story()}`);
    if (agree(step.after)) {
      this.agreed += 1;
      this.#open.delete(step.flow);
      return;
    }
    const cause = this.#cause(step);
    if (cause === undefined) {
      const { before, after } = step;
      const words = `${before?.own}/${before?.kernel} -> ${after.own}/${after.kernel} (${step.did})`;
      this.#failures.push(`UNLISTED ${words}: ${story()}`);
      return;
    }
    this.#open.set(step.flow, cause);
    this.#history(step.flow).add(cause.name);
    this.named.set(cause.name, (this.named.get(cause.name) ?? 0) + 1);
  }

  /** Forgets flows, whose names may be had by others. */
  forget(): void {
    this.#open.clear();
    this.#histories.clear();
  }

  /** The account as lines of a table. */
  lines(): string[] {
    const share = (count: number): string => `${((100 * count) / this.steps).toFixed(2)} %`;
    const named = [...this.named].sort((a, b) => b[1] - a[1]);
    return [
      `${this.steps} comparisons, ${share(this.agreed)} agree`,
      ...named.map(([name, count]) => `  ${share(count).padStart(8)}  ${name}`),
    ];
  }

  #isExcused(step: Step): boolean {
    return this.#cause(step)?.excused === true;
  }

  #history(flow: string): Set<string> {
    const history = this.#histories.get(flow) ?? new Set();
    this.#histories.set(flow, history);
    return history;
  }

  /** A disagreement goes on under its name as long as its pairs are met, and behind an odd segment in any. */
  #cause(step: Step): Disagreement | undefined {
    const open = this.#open.get(step.flow);
    const begun = this.#begins(step);
    if (open === undefined || !shows(open, step.after)) return begun ?? (this.#odd ? open : undefined);
    // The harm that one does must not go on under the name of another.
    return begun?.excused === true && open.excused !== true ? begun : open;
  }

  #begins(step: Step): Disagreement | undefined {
    const history = this.#history(step.flow);
    return this.#known.find((each) => shows(each, step.after) && (each.begins?.(step, history) ?? true));
  }
}

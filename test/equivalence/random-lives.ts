/**
 * Random lives of connections, and policies that tell their parts from each other.
 *
 * One kind of lives is cut short, where the kernel's tracker and ours are known to differ: see there.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { KernelJudge } from "./kernel-judge.ts";
import { compareLives, type Life, type Segment } from "./lives.ts";

/** Lives that one seed stands for, under each policy. */
export const LIVES = 1200;

/** Rules that tell a connection's beginning, middle and end from each other, each in its way. */
const RULES = [
  { name: "FlowRule", is: "new", action: "DROP" },
  { name: "TCPStateRule", match_if: ["FIN_WAIT_1", "FIN_WAIT_2", "FIN_WAIT_3", "LAST_ACK"], action: "DROP" },
  { name: "TCPStateRule", match_if: ["CLOSED"], action: "DROP" },
  { name: "TCPStateRule", match_if: ["ESTABLISHED"], action: "DROP" },
  { name: "TCPStateRule", match_if: ["SYN_SENT1", "TIME_WAIT"], action: "DROP" },
].map((rule) => ({ settings: { offload: "flows" }, INPUT: [rule] }));

/** Policies under which each segment of a life may have its own verdict. */
export const POLICIES: readonly object[] = [
  ...RULES,
  {
    settings: { offload: "flows" },
    default_chain: "DROP",
    OUTPUT: [{ name: "TrueRule", action: "ACCEPT" }],
    INPUT: [{ name: "FlowRule", is: "known", action: "ACCEPT" }],
  },
];

function segments(words: readonly string[], count: number): fc.Arbitrary<Segment[]> {
  const segment = fc
    .tuple(fc.constantFrom("<", ">"), fc.constantFrom(...words))
    .map(([way, word]) => `${way}${word}` as Segment);
  return fc.array(segment, { minLength: count, maxLength: count });
}

/** Policies that ask no TCP state: the kernel carries their connections. */
const carries = (policy: object): boolean => !JSON.stringify(policy).includes("TCPStateRule");

/**
 * A life up to the first SYN behind both FINs: whether the last acknowledgement of a sealed connection has
 * come is the kernel's to say, and it takes any for that. Of one that it carries it also takes a FIN that is
 * followed by another of the same end for both.
 */
function untilReused(life: Life, isCarried: boolean): Life {
  const ends = life.flatMap((word, at) => (word.endsWith("FA") ? [{ word, at }] : []));
  const second = ends.find(({ word }, index) => index > 0 && (isCarried || word !== ends[0]?.word));
  if (second === undefined) return life;
  const reused = life.findIndex((word, at) => at > second.at && word.endsWith("S"));
  return reused < 0 ? life : life.slice(0, reused);
}

/** How connections begin; some are older than the firewall, or none at all. */
const beginning = fc.oneof(
  segments(["S", "A", "FA", "R", "RA"], 3),
  fc.constantFrom<Life>(["<S", ">SA"], [">S", "<SA"]),
  fc.constantFrom<Life>(["<S", ">SA", "<A"], [">S", "<SA", ">A"]),
);

/** A SYN with ACK has its place in a handshake only: no end sends one anywhere else. */
const life = (isCarried: boolean): fc.Arbitrary<Life> =>
  fc
    .tuple(beginning, segments(["S", "A", "A", "FA", "R", "RA"], 6))
    .map(([lead, rest]) => untilReused([...lead, ...rest], isCarried));

/** Lives that are led beside random ones. */
export interface KnownLives {
  /** Under each policy. */
  readonly all: readonly Life[];
  /** Under those policies whose connections the kernel does not carry. */
  readonly notCarried: readonly Life[];
}

/**
 * Leads random lives through the kernel under each policy.
 *
 * @param seed - of the lives: an integer of 31 bits
 * @param known - lives that are led as well
 * @throws AssertionError, which names the seed, when one gets another verdict than the interpreter's
 */
export function expectSameVerdicts(judge: KernelJudge, seed: number, known?: KnownLives): void {
  for (const [at, policy] of POLICIES.entries()) {
    const isCarried = carries(policy);
    const lives = fc.sample(life(isCarried), { numRuns: LIVES, seed: seed + at });
    if (known !== undefined) lives.push(...known.all, ...(isCarried ? [] : known.notCarried));
    const differences = compareLives(judge, policy, lives);
    assert.deepEqual(differences, [], `seed ${seed}: ${JSON.stringify(policy)}`);
  }
}

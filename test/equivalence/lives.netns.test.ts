/** Connections with FIN and RST anywhere, under seals: the same verdicts as without a kernel. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { GATEWAY } from "#lab";
import { netnsTest } from "#testing";
import { KernelJudge } from "./kernel-judge.ts";
import { compareLives, type Life, type Segment } from "./lives.ts";

const LIVES = 600;
const ROUNDS = 2;
/** The same lives each time: what fails then is what was changed. */
const SEED = 1;

/** Rules that tell a connection's beginning, middle and end from each other, each in its way. */
const RULES = [
  { name: "FlowRule", is: "new", action: "DROP" },
  { name: "TCPStateRule", match_if: ["FIN_WAIT_1", "FIN_WAIT_2", "FIN_WAIT_3", "LAST_ACK"], action: "DROP" },
  { name: "TCPStateRule", match_if: ["CLOSED"], action: "DROP" },
  { name: "TCPStateRule", match_if: ["ESTABLISHED"], action: "DROP" },
  { name: "TCPStateRule", match_if: ["SYN_SENT1", "TIME_WAIT"], action: "DROP" },
].map((rule) => ({ settings: { offload: "flows" }, INPUT: [rule] }));

const POLICIES = [
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
 * A life up to its first reset when it did not begin with a SYN: of a connection that is older than the
 * firewall our table knows no numbers to hold a reset against, and the kernel's does.
 */
function untilReset(life: Life): Life {
  if (life[0]?.endsWith("S") === true) return life;
  const reset = life.findIndex((word) => word.endsWith("R") || word.endsWith("RA"));
  return reset < 0 ? life : life.slice(0, reset);
}

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
    .map(([lead, rest]) => untilReset(untilReused([...lead, ...rest], isCarried)));

/** Lives that the kernel's tracker and ours have seen differently, and some that every connection leads. */
const KNOWN: readonly Life[] = [
  [">S", "<FA", ">A", "<R", "<S"],
  [">S", "<SA", ">A", "<FA", "<S"],
  [">S", "<SA", ">A", ">FA", "<RA", "<A", ">S", ">RA", "<S"],
  ["<S", ">SA", "<A", ">FA", ">S", "<RA", "<S", ">R", "<RA"],
  ["<S", ">SA", "<A", "<S", ">A", "<R", "<S"],
  [">S", "<SA", ">A", "<A", ">FA", "<FA", ">A", "<S"],
  ["<S", ">SA", "<A", ">FA", "<A", "<FA", ">A", "<S", ">SA", "<A"],
  ["<S", ">SA", "<A", "<FA", ">A", ">FA", "<A", "<S", ">SA", "<A"],
  [">S", "<SA", ">A", ">FA", "<FA", ">A", ">FA", "<S"],
];

netnsTest(
  "a connection gets the interpreter's verdicts under seals, however it ends",
  GATEWAY,
  async (hosts) => {
    const judge = await KernelJudge.open(hosts);
    try {
      for (let round = 0; round < ROUNDS; round += 1) {
        for (const [at, policy] of POLICIES.entries()) {
          const lives = fc.sample(life(carries(policy)), {
            numRuns: LIVES,
            seed: SEED + round * POLICIES.length + at,
          });
          const differences = compareLives(judge, policy, [...KNOWN, ...lives]);
          assert.deepEqual(differences, [], JSON.stringify(policy));
        }
      }
    } finally {
      judge.close();
    }
    assert.ok(judge.sealed > LIVES, `${judge.sealed} seals`);
    assert.ok(judge.carried > LIVES / 4, `${judge.carried} carried`);
  },
);

/** Where the kernel's tracker and ours differ about a sealed connection, the kernel's word counts. */
const DIFFERENCES: readonly { life: Life; kernel: string; interpreter: string }[] = [
  // Who asks anew in the middle, with other numbers, is answered by a reset that fits only these.
  { life: [">S", "<SA", ">A", ">N", "<RA", "<S"], kernel: "DROP", interpreter: "ACCEPT" },
  // After both FINs the kernel takes any acknowledgement for the last one.
  { life: [">S", "<SA", ">A", ">FA", "<FA", "<A", "<S"], kernel: "DROP", interpreter: "ACCEPT" },
  // A FIN with another one behind it, of the same end, is to the kernel the FIN of both.
  { life: [">S", "<SA", ">A", ">FA", ">FA", "<A", "<S"], kernel: "DROP", interpreter: "ACCEPT" },
];

netnsTest("whether a segment ends a sealed connection is the kernel's to say", GATEWAY, async (hosts) => {
  const judge = await KernelJudge.open(hosts);
  try {
    for (const { life: led, kernel, interpreter } of DIFFERENCES) {
      const found = compareLives(judge, POLICIES[0] ?? {}, [led]);
      assert.deepEqual(found, [{ life: led.join(" "), kernel, interpreter }]);
    }
  } finally {
    judge.close();
  }
});

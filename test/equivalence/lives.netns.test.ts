/** Connections with FIN and RST anywhere, under seals: the same verdicts as without a kernel. */
import assert from "node:assert/strict";
import { GATEWAY } from "#lab";
import { netnsTest } from "#testing";
import { KernelJudge } from "./kernel-judge.ts";
import { compareLives, type Life } from "./lives.ts";
import { expectSameVerdicts, LIVES, POLICIES } from "./random-lives.ts";

/** The same lives each time: what fails then is what was changed. Others are led by the long suite. */
const SEED = 1;

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
  // It keeps the connection that a reset has ended until another SYN is answered.
  [">S", "<SA", ">A", "<R", ">S", "<A", ">FA", "<R", "<A"],
  [">S", "<SA", ">A", ">FA", "<R", ">S", "<R", ">RA", "<R"],
];

/** The kernel takes two FINs of one end for those of both, and a SYN then for another connection. */
const FINS_AGAIN: readonly Life[] = [
  [">S", "<SA", ">A", "<FA", "<FA", ">A", "<S", ">FA", "<A"],
  [">S", "<SA", ">A", "<FA", "<FA", ">A", ">S", ">R", "<S"],
  [">S", "<SA", ">A", "<FA", "<FA", ">A", ">S", "<R", "<S"],
  [">S", "<SA", ">A", "<FA", "<FA", "<A", "<S", "<RA", "<A"],
  [">S", "<SA", ">A", ">FA", ">FA", "<A", "<S", ">RA", "<RA"],
  [">S", "<SA", ">A", ">FA", ">FA", ">A", ">S", "<R", "<A"],
];

netnsTest(
  "a connection gets the interpreter's verdicts under seals, however it ends",
  GATEWAY,
  async (hosts) => {
    const judge = await KernelJudge.open(hosts);
    try {
      expectSameVerdicts(judge, SEED, { all: KNOWN, notCarried: FINS_AGAIN });
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

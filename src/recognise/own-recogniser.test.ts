/** Recognisers of somebody else cannot spoil what the others find, whatever they do. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { FirewallError } from "../base/index.ts";
import {
  type Answer,
  CONFIDENCE,
  checkRecogniser,
  DONE,
  type Evidence,
  FlowRecognition,
  HANDED_OVER,
  NO_MATCH,
  OTHER_SIDE,
  OWN_FAILURES_MAX,
  OWN_LOOKS_MAX,
  type Recogniser,
  RecogniserSet,
} from "./index.ts";

const SSH = Buffer.from("SSH-2.0-OpenSSH_9.2p1\r\n");

function recogniser(judge: (evidence: Evidence) => Answer, changes: Partial<Recogniser> = {}): Recogniser {
  return { protocol: "Mine", transports: ["TCP", "UDP"], encrypted: false, judge, ...changes };
}

/** A set with one recogniser, and the failures that were told. */
function setWith(own: Recogniser): { set: RecogniserSet; failures: string[] } {
  const failures: string[] = [];
  const failed = (protocol: string, error: unknown, isOff: boolean): void => {
    failures.push(
      `${protocol}: ${error instanceof Error ? error.message : String(error)}${isOff ? " (off)" : ""}`,
    );
  };
  return { set: new RecogniserSet({ own: [own], failed }), failures };
}

/** Shows a flow the text of both directions, in pieces; what was recognised. */
function recognise(set: RecogniserSet, text: Uint8Array, piece = text.length): FlowRecognition {
  const flow = new FlowRecognition(set, "TCP", 40_000, 9000);
  const view = new DataView(text.buffer, text.byteOffset, text.length);
  for (const direction of [0, 1] as const) {
    flow.begin(direction, false);
    let from = 0;
    for (let end = piece; end < text.length + piece; end += piece) {
      const released = flow.receive(direction, view, from, Math.min(end, text.length));
      if (released < 0) break;
      from += released;
      assert.ok(from <= text.length, "no more is let go than there is");
    }
  }
  return flow;
}

describe("one that does what it should", () => {
  const mine = recogniser((evidence) => {
    if (!evidence.bytes.couldBe("MINE")) return NO_MATCH;
    if (evidence.bytes.length < 4) return 4;
    evidence.match(CONFIDENCE.CERTAIN).serverName = "www.example.org";
    return DONE;
  });

  test("is asked first, finds its protocol in any pieces, and is among the names", () => {
    const { set, failures } = setWith(mine);
    for (const piece of [1, 3, 4]) {
      const { result } = recognise(set, Buffer.from("MINE"), piece);
      assert.equal(result?.protocol, "Mine");
      assert.equal(result.facts.serverName, "www.example.org");
    }
    assert.ok(set.protocols.includes("Mine"));
    assert.equal(recognise(set, SSH).result?.protocol, "SSH");
    assert.deepEqual(failures, []);
  });

  test("may hand over to what follows", () => {
    const prefix = recogniser((evidence) => {
      if (!evidence.bytes.has("MINE")) return NO_MATCH;
      evidence.match(CONFIDENCE.CERTAIN);
      return evidence.handOver("carries", 4, 4);
    });
    const { result } = recognise(setWith(prefix).set, Buffer.concat([Buffer.from("MINE"), SSH]));
    assert.deepEqual(result?.layers, ["Mine", "SSH"]);
  });
});

const BAD: readonly (readonly [string, (evidence: Evidence) => unknown])[] = [
  [
    "throws",
    () => {
      throw new Error("no luck");
    },
  ],
  ["returns nothing", () => undefined],
  ["returns a promise", () => Promise.resolve(DONE)],
  ["returns a text", () => "yes"],
  ["returns not a number", () => Number.NaN],
  ["returns a negative number", () => -7],
  ["hands over without a match", () => HANDED_OVER],
  [
    "hands over behind the end",
    (evidence) => {
      evidence.match(CONFIDENCE.CERTAIN);
      return evidence.handOver("becomes", 1_000_000, 0);
    },
  ],
  [
    "hands over at no position",
    (evidence) => {
      evidence.match(CONFIDENCE.CERTAIN);
      return evidence.handOver("becomes", 1, Number.NaN);
    },
  ],
  ["is surer than certain", (evidence) => (evidence.match(99 as never), DONE)],
  ["guesses", (evidence) => (evidence.match(CONFIDENCE.GUESSED), DONE)],
  ["matches another name", (evidence) => (evidence.match(CONFIDENCE.CERTAIN, "TLS"), DONE)],
  [
    "learns what is no fact",
    (evidence) => {
      evidence.match(CONFIDENCE.CERTAIN).serverName = { length: 5 } as never;
      return DONE;
    },
  ],
  [
    "learns a whole file",
    (evidence) => {
      evidence.match(CONFIDENCE.CERTAIN).path = "x".repeat(100_000);
      return DONE;
    },
  ],
  [
    "matches and then throws",
    (evidence) => {
      evidence.match(CONFIDENCE.CERTAIN);
      throw new Error("after all");
    },
  ],
];

describe("one that fails", () => {
  for (const [words, judge] of BAD) {
    test(`${words}: SSH is still SSH, and the failure is told`, () => {
      const { set, failures } = setWith(recogniser(judge as (evidence: Evidence) => Answer));
      for (const piece of [SSH.length, 1]) {
        const flow = recognise(set, SSH, piece);
        assert.equal(flow.result?.protocol, "SSH");
        assert.equal(flow.result.confidence, CONFIDENCE.CERTAIN);
      }
      assert.ok(failures.length > 0);
      assert.match(failures[0] ?? "", /^Mine: ./);
    });
  }

  test("takes nothing back that it had found before", () => {
    let asked = 0;
    const { set, failures } = setWith(
      recogniser((evidence) => {
        asked += 1;
        if (asked > 1) throw new Error("no luck");
        evidence.match(CONFIDENCE.LIKELY);
        return 8;
      }),
    );
    assert.equal(recognise(set, Buffer.from("nothing that is known"), 4).result?.protocol, "Mine");
    assert.ok(failures.length > 0);
  });

  test(`is asked no more after ${OWN_FAILURES_MAX} failures, and that is told`, () => {
    let asked = 0;
    const { set, failures } = setWith(
      recogniser(() => {
        asked += 1;
        throw new Error("no luck");
      }),
    );
    for (let flow = 0; flow < 3 * OWN_FAILURES_MAX; flow += 1) recognise(set, SSH);
    assert.equal(asked, OWN_FAILURES_MAX);
    assert.equal(failures.length, OWN_FAILURES_MAX);
    assert.deepEqual(
      failures.filter((failure) => failure.endsWith("(off)")),
      [failures.at(-1)],
    );
  });
});

describe("one that cannot make up its mind", () => {
  test("is asked a bounded number of times, and does not keep others from being found", () => {
    let asked = 0;
    const undecided = recogniser(({ bytes }) => {
      asked += 1;
      return bytes.length + 1;
    });
    const { set, failures } = setWith(undecided);
    const noise = Buffer.alloc(40_000, 0x99);
    const flow = recognise(set, noise, 1);
    assert.ok(asked <= 2 * OWN_LOOKS_MAX, `${asked} times`);
    assert.equal(flow.settled, true);
    assert.equal(flow.result, undefined);
    assert.equal(recognise(set, SSH, 1).result?.protocol, "SSH");
    assert.deepEqual(failures, []);
  });

  test("is let go at the end of what is looked at, however large its pieces", () => {
    const { set } = setWith(recogniser(() => 1_000_000));
    assert.equal(recognise(set, Buffer.alloc(100_000, 0x99), 1460).settled, true);
    const other = setWith(recogniser(() => OTHER_SIDE)).set;
    assert.equal(recognise(other, Buffer.alloc(100_000, 0x99), 1460).settled, true);
  });

  test("is shown a bounded number of datagrams", () => {
    let asked = 0;
    const { set } = setWith(
      recogniser(() => {
        asked += 1;
        return 1;
      }),
    );
    const flow = new FlowRecognition(set, "UDP", 40_000, 9000);
    const payload = new DataView(Buffer.alloc(100, 0x99).buffer.slice(0, 100));
    for (let count = 0; count < 200; count += 1)
      flow.datagram(0, { bytes: payload, payloadAt: 0, end: 100, datagramBytes: 100 });
    assert.equal(flow.settled, true);
    assert.ok(asked <= set.limits.datagrams, `${asked} times`);
  });
});

describe("what is no recogniser is refused", () => {
  const good = recogniser(() => NO_MATCH);
  const rows: readonly (readonly [string, unknown])[] = [
    ["nothing", null],
    ["no name", { ...good, protocol: "" }],
    ["a name with line breaks", { ...good, protocol: "a\nb" }],
    ["a name without end", { ...good, protocol: "x".repeat(65) }],
    ["no transport", { ...good, transports: [] }],
    ["a foreign transport", { ...good, transports: ["SCTP"] }],
    ["no word on encryption", { ...good, encrypted: undefined }],
    ["first bytes that are none", { ...good, firstBytes: [256] }],
    ["nothing that judges", { ...good, judge: undefined }],
  ];
  for (const [words, value] of rows) {
    test(words, () => {
      assert.throws(
        () => checkRecogniser(value as Recogniser),
        (error: unknown) => error instanceof FirewallError && error.code === "RECOGNISER_DEFINITION",
      );
    });
  }
  test("but a good one is not", () => assert.doesNotThrow(() => checkRecogniser(good)));
});

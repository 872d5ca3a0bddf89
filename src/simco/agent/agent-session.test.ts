import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { describe, it } from "node:test";
import { fullTuple, octetsOf, protocolTuple, vector } from "../../testing/index.ts";
import { decodeMessage } from "../decode.ts";
import { encodeMessage } from "../encode.ts";
import type { Message } from "../message.ts";
import { AgentSession, type Notice } from "./agent-session.ts";
import { SimcoError } from "./simco-error.ts";
import { evenEnds, natModeFor } from "./wishes.ts";

const KEY = Uint8Array.from({ length: 32 }, (_, index) => index);
const CHALLENGE = octetsOf("a0a1a2a3a4a5a6a7a8a9aaabacadaeaf");
const UDP = 17;

function mac(key: Uint8Array, data: Uint8Array): Uint8Array {
  return createHmac("sha256", key).update(data).digest();
}

/** An agent whose middlebox is the test. */
class Desk {
  readonly sent: Uint8Array[] = [];
  readonly notices: Notice[] = [];
  reason: SimcoError | undefined;
  isClosed = false;
  now = 0;
  readonly session: AgentSession;

  constructor(firstTid = 1, isMutual = false) {
    this.session = new AgentSession({
      transport: { send: (octets) => void this.sent.push(octets), end: () => void (this.isClosed = true) },
      now: () => this.now,
      firstTid,
      proof: { identity: "agent-1", key: KEY, binding: new Uint8Array(0), mac },
      ...(isMutual ? { challenge: CHALLENGE } : {}),
      onNotice: (notice) => void this.notices.push(notice),
      onEnd: (reason) => void (this.reason = reason),
    });
  }

  get lastSent(): Message {
    const octets = this.sent.at(-1) ?? new Uint8Array(8);
    const message = decodeMessage(new DataView(octets.buffer));
    if (typeof message === "string") throw new Error(message);
    return message;
  }

  say(message: Message | Uint8Array): void {
    this.session.receive(message instanceof Uint8Array ? message : encodeMessage(message));
  }

  /** An open session. */
  static async open(disables = true): Promise<Desk> {
    const desk = new Desk();
    const opened = desk.session.open();
    const reply = vector("V02").slice();
    if (!disables) reply[12] = 0x80;
    desk.say(reply);
    await opened;
    return desk;
  }
}

async function errorOf(promise: Promise<unknown>): Promise<SimcoError> {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof SimcoError, String(error));
    return error;
  }
  throw new Error("it went well");
}

describe("an agent", () => {
  it("C-01 begins with the octets of the vectors", async () => {
    const plain = new Desk(1);
    const opened = plain.session.open();
    assert.deepEqual(plain.sent[0], vector("V01"));
    plain.say(vector("V02"));
    assert.equal((await opened).lifetimeMax, 3600);
    const mutual = new Desk(2, true);
    void mutual.session.open().catch(() => undefined);
    assert.deepEqual(mutual.sent[0], vector("V04"));
  });

  it("C-02 answers SA with SA, also when nothing is asked of it", async () => {
    const desk = new Desk(2, true);
    const opened = desk.session.open();
    const { token } = read(vector("V05"), "SA_REPLY");
    desk.say({ name: "SA_REPLY", tid: 2, ...(token === undefined ? {} : { token }) });
    await settle();
    assert.deepEqual(desk.lastSent, { name: "SA", tid: 3 });
    desk.say({ ...read(vector("V02"), "SE_REPLY"), tid: 3 });
    await opened;
  });

  it("C-03 turns away from a middlebox that does not prove who it is", async () => {
    const wrong = read(vector("V05"), "SA_REPLY").token?.map((octet) => octet ^ 1);
    const answers: readonly Message[] = [
      { name: "SA_REPLY", tid: 2, token: new Uint8Array(0) },
      { name: "SA_REPLY", tid: 2, token: wrong ?? new Uint8Array(1) },
      { name: "SA_REPLY", tid: 2, challenge: CHALLENGE },
      { ...read(vector("V02"), "SE_REPLY"), tid: 2 },
    ];
    for (const answer of answers) {
      const desk = new Desk(2, true);
      const opened = errorOf(desk.session.open());
      desk.say(answer);
      assert.equal((await opened).code, "SIMCO_UNPROVEN");
      assert.ok(desk.isClosed);
      assert.equal(desk.sent.length, 1, "nothing more is said to it");
    }
  });

  it("C-04 reads SE as the answer to SA, after the exchange of the vectors", async () => {
    const desk = new Desk(2, true);
    const opened = desk.session.open();
    desk.say(vector("V05"));
    await settle();
    assert.deepEqual(desk.sent[1], vector("V06"));
    desk.say({ ...read(vector("V02"), "SE_REPLY"), tid: 3 });
    await opened;
    assert.equal(desk.session.state, "open");
  });

  it("C-05 never uses an identifier twice, also when they begin anew", () => {
    const desk = new Desk(0xfffffffe);
    void desk.session.open().catch(() => undefined);
    desk.say({ ...read(vector("V02"), "SE_REPLY"), tid: 0xfffffffe });
    return settle().then(() => {
      for (let count = 0; count < 50; count += 1)
        void desk.session.ask({ name: "PRL" }).catch(() => undefined);
      const tids = desk.sent.map((octets) => new DataView(octets.buffer).getUint32(4));
      assert.equal(new Set(tids).size, 51);
      assert.deepEqual(tids.slice(0, 4), [0xfffffffe, 0xffffffff, 0, 1]);
    });
  });

  it("C-06 does not take a notification for a reply, whatever its identifier", async () => {
    const desk = await Desk.open();
    const asked = desk.session.ask({ name: "PRL" });
    const { tid } = desk.lastSent;
    desk.say({ name: "ARE", tid, rule: 7, lifetime: 0 });
    assert.equal(desk.notices.length, 1);
    desk.say({ name: "PRL_REPLY", tid, rules: [7] });
    assert.deepEqual((await asked).rules, [7]);
  });

  it("C-07 reads replies to a permit with and without the inside end, by where its ends lie", async () => {
    const desk = await Desk.open();
    const [outside, inside] = [
      fullTuple({ at: 2, address: "10.1.8.3", protocol: UDP, port: 5004, count: 2 }),
      fullTuple({ at: 1, address: "192.0.2.100", protocol: UDP, port: 6004, count: 2 }),
    ];
    for (const ends of [{ outside }, { outside, inside }]) {
      const asked = desk.session.ask(PERMIT);
      desk.say({ name: "PER_REPLY", tid: desk.lastSent.tid, rule: 1, group: 2, lifetime: 300, ...ends });
      const reply = await asked;
      assert.deepEqual({ outside: reply.outside, inside: reply.inside }, { inside: undefined, ...ends });
    }
  });

  it("C-08 takes replies in any order", async () => {
    const desk = await Desk.open();
    const first = desk.session.ask({ name: "PRS", rule: 1 });
    const { tid: one } = desk.lastSent;
    const second = desk.session.ask({ name: "PRL" });
    const { tid: two } = desk.lastSent;
    desk.say({ name: "PRL_REPLY", tid: two, rules: [] });
    desk.say({ name: "NEGATIVE", tid: one, code: 0x0343 });
    assert.deepEqual((await second).rules, []);
    assert.equal((await errorOf(first)).reply, 0x0343);
  });

  it("C-09 tells the number of a refusal that it does not know", async () => {
    const desk = await Desk.open();
    const asked = errorOf(desk.session.ask({ name: "PRL" }));
    desk.say(octetsOf("03ee0000", desk.lastSent.tid.toString(16).padStart(8, "0")));
    const error = await asked;
    assert.equal(error.reply, 0x03ee);
    assert.match(error.message, /0x03ee/);
    const known = errorOf(desk.session.ask({ name: "PRL" }));
    desk.say({ name: "NEGATIVE", tid: desk.lastSent.tid, code: 0x0341 });
    assert.match((await known).message, /TRANSACTION_FORBIDDEN/);
  });

  it("C-11 does not ask for a disable rule where there are none", async () => {
    const desk = await Desk.open(false);
    const before = desk.sent.length;
    const { internal, external } = PERMIT;
    const asked = desk.session.ask({ name: "PDR", internal, external, lifetime: 9 });
    assert.equal((await errorOf(asked)).code, "SIMCO_UNSUPPORTED");
    assert.equal(desk.sent.length, before);
  });

  it("C-13 does not believe a lifetime that is longer than asked for", async () => {
    const desk = await Desk.open();
    const asked = errorOf(desk.session.ask({ name: "PLC", rule: 1, lifetime: 10 }));
    desk.say({ name: "PLC_REPLY", tid: desk.lastSent.tid, lifetime: 11 });
    assert.equal((await asked).code, "SIMCO_PROTOCOL");
  });

  it("C-15 names as many ports on both sides, and one where it means nothing", () => {
    const ours = fullTuple({ at: 0, address: "10.1.8.3", protocol: UDP, port: 5004, count: 4 });
    const theirs = fullTuple({ at: 3, address: "192.0.2.1", protocol: UDP, port: 0, count: 9 });
    const counts = (internal: typeof ours, external: typeof ours): number[] => {
      const even = evenEnds({ internal, external });
      return [even.internal.count, even.external.count];
    };
    assert.deepEqual(counts(ours, theirs), [4, 4]);
    assert.deepEqual(counts({ ...ours, port: 0 }, theirs), [1, 1]);
    assert.deepEqual(counts({ ...ours, port: 0, count: 7 }, { ...theirs, port: 80, count: 2 }), [2, 2]);
    assert.deepEqual(counts(ours, protocolTuple(3, UDP)), [4, 0]);
    assert.throws(() => counts(ours, { ...theirs, port: 80 }), RangeError);
  });

  it("asks for translation twice only where it is announced", async () => {
    const { capabilities } = (await Desk.open()).session;
    assert.ok(capabilities !== undefined);
    assert.equal(natModeFor(capabilities, 2), 1);
    assert.equal(natModeFor({ ...capabilities, translatesTwice: true }, 2), 2);
  });

  it("does not know the outcome of what is not answered in time, or before the end", async () => {
    const late = await Desk.open();
    const asked = errorOf(late.session.ask({ name: "PRL" }));
    late.now = 9999;
    late.session.tick();
    assert.equal(late.session.state, "open");
    late.now = 10_000;
    late.session.tick();
    assert.equal((await asked).code, "SIMCO_UNKNOWN");
    assert.ok(late.isClosed);
    const ended = await Desk.open();
    const waiting = errorOf(ended.session.ask({ name: "PRL" }));
    ended.say(vector("V32"));
    assert.equal((await waiting).code, "SIMCO_UNKNOWN");
    assert.equal(ended.reason?.code, "SIMCO_UNKNOWN");
  });

  it("ends a session in which it hears what is no message", async () => {
    const desk = await Desk.open();
    desk.say(octetsOf("0403 0004 00000001 00000000"));
    assert.equal(desk.reason?.code, "SIMCO_PROTOCOL");
    assert.ok(desk.isClosed);
  });
});

const PERMIT = {
  name: "PER",
  enable: { parity: 3, direction: 1 },
  internal: fullTuple({ at: 0, address: "10.1.8.3", protocol: UDP, port: 5004, count: 2 }),
  external: fullTuple({ at: 3, address: "192.0.2.100", protocol: UDP, port: 6004, count: 2 }),
  lifetime: 300,
} as const;

function read<Name extends Message["name"]>(
  octets: Uint8Array,
  name: Name,
): Extract<Message, { name: Name }> {
  const message = decodeMessage(new DataView(octets.buffer));
  if (typeof message === "string" || message.name !== name) throw new Error(name);
  return message as Extract<Message, { name: Name }>;
}

/** Lets what was promised come to pass. */
function settle(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

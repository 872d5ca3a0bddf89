import assert from "node:assert/strict";
import { test } from "node:test";
import { type ConntrackState, HOOK, PROTOCOL, TCP_FLAG, verdictName } from "../base/index.ts";
import { allocateMemory, type Policy } from "../policy/index.ts";
import { Tracker } from "../state/index.ts";
import { SILENT_REPORT } from "../testing/engine-sample.ts";
import { compileValid, decodeBuilt } from "../testing/policy-probe.ts";
import { Conversation } from "../testing/conversation.ts";
import type { Packet } from "../wire/index.ts";
import { COUNTERS, Engine, SEAL } from "./index.ts";

const ENDS = { protocol: PROTOCOL.UDP, sourcePort: 53, destinationPort: 53 } as const;
const QUESTION = { ...ENDS, source: "192.0.2.1", destination: "198.51.100.7", hook: HOOK.INPUT } as const;
const ANSWER = { ...ENDS, source: "198.51.100.7", destination: "192.0.2.1", hook: HOOK.OUTPUT } as const;

/** An engine with a small table that seals what it may, or nothing. */
function engineOf(policy: Policy, maySeal: boolean): Engine {
  const engine = new Engine({
    initial: { policy, memory: allocateMemory(policy), revision: 1 },
    tracker: new Tracker({ capacity: 16 }),
    report: SILENT_REPORT,
    interfaceName: () => "eth0",
    counters: new Float64Array(COUNTERS.length),
  });
  engine.allowSeals({ accepted: maySeal, dropped: maySeal });
  return engine;
}

/** What an engine wishes for the flow of each of some packets. */
function wishes(rules: readonly object[], packets: readonly Packet[]): number[] {
  const policy = compileValid({
    settings: { compatibility: "strict" },
    default_chain: "DROP",
    INPUT: rules,
    OUTPUT: rules,
  });
  const engine = engineOf(policy, true);
  return packets.map((packet, at) => {
    engine.judge(packet, at);
    return engine.seal;
  });
}

/** So many questions, and no answer. */
function questions(count: number): Packet[] {
  return Array.from({ length: count }, () => decodeBuilt(QUESTION));
}

/** A question, its answer, and so on, in states that the kernel gives them. */
function inStates(...states: readonly ConntrackState[]): Packet[] {
  return states.map((conntrack, at) => decodeBuilt({ ...(at % 2 === 0 ? QUESTION : ANSWER), conntrack }));
}

const passes = (...states: readonly ConntrackState[]): object => ({
  name: "ConntrackRule",
  states,
  action: "ACCEPT",
});

test("a flow that a rule asks the kernel's state of is sealed once that state lasts", () => {
  const packets = inStates("new", "established", "established");
  assert.deepEqual(wishes([passes("new", "established")], packets), [SEAL.NONE, SEAL.NONE, SEAL.ACCEPT]);
});

test("what the kernel calls new may be called otherwise next, so it is not sealed", () => {
  const packets = inStates("new", "new", "new", "new");
  assert.ok(wishes([passes("new")], packets).every((seal) => seal === SEAL.NONE));
});

test("a handshake is not sealed, also where the kernel vouches for its segments", () => {
  const ends = { protocol: PROTOCOL.TCP, sourcePort: 443, destinationPort: 40_000 } as const;
  const sent = { ...QUESTION, ...ends, hook: HOOK.OUTPUT, flags: TCP_FLAG.SYN };
  const turned = { sourcePort: 40_000, destinationPort: 443, hook: HOOK.INPUT } as const;
  const received = { ...ANSWER, protocol: PROTOCOL.TCP, ...turned, flags: TCP_FLAG.ACK };
  // An acknowledgement of something else, of a connection that the kernel still knows.
  const packets = [sent, received].map((fields) => Object.assign(decodeBuilt(fields), { vouched: true }));
  assert.deepEqual(wishes([{ name: "TrueRule", action: "ACCEPT" }], packets), [SEAL.NONE, SEAL.NONE]);
});

const flowRule = (is: string): object => ({ name: "FlowRule", is, action: "ACCEPT" });

test("a flow that nobody answers is sealed once it seems to expect no answer", () => {
  const seals = wishes([flowRule("known"), flowRule("new")], questions(12));
  assert.ok(
    seals.slice(0, 4).every((seal) => seal === SEAL.NONE),
    "a client asks more than once",
  );
  assert.deepEqual(new Set(seals.slice(8)), new Set([SEAL.ACCEPT]));
});

test("a flow whose answers would not pass is not sealed, however long it stays without", () => {
  const seals = wishes([flowRule("original"), flowRule("new")], questions(40));
  assert.ok(seals.every((seal) => seal === SEAL.NONE));
});

/** A connection as far as its first words, which the kernel sees standing with its third segment. */
function opening(flags = "A"): Packet[] {
  const conversation = new Conversation();
  const packets = [
    conversation.received("S"),
    conversation.sent("SA"),
    conversation.received(flags),
    conversation.received("PA", { bytes: 5 }),
  ];
  for (const packet of packets.slice(2)) packet.vouched = true;
  return packets;
}

/** The same where the kernel carries it from its third segment on. */
function carried(): Packet[] {
  const packets = opening();
  (packets[2] as Packet).carried = true;
  return packets;
}

test("a connection whose state no rule asks is the kernel's to carry when its SYN is answered", () => {
  const seals = wishes([flowRule("known"), flowRule("new")], carried());
  assert.deepEqual(seals, [SEAL.NONE, SEAL.OPENING, SEAL.ACCEPT, SEAL.ACCEPT]);
});

test("a connection whose state a rule asks is sealed when it stands, and not carried", () => {
  const state = { name: "TCPStateRule", match_if: ["LAST_ACK"], action: "DROP" };
  const rules = [state, flowRule("known"), flowRule("new")];
  assert.deepEqual(wishes(rules, opening()), [SEAL.NONE, SEAL.NONE, SEAL.ACCEPT, SEAL.ACCEPT]);
  assert.equal(wishes(rules, carried())[2], SEAL.NONE);
});

test("a connection that the kernel would carry and that ends before it stands has no seal", () => {
  const [syn, answer, end] = opening("FA") as [Packet, Packet, Packet];
  end.vouched = false;
  const seals = wishes([flowRule("known"), flowRule("new")], [syn, answer, end]);
  assert.deepEqual(seals, [SEAL.NONE, SEAL.OPENING, SEAL.NONE]);
});

test("a connection whose answers pass by themselves only is not sealed as it opens", () => {
  const answer = { name: "PortRule", protocol: "TCP", dst_port: 9, action: "ACCEPT" };
  const seals = wishes([flowRule("new"), flowRule("reply"), answer], opening().slice(0, 2));
  assert.deepEqual(seals, [SEAL.NONE, SEAL.NONE]);
});

/** What becomes of packets; those that a seal would keep from the engine are left out where `isSparing`. */
function verdictsOf(rules: readonly object[], packets: readonly [Packet, "" | "spared"][]): string[][] {
  const policy = compileValid({ FORWARD: rules });
  return [false, true].map((isSparing) => {
    const engine = engineOf(policy, isSparing);
    return packets.flatMap(([packet, how], at) => {
      if (isSparing && how === "spared") return [];
      packet.vouched = isSparing;
      const verdict = verdictName(engine.judge(packet, at));
      return how === "spared" ? [] : [verdict];
    });
  });
}

const text = (words: string): { payload: Uint8Array; bytes: number } => ({
  payload: new TextEncoder().encode(words),
  bytes: words.length,
});

test("a connection on the ports of one that is dropped whatever it says is judged by its own bytes", () => {
  const conversation = new Conversation({ forwarded: true });
  const received = conversation.received.bind(conversation);
  const sent = conversation.sent.bind(conversation);
  const rules = [
    { name: "FingerprintRule", ja4: ["t13d1516h2_8daaf6152771_b186095e22b6"], action: "ACCEPT" },
    { name: "TrueRule", action: "DROP" },
  ];
  const [whole, sparing] = verdictsOf(rules, [
    [received("S"), ""],
    [sent("SA"), ""],
    [received("A"), ""],
    [received("PA", text("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")), ""],
    [sent("PA", text("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")), ""],
    [received("PA", text("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")), "spared"],
    [received("R"), ""],
    [received("S"), ""],
    [sent("SA"), ""],
  ]);
  assert.deepEqual(whole, ["ACCEPT", "ACCEPT", "ACCEPT", "ACCEPT", "DROP", "DROP", "ACCEPT", "ACCEPT"]);
  assert.deepEqual(sparing, whole);
});
